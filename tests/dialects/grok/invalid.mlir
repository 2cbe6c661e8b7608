// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of the types, attributes and plain ops.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

// -----

// expected-error@+1 {{expects 1 to 8 bits per code, found 0}}
func.func private @format_without_bits(tensor<4x4xi8, #grok.format<bits = 0, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects 1 to 8 bits per code, found 9}}
func.func private @format_of_many_bits(tensor<4x4xi8, #grok.format<bits = 9, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects group_rows to be positive, found 0}}
func.func private @format_without_rows(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 0, scale = bf16>>)

// -----

// expected-error@+1 {{expects a scale of type f32, bf16 or f16, found 'i8'}}
func.func private @format_with_integer_scale(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 4, scale = i8>>)

// -----

// expected-error@+1 {{expects zero_point to be a code from -8 to 7, found 8}}
func.func private @format_with_zero_point_outside(tensor<4x4xi8, #grok.format<bits = 4, group_rows = 4, scale = bf16, zero_point = 8>>)

// -----

// expected-error@+1 {{expects codes of type i8 under a format, found 'f32'}}
func.func private @format_of_floats(tensor<4x4xf32, #grok.format<bits = 8, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects a matrix under a format, found rank 1}}
func.func private @format_of_a_vector(tensor<4xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects group_rows 3 to divide the 4 rows of the contraction axis}}
func.func private @format_with_a_broken_group(tensor<4x4xi8, #grok.format<bits = 8, group_rows = 3, scale = bf16>>)

// -----

// expected-error@+1 {{expects group_rows 4 to divide the dynamic rows of the contraction axis}}
func.func private @format_of_dynamic_rows(tensor<?x4xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>)

// -----

// expected-error@+1 {{expects positive cache extents below 2^31, found 0 x 1 x 16}}
func.func private @cache_without_layers(!grok.cache<0 x 1 x 16, f32>)

// -----

// expected-error@+1 {{expects kv heads * head size below 2^31, found 65536 x 65536}}
func.func private @cache_of_huge_heads(!grok.cache<1 x 65536 x 65536, f32>)

// -----

// expected-error@+1 {{expects a cache of f32 or bf16, found 'i32'}}
func.func private @cache_of_integers(!grok.cache<1 x 1 x 16, i32>)

// -----

func.func @weight_without_path() {
  // expected-error@+1 {{expects a path}}
  %w = grok.weight "" : tensor<8x4xf32>
  return
}

// -----

func.func @weight_of_codes_without_format() {
  // expected-error@+1 {{static tensor of f32 or bf16 values, or of i8 codes under #grok.format}}
  %w = grok.weight "w" : tensor<8x4xi8>
  return
}

// -----

func.func @weight_of_dynamic_shape() {
  // expected-error@+1 {{static tensor of f32 or bf16 values}}
  %w = grok.weight "w" : tensor<?x4xf32>
  return
}

// -----

func.func @dequantize_to_another_shape(%w: tensor<8x4xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>>) {
  // expected-error@+1 {{expects a result of the same shape}}
  %f = grok.dequantize %w : tensor<8x4xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>> -> tensor<8x5xf32>
  return
}

// -----

func.func @embed_token_matrix(%t: tensor<?x1xi32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects tokens of rank 1}}
  %h = grok.embed %t, %w {multiplier = 1.0 : f64} : tensor<?x1xi32>, tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @embed_expert_table(%t: tensor<?xi32>, %w: tensor<2x16x8xf32>) {
  // expected-error@+1 {{expects table of rank 2}}
  %h = grok.embed %t, %w {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<2x16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @embed_to_a_vector(%t: tensor<?xi32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects result of rank 2}}
  %h = grok.embed %t, %w {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<16x8xf32> -> tensor<8xf32>
  return
}

// -----

func.func @embed_to_other_rows(%t: tensor<3xi32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects equal row counts}}
  %h = grok.embed %t, %w {multiplier = 1.0 : f64} : tensor<3xi32>, tensor<16x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @embed_to_another_width(%t: tensor<?xi32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects result columns to be 8, found 9}}
  %h = grok.embed %t, %w {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<16x8xf32> -> tensor<?x9xf32>
  return
}

// -----

func.func @embed_with_infinite_multiplier(%t: tensor<?xi32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects multiplier to be finite, found INF}}
  %h = grok.embed %t, %w {multiplier = 0x7FF0000000000000 : f64} : tensor<?xi32>, tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @norm_of_a_vector(%x: tensor<8xf32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @norm_with_matrix_scale(%x: tensor<?x8xf32>, %s: tensor<1x8xf32>) {
  // expected-error@+1 {{expects scale of rank 1}}
  %y = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<1x8xf32>
  return
}

// -----

func.func @norm_with_short_scale(%x: tensor<?x8xf32>, %s: tensor<7xf32>) {
  // expected-error@+1 {{expects scale length to be 8, found 7}}
  %y = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<7xf32>
  return
}

// -----

func.func @norm_without_eps(%x: tensor<?x8xf32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{expects eps to be positive and finite}}
  %y = grok.rms_norm %x, %s {eps = 0.0 : f64} : tensor<?x8xf32>, tensor<8xf32>
  return
}

// -----

func.func @linear_of_a_vector(%x: tensor<8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = grok.linear %x, %w : tensor<8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @linear_by_experts(%x: tensor<?x8xf32>, %w: tensor<2x8x4xf32>) {
  // expected-error@+1 {{expects weight of rank 2}}
  %y = grok.linear %x, %w : tensor<?x8xf32>, tensor<2x8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @linear_to_a_vector(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects result of rank 2}}
  %y = grok.linear %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<4xf32>
  return
}

// -----

func.func @linear_to_other_rows(%x: tensor<3x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.linear %x, %w : tensor<3x8xf32>, tensor<8x4xf32> -> tensor<2x4xf32>
  return
}

// -----

func.func @linear_of_another_width(%x: tensor<?x8xf32>, %w: tensor<7x4xf32>) {
  // expected-error@+1 {{expects weight rows to be 8, found 7}}
  %y = grok.linear %x, %w : tensor<?x8xf32>, tensor<7x4xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @linear_to_another_width(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects result columns to be 4, found 5}}
  %y = grok.linear %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @rope_of_odd_heads(%x: tensor<?x12xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects head_dim to be positive and even, found 3}}
  %y = grok.rope %x, %s {head_dim = 3 : i64, base = 1.0e4 : f64} : tensor<?x12xf32>
  return
}

