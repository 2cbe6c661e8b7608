// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of the fused ops.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

// -----

func.func @qkv_of_a_vector(%x: tensor<8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects x of rank 2}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_to_a_vector(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects rotated of rank 2}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<32xf32>
  return
}

// -----

func.func @qkv_with_token_matrix(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?x1xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects tokens of rank 1}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?x1xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_other_rows(%x: tensor<3x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<2xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects equal row counts}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<3x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<2xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_another_layer(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects a layer from 0 to 1, found 2}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 2 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_by_query_experts(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<2x8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects query of rank 2}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<2x8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_another_query_width(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<7x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects query rows to be 8, found 7}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<7x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_to_other_query_heads(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x16xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects query columns to be 32, found 16}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_to_other_key_heads(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x32xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects key columns to be 16, found 32}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_to_other_value_heads(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x32xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects value columns to be 16, found 32}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x32xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_another_value_width(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<9x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects value rows to be 8, found 9}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<9x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_another_head_size(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects head_dim to be 16, found 8}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 8 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_broken_heads(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x24xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects whole heads of 16 columns}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x24xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x24xf32>
  return
}

// -----

func.func @qkv_without_base(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects base to be positive and finite}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 0.0 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_of_two_types(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects one activation type}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xbf16>
  return
}

// -----

func.func @qkv_with_short_norm(%x: tensor<?x8xf32>, %n: tensor<7xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects scale length to be 8, found 7}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<7xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @qkv_without_eps(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %q: tensor<8x32xf32>, %k: tensor<8x16xf32>, %v: tensor<8x16xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %t: tensor<?xi32>, %s: !grok.step) {
  // expected-error@+1 {{expects eps to be positive and finite}}
  %r, %u = grok.fused_qkv %x norm %n weights %q, %k, %v cache %c, %t, %s
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = -1.0 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @flash_without_slices(%q: tensor<?x64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects key_slice to be positive, found 0}}
  %o = grok.flash_attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 0 : i64} : tensor<?x64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @flash_of_half_a_group(%q: tensor<?x48xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects query heads to be a multiple of the 2 kv heads of size 16}}
  %o = grok.flash_attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x48xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @flash_of_another_layer(%q: tensor<?x64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects a layer from 0 to 1, found 2}}
  %o = grok.flash_attention %q, %c, %s {layer = 2 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @flash_without_cap(%q: tensor<?x64xf32>, %c: !grok.cache<2 x 2 x 16, f32>, %s: !grok.step) {
  // expected-error@+1 {{expects softcap to be positive and finite}}
  %o = grok.flash_attention %q, %c, %s {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 0.0 : f64, key_slice = 256 : i64} : tensor<?x64xf32>, !grok.cache<2 x 2 x 16, f32>
  return
}

// -----

func.func @gate_and_up_of_two_shapes(%x: tensor<?x8xf32>, %g: tensor<4x8x6xf32>, %u: tensor<4x8x5xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects gate and up of the same shape}}
  %y = grok.fused_gate_up %x, %g, %u, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<4x8x5xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @gate_up_of_another_width(%x: tensor<?x7xf32>, %g: tensor<4x8x6xf32>, %u: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects weight rows to be 7, found 8}}
  %y = grok.fused_gate_up %x, %g, %u, %e : tensor<?x7xf32>, tensor<4x8x6xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @gate_up_of_nobody(%x: tensor<?x8xf32>, %g: tensor<4x8x6xf32>, %u: tensor<4x8x6xf32>, %e: tensor<?x0xi32>) {
  // expected-error@+1 {{expects 1 or more selected experts}}
  %y = grok.fused_gate_up %x, %g, %u, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<4x8x6xf32>, tensor<?x0xi32> -> tensor<?x0x6xf32>
  return
}

// -----

func.func @down_of_a_matrix(%x: tensor<?x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects x of rank 3}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x6xf32>, tensor<4x6x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_by_one_matrix(%x: tensor<?x2x6xf32>, %d: tensor<6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects down of rank 3}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<6x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_by_a_vector_of_gates(%x: tensor<?x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects gates of rank 2}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_by_a_vector_of_experts(%x: tensor<?x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?xi32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xf32>, tensor<?xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_to_experts(%x: tensor<?x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result of rank 2}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  return
}

// -----

func.func @down_of_other_rows(%x: tensor<3x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<3x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<2x8xf32>
  return
}

// -----

func.func @down_of_another_width(%x: tensor<?x2x6xf32>, %d: tensor<4x5x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects down rows to be 6, found 5}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x5x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_by_other_gates(%x: tensor<?x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x3xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects columns of gates to be 2, found 3}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x3xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_by_other_experts(%x: tensor<?x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x3xi32>) {
  // expected-error@+1 {{expects columns of experts to be 2, found 3}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xf32>, tensor<?x3xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_of_nobody(%x: tensor<?x0x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x0xf32>, %e: tensor<?x0xi32>) {
  // expected-error@+1 {{expects 1 or more selected experts}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x0x6xf32>, tensor<4x6x8xf32>, tensor<?x0xf32>, tensor<?x0xi32> -> tensor<?x8xf32>
  return
}

// -----

func.func @down_to_another_width(%x: tensor<?x2x6xf32>, %d: tensor<4x6x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result columns to be 8, found 9}}
  %y = grok.fused_down_combine %x, %d, %g, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x9xf32>
  return
}

// -----

func.func @residual_of_another_width(%h: tensor<?x8xf32>, %s: tensor<7xf32>) {
  // expected-error@+1 {{expects scale length to be 8, found 7}}
  %a, %b = grok.fused_residual_norm %h, %h, %s, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<7xf32>
  return
}

// -----

func.func @residual_without_eps(%h: tensor<?x8xf32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{expects eps to be positive and finite}}
  %a, %b = grok.fused_residual_norm %h, %h, %s, %s {eps = 0.0 : f64} : tensor<?x8xf32>, tensor<8xf32>
  return
}
