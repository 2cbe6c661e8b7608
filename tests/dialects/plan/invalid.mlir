// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of the types, attributes, kernels and packed tensors.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{expects max >= 1, got 0}}
func.func private @no_tiles() attributes {x = #plan.tiles<constant = 1, max = 0>}

// -----

// expected-error@+1 {{expects no negative number}}
func.func private @negative_tiles() attributes {x = #plan.tiles<constant = -1, max = 1>}

// -----

// expected-error@+1 {{expects either a count (per_row, per_logit_row, constant) or an operand}}
func.func private @two_counts() attributes {x = #plan.tiles<per_row = 1, operand = 0, max = 1>}

// -----

// expected-error@+1 {{expects an operand for element 1}}
func.func private @element_of_nothing() attributes {x = #plan.tiles<per_row = 1, element = 1, max = 1>}

// -----

// expected-error@+1 {{expects at least one device and one byte of memory}}
func.func private @no_device() attributes {x = #plan.machine<"m", devices = 0, memory = 1, read = 1.0 : f64, peak = {}, link_latency = 0.0 : f64, link_rate = 0.0 : f64>}

// -----

// expected-error@+1 {{expects a positive read rate}}
func.func private @no_read_rate() attributes {x = #plan.machine<"m", devices = 1, memory = 1, read = 0.0 : f64, peak = {}, link_latency = 0.0 : f64, link_rate = 0.0 : f64>}

// -----

// expected-error@+1 {{expects no negative link_latency or link_rate}}
func.func private @negative_link() attributes {x = #plan.machine<"m", devices = 1, memory = 1, read = 1.0 : f64, peak = {}, link_latency = -1.0 : f64, link_rate = 0.0 : f64>}

// -----

// expected-error@+1 {{expects peak "f32" to be a positive float}}
func.func private @no_peak() attributes {x = #plan.machine<"m", devices = 1, memory = 1, read = 1.0 : f64, peak = {f32 = 1 : i64}, link_latency = 0.0 : f64, link_rate = 0.0 : f64>}

// -----

// expected-error@+1 {{expects a tensor of rank >= 1 with whole-byte elements}}
func.func private @scalar_buffer(!plan.buffer<tensor<f32>>)

// -----

// expected-error@+1 {{expects a tensor of rank >= 1 with whole-byte elements}}
func.func private @bit_buffer(!plan.buffer<tensor<8xi4>>)

// -----

// expected-error@+1 {{expects positive sizes; only the first may be '?'}}
func.func private @two_row_axes(!plan.buffer<tensor<?x?xf32>>)

// -----

// expected-error@+1 {{expects positive sizes; only the first may be '?'}}
func.func private @empty_buffer(!plan.buffer<tensor<0x4xf32>>)

// -----

// expected-error@+1 {{expects fewer elements than 2^56}}
func.func private @absurd_buffer(!plan.buffer<tensor<?x4294967296x4294967296xf32>>)

// -----

// expected-error@+1 {{expects no encoding, or #grok.format on a matrix}}
func.func private @unknown_encoding(!plan.buffer<tensor<4x4xf32, "sparse">>)

// -----

// expected-error@+1 {{expects "plan.max_context" to be an i64 of 1..2147483647}}
module attributes {plan.max_context = 0 : i64} {}

// -----

// expected-error@+1 {{expects plan.page with i64 tokens, bytes and layer_bytes, and kv}}
module attributes {plan.page = {tokens = 32 : i64, bytes = 64 : i64, kv = "f32"}} {}

// -----

// expected-error@+1 {{expects plan.page bytes to be a multiple of layer_bytes, and that of 64}}
module attributes {plan.page = {tokens = 32 : i64, bytes = 100 : i64, layer_bytes = 64 : i64, kv = "f32"}} {}

// -----

// expected-error@+1 {{does not know "plan.pages"}}
module attributes {plan.pages = 1 : i64} {}

// -----

// expected-error@+1 {{does not expect "plan.max_context"; it belongs to the module}}
func.func private @elsewhere() attributes {plan.max_context = 1 : i64}

// -----

// expected-error@+1 {{expects the name of an op}}
plan.kernel @k "" {} operands 1

// -----

// expected-error@+1 {{expects at least one operand, got 0}}
plan.kernel @k "k" {} operands 0

// -----

plan.layout @cpu {
  // expected-error@+1 {{does not belong in a plan.layout; expects plan.tensor}}
  plan.kernel @k "k" {} operands 1
}

// -----

plan.program @main {
  // expected-error@+1 {{does not belong in a plan.program; expects plan.bucket}}
  %c = arith.constant 1 : i64
}

// -----

// expected-error@+1 {{expects at least one plan.bucket}}
plan.program @main {
}

// -----

plan.program @main {
  plan.bucket rows 8 {
  }
  // expected-error@+1 {{expects more rows than the bucket before it, which has 8}}
  plan.bucket rows 8 {
  }
}

// -----

// expected-note@+1 {{the other kernel}}
plan.kernel @a "k" {n = 1 : i64} operands 1
// expected-error@+1 {{has the specification of another kernel}}
plan.kernel @b "k" {n = 1 : i64} operands 1
plan.program @main {
  plan.bucket rows 1 {
  }
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects a static type without encoding}}
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<?xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{has a type that no buffer can hold: expects positive sizes}}
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<0xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects logical sizes of 1..}}
  plan.tensor @t source "t" packing "vector16" logical [0] : tensor<16xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects rope_base exactly with packing 'rope'}}
  plan.tensor @t source "t" packing "rope" logical [8, 2, 4] : tensor<8x2x4xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects rope_base exactly with packing 'rope'}}
  plan.tensor @t source "t" packing "vector16" logical [16] {rope_base = 1.0 : f64} : tensor<16xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{has packing 'panel8' with 2 logical sizes; expects panel16.k1|k2|k4, panel16.i4|i3.g32|g64, scales16, vector16, rope, first16 or slots}}
  plan.tensor @t source "t" packing "panel8" logical [16, 16] : tensor<1x16x16x1xf32>
}