// -----

func.func @rope_of_negative_heads(%x: tensor<?x12xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects head_dim to be positive and even, found -4}}
  %y = grok.rope %x, %s {head_dim = -4 : i64, base = 1.0e4 : f64} : tensor<?x12xf32>
  return
}

// -----

func.func @rope_of_broken_heads(%x: tensor<?x12xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects whole heads of 8 columns}}
  %y = grok.rope %x, %s {head_dim = 8 : i64, base = 1.0e4 : f64} : tensor<?x12xf32>
  return
}

// -----

func.func @rope_without_base(%x: tensor<?x12xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects base to be positive and finite}}
  %y = grok.rope %x, %s {head_dim = 4 : i64, base = -1.0 : f64} : tensor<?x12xf32>
  return
}

// -----

func.func @rope_of_a_vector(%x: tensor<12xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = grok.rope %x, %s {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<12xf32>
  return
}

// -----

func.func @write_after_the_last_layer(%c: !grok.cache<2 x 1 x 16, f32>, %k: tensor<?x16xf32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects a layer from 0 to 1, found 2}}
  %n = grok.cache_write %c, %k, %k, %t, %s {layer = 2 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
  return
}

// -----

func.func @write_before_the_first_layer(%c: !grok.cache<2 x 1 x 16, f32>, %k: tensor<?x16xf32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects a layer from 0 to 1, found -1}}
  %n = grok.cache_write %c, %k, %k, %t, %s {layer = -1 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
  return
}

// -----

