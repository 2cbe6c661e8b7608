// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of the types, attributes and module attributes.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{expects 1 to 8 bits per code, or 15 of activations along the last axis on f32 scales, found 0}}
func.func private @format_without_bits(tensor<4x4xi8, #grok.format<bits = 0, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects 1 to 8 bits per code, or 15 of activations along the last axis on f32 scales, found 9}}
func.func private @format_of_many_bits(tensor<4x4xi8, #grok.format<bits = 9, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{or 15 of activations along the last axis on f32 scales, found 15}}
func.func private @wide_format_of_weights(tensor<4x4xi8, #grok.format<bits = 15, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects zero_point to be a code from 0 to 0, found 3}}
func.func private @wide_format_with_zero_point(tensor<4x4xf32, #grok.format<bits = 15, group_rows = 4, scale = f32, zero_point = 3, along = last>>)

// -----

// expected-error@+1 {{expects group_rows to be positive, found 0}}
func.func private @format_without_rows(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 0, scale = bf16>>)

// -----

// expected-error@+1 {{expects a scale of type f32, bf16 or f16, found 'i8'}}
func.func private @format_with_integer_scale(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 4, scale = i8>>)

// -----

// expected-error@+1 {{expects zero_point to be a code from 0 to 15, found 16}}
func.func private @format_with_zero_point_outside(tensor<4x4xi8, #grok.format<bits = 4, group_rows = 4, scale = bf16, zero_point = 16>>)

// -----

// expected-error@+1 {{expects codes of i8 or of the format's width, or f32, found 'f16'}}
func.func private @format_of_halves(tensor<4x4xf16, #grok.format<bits = 8, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects a matrix under a format, found rank 1}}
func.func private @format_of_a_vector(tensor<4xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects group_rows 3 to divide the 4 positions of the contraction axis}}
func.func private @format_with_a_broken_group(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 3, scale = bf16>>)

// -----

// expected-error@+1 {{expects group_rows 4 to divide the dynamic positions of the contraction axis}}
func.func private @format_of_dynamic_rows(tensor<?x4xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects positive cache extents below 2^31, found 0 x 1 x 16}}
func.func private @cache_without_layers(!grok.cache<0 x 1 x 16, f32>)

// -----

// expected-error@+1 {{expects kv heads * head size below 2^31, found 65536 x 65536}}
func.func private @cache_of_huge_heads(!grok.cache<1 x 65536 x 65536, f32>)

// -----

// expected-error@+1 {{expects a cache of f32, bf16, i8 or f8E4M3FN, found 'i32'}}
func.func private @cache_of_integers(!grok.cache<1 x 1 x 16, i32>)

// -----

// expected-error@+1 {{expects grok.numerics to be "f32", "bf16" or "fast", found "f16"}}
module attributes {grok.numerics = "f16"} {}

// -----

// expected-error@+1 {{expects grok.numerics on a module}}
func.func private @numerics_of_a_function() attributes {grok.numerics = "f32"}

// -----

// expected-error@+1 {{expects grok.model to be a dictionary}}
module attributes {grok.model = "grok-1"} {}

// -----

// expected-error@+1 {{expects grok.model on a module}}
func.func private @model_of_a_function() attributes {grok.model = {}}

// -----

// expected-error@+1 {{expects multiplier_rows to divide group_rows 4, found 3}}
func.func private @multipliers_across_groups(tensor<4x4xi4, #grok.format<bits = 4, group_rows = 4, scale = bf16, multiplier_rows = 3, zero_point = 8>>)

// -----

// expected-error@+1 {{expects codes of i8 or of the format's width, or f32, found 'i3'}}
func.func private @codes_of_another_width(tensor<4x4xi3, #grok.format<bits = 4, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects group_rows 3 to divide the 4 positions of the contraction axis}}
func.func private @broken_group_along_last(tensor<3x4xi8, #grok.format<bits = 8, group_rows = 3, scale = bf16, along = last>>)

// -----

// expected-error@+1 {{unknown key 'rows'}}
func.func private @format_with_an_unknown_key(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16, rows = 3>>)

// -----

// expected-error@+1 {{expects one format for each expert of a stack of matrices, found 1 formats}}
func.func private @too_few_expert_formats(tensor<2x4x4xi8, #grok.expert_formats<[#grok.format<bits = 8, group_rows = 4, scale = bf16>]>>)

// -----

// expected-error@+1 {{expects codes of type i8 under expert formats, found 'i4'}}
func.func private @narrow_expert_container(tensor<1x4x4xi4, #grok.expert_formats<[#grok.format<bits = 4, group_rows = 4, scale = bf16>]>>)