// -----

// Experts are numbers of the logical shape's, ascending.
plan.layout @cpu {
  // expected-error@+1 {{expects experts to be some of those of its logical shape, ascending}}
  plan.tensor @t source "t" packing "slots" logical [4] {experts = array<i64: 2, 1>} : tensor<4xi32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects experts to be some of those of its logical shape, ascending}}
  plan.tensor @t source "t" packing "panel16.k4" logical [4, 64, 16] {experts = array<i64: 0, 4>, unit = 64 : i64} : tensor<2x1x16x16x4xi8>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects shape 2x1x16x16x4 of packing 'panel16.k4'}}
  plan.tensor @t source "t" packing "panel16.k4" logical [4, 64, 16] {experts = array<i64: 0, 3>, unit = 64 : i64} : tensor<4x1x16x16x4xi8>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{has packing 'vector16' with 2 logical sizes}}
  plan.tensor @t source "t" packing "vector16" logical [16, 16] : tensor<16xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects a logical matrix, or a matrix for each expert that is not transposed}}
  plan.tensor @t source "t" packing "panel16.k1" logical [2, 16, 16] {transposed, unit = 16 : i64} : tensor<2x1x16x16x1xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects packing panel16.k1 or panel16.k4 for its elements}}
  plan.tensor @t source "t" packing "panel16.k2" logical [16, 16] {unit = 16 : i64} : tensor<1x8x16x2xi8>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects column_group to divide the 16 columns, got 5}}
  plan.tensor @t source "t" packing "panel16.k1" logical [16, 16] {unit = 16 : i64, column_group = 5 : i64} : tensor<1x16x16x1xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects slices to be a power of two that divides the 16 inputs, got 3}}
  plan.tensor @t source "t" packing "panel16.k1" logical [16, 16] {unit = 16 : i64, slices = 3 : i64} : tensor<1x16x16x1xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects row_groups to divide the 16 inputs, got 3}}
  plan.tensor @t source "t" packing "panel16.k1" logical [16, 16] {unit = 16 : i64, row_groups = 3 : i64} : tensor<1x16x16x1xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects a unit that divides slices and row groups, got 16}}
  plan.tensor @t source "t" packing "panel16.k1" logical [16, 16] {unit = 16 : i64, slices = 2 : i64} : tensor<1x16x16x1xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{packs 4 inputs together, which do not divide the unit 2}}
  plan.tensor @t source "t" packing "panel16.k4" logical [16, 16] {unit = 2 : i64} : tensor<1x4x16x4xi8>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects shape 2x16x16x1 of packing 'panel16.k1', got 'tensor<1x16x16x1xf32>'}}
  plan.tensor @t source "t" packing "panel16.k1" logical [16, 17] {unit = 16 : i64} : tensor<1x16x16x1xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects logical scales [groups, columns], for each expert if there are several}}
  plan.tensor @t source "t" packing "scales16" logical [16] : tensor<16xbf16>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects column_group to divide the 16 columns, got 32}}
  plan.tensor @t source "t" packing "scales16" logical [1, 16] {column_group = 32 : i64} : tensor<1x16xbf16>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects shape 2x32 of packing 'scales16'}}
  plan.tensor @t source "t" packing "scales16" logical [2, 24] {column_group = 12 : i64} : tensor<2x24xbf16>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects shape 16 of packing 'vector16'}}
  plan.tensor @t source "t" packing "vector16" logical [12] : tensor<12xf32>
}

// -----

plan.layout @cpu {
  // expected-error@+1 {{expects shape 8x2x4 of packing 'rope'}}
  plan.tensor @t source "t" packing "rope" logical [8, 2, 4] {rope_base = 1.0 : f64} : tensor<8x2x8xf32>
}