func.func @write_of_other_heads(%c: !grok.cache<2 x 1 x 16, f32>, %k: tensor<?x32xf32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects columns of keys (kv heads * head size) to be 16, found 32}}
  %n = grok.cache_write %c, %k, %k, %t, %s {layer = 0 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<?x32xf32>, tensor<?xi32>
  return
}

// -----

func.func @write_of_other_rows(%c: !grok.cache<2 x 1 x 16, f32>, %k: tensor<3x16xf32>, %t: tensor<2xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects equal row counts}}
  %n = grok.cache_write %c, %k, %k, %t, %s {layer = 0 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<3x16xf32>, tensor<2xi32>
  return
}

// -----

func.func @write_of_a_vector(%c: !grok.cache<2 x 1 x 16, f32>, %k: tensor<16xf32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects keys of rank 2}}
  %n = grok.cache_write %c, %k, %k, %t, %s {layer = 0 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<16xf32>, tensor<?xi32>
  return
}

// -----

func.func @write_with_token_matrix(%c: !grok.cache<2 x 1 x 16, f32>, %k: tensor<?x16xf32>, %t: tensor<?x1xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects tokens of rank 1}}
  %n = grok.cache_write %c, %k, %k, %t, %s {layer = 0 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?x1xi32>
  return
}

// -----

func.func @attention_of_half_a_group(%q: tensor<?x48xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects query heads to be a multiple of the 2 kv heads of size 16}}
  %o = grok.attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x48xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @attention_of_unknown_heads(%q: tensor<?x?xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects query heads to be a multiple of the 2 kv heads of size 16}}
  %o = grok.attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x?xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @attention_of_another_layer(%q: tensor<?x64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects a layer from 0 to 1, found 2}}
  %o = grok.attention %q, %c, %s {layer = 2 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @attention_without_cap(%q: tensor<?x64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects softcap to be positive and finite}}
  %o = grok.attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 0.0 : f64} : tensor<?x64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @attention_with_infinite_multiplier(%q: tensor<?x64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects multiplier to be finite}}
  %o = grok.attention %q, %c, %s {layer = 0 : i64, multiplier = 0x7FF0000000000000 : f64, softcap = 30.0 : f64} : tensor<?x64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @attention_of_a_vector(%q: tensor<64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects query of rank 2}}
  %o = grok.attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @route_to_too_many(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects 1 to 4 selected experts}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x5xf32>, tensor<?x5xi32>
  return
}

// -----

func.func @route_to_nobody(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects 1 to 4 selected experts}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x0xf32>, tensor<?x0xi32>
  return
}

// -----

func.func @route_with_other_indices(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects columns of experts to be 2, found 1}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x1xi32>
  return
}

// -----

func.func @route_of_another_width(%x: tensor<?x7xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects weight rows to be 7, found 8}}
  %g, %e = grok.route %x, %w : tensor<?x7xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return
}

// -----

func.func @route_of_other_rows(%x: tensor<3x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects equal row counts}}
  %g, %e = grok.route %x, %w : tensor<3x8xf32>, tensor<8x4xf32> -> tensor<2x2xf32>, tensor<3x2xi32>
  return
}

// -----

func.func @route_of_a_vector(%x: tensor<8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %g, %e = grok.route %x, %w : tensor<8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return
}

// -----

func.func @route_by_a_vector(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects weight of rank 2}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return
}

// -----

func.func @route_to_vectors(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects gates of rank 2}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?xf32>, tensor<?xi32>
  return
}

// -----

func.func @route_to_a_vector_of_experts(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?xi32>
  return
}

// -----

