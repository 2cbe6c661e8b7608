// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of the other plain ops.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

func.func @weight_without_path() {
  // expected-error@+1 {{expects a path}}
  %w = grok.weight "" : tensor<8x4xf32>
  return
}

// -----

func.func @weight_of_codes_without_format() {
  // expected-error@+1 {{static tensor of f32 or bf16 values, or of integer codes under #grok.format}}
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

func.func @quantize_to_four_bits(%x: tensor<?x96xf32>) {
  // expected-error@+1 {{'grok.quantize' op expects a result of 8 or 15 bits with f32 scales along the last axis, found}}
  %q = grok.quantize %x : tensor<?x96xf32> -> tensor<?x96xf32, #grok.format<bits = 4, group_rows = 32, scale = f32, along = last>>
  return
}

// -----

func.func @quantize_to_fewer_columns(%x: tensor<?x96xf32>) {
  // expected-error@+1 {{'grok.quantize' op expects result columns to be 96, found 64}}
  %q = grok.quantize %x : tensor<?x96xf32> -> tensor<?x64xf32, #grok.format<bits = 8, group_rows = 32, scale = f32, along = last>>
  return
}