func.func @experts_of_a_vector(%x: tensor<8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects x of rank 2 or 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_by_one_matrix(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects weight of rank 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_by_a_vector_of_indices(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?xi32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_to_a_matrix(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result of rank 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @experts_of_other_rows(%x: tensor<3x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<2x2xi32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.expert_matmul %x, %w, %e : tensor<3x8xf32>, tensor<4x8x6xf32>, tensor<2x2xi32> -> tensor<3x2x6xf32>
  return
}

// -----

func.func @experts_of_another_width(%x: tensor<?x7xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects weight rows to be 7, found 8}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x7xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_to_another_width(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result columns to be 6, found 5}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x5xf32>
  return
}

// -----

func.func @experts_to_another_count(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects selected experts of result to be 2, found 1}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x1x6xf32>
  return
}

// -----

func.func @experts_of_another_count(%x: tensor<?x3x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects selected experts of x to be 2, found 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x3x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_beyond_all(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x5xi32>) {
  // expected-error@+1 {{expects 1 to 4 selected experts}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x5xi32> -> tensor<?x5x6xf32>
  return
}

// -----

func.func @gelu_to_another_shape(%g: tensor<?x2x6xf32>) {
  // expected-error@+1 {{expects a result of the same shape}}
  %y = grok.gelu_gate %g, %g : tensor<?x2x6xf32> -> tensor<?x2x5xf32>
  return
}

// -----

func.func @combine_a_matrix(%x: tensor<?x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects x of rank 3}}
  %y = grok.combine %x, %g, %e : tensor<?x6xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_by_a_vector(%x: tensor<?x2x6xf32>, %g: tensor<?xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects gates of rank 2}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_by_one_expert(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?xi32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_to_a_vector(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result of rank 2}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<6xf32>
  return
}

// -----

func.func @combine_other_rows(%x: tensor<3x2x6xf32>, %g: tensor<2x2xf32>, %e: tensor<3x2xi32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.combine %x, %g, %e : tensor<3x2x6xf32>, tensor<2x2xf32>, tensor<3x2xi32> -> tensor<3x6xf32>
  return
}

// -----

func.func @combine_by_other_gates(%x: tensor<?x2x6xf32>, %g: tensor<?x3xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects columns of gates to be 2, found 3}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x3xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_by_other_experts(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x3xi32>) {
  // expected-error@+1 {{expects columns of experts to be 2, found 3}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?x3xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_to_another_width(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result columns to be 6, found 5}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x5xf32>
  return
}

// -----

func.func @logit_rows_of_all_rows(%x: tensor<3x8xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects a dynamic row count}}
  %y = grok.logit_rows %x, %s : tensor<3x8xf32>
  return
}

// -----

func.func @logit_rows_of_a_vector(%x: tensor<?xf32>, %s: !grok.step) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = grok.logit_rows %x, %s : tensor<?xf32>
  return
}

// -----

func.func @unembed_a_vector(%x: tensor<8xf32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = grok.unembed %x, %w {multiplier = 1.0 : f64} : tensor<8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return
}

// -----

func.func @unembed_by_experts(%x: tensor<?x8xf32>, %w: tensor<2x16x8xf32>) {
  // expected-error@+1 {{expects table of rank 2}}
  %y = grok.unembed %x, %w {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<2x16x8xf32> -> tensor<?x16xf32>
  return
}

// -----

func.func @unembed_to_a_vector(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects result of rank 2}}
  %y = grok.unembed %x, %w {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<16xf32>
  return
}

// -----

func.func @unembed_other_rows(%x: tensor<3x8xf32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.unembed %x, %w {multiplier = 1.0 : f64} : tensor<3x8xf32>, tensor<16x8xf32> -> tensor<2x16xf32>
  return
}

// -----

func.func @unembed_another_width(%x: tensor<?x7xf32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects table columns to be 7, found 8}}
  %y = grok.unembed %x, %w {multiplier = 1.0 : f64} : tensor<?x7xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return
}

// -----

func.func @unembed_to_another_vocabulary(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects result columns to be 16, found 8}}
  %y = grok.unembed %x, %w {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @unembed_with_infinite_multiplier(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) {
  // expected-error@+1 {{expects multiplier to be finite}}
  %y = grok.unembed %x, %w {multiplier = 0xFFF0000000000000 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return
}

// -----

// expected-error@+1 {{expects grok.numerics to be "f32" or "bf16", found "f16"}}
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
