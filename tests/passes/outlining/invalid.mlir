// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What no plan can be made of is refused by name.
// RUN: grok-opt %s --split-input-file --verify-diagnostics --grok-outline-kernels

// expected-error@+1 {{expects the step as func.func @step with one block}}
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
}

// -----

// expected-error@+1 {{expects grok.model and grok.numerics on the module}}
module attributes {grok.model = {sequence_len = 64 : i64}} {
func.func @step(%c: !grok.cache<1 x 2 x 16, f32>) {
  return
}
}

// -----

// expected-error@+1 {{expects option max-context of 1..16777216, got 0}}
module attributes {grok.model = {}, grok.numerics = "f32"} {
func.func @step(%c: !grok.cache<1 x 2 x 16, f32>) {
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
// expected-error@+1 {{expects a cache as an argument}}
func.func @step() {
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
// expected-error@+1 {{expects one cache, found two}}
func.func @step(%a: !grok.cache<1 x 2 x 16, f32>, %b: !grok.cache<1 x 2 x 16, f32>) {
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
// expected-error@+1 {{expects a cache of at most 4096 layers}}
func.func @step(%a: !grok.cache<5000 x 2 x 16, f32>) {
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  // expected-error@+1 {{has no kernel; expects the fused form of the step (grok-fusion)}}
  %s = grok.add %h, %h : tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  // expected-error@+1 {{has a result of type 'tensor<?x96xbf16>' under grok.numerics = "f32"}}
  %b = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xbf16>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %t: tensor<512x96xf32>, %c0: !grok.cache<1 x 2 x 16, f32>) {
  // expected-error@+1 {{expects a grok.weight as its operand of type}}
  %h = grok.embed %tokens, %t {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xi8, #grok.format<bits = 8, group_rows = 512, scale = bf16>>
  // expected-error@+1 {{expects a table of f32, bf16 or of a format along the last axis}}
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xi8, #grok.format<bits = 8, group_rows = 512, scale = bf16>> -> tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %w = grok.weight "w" : tensor<96x32xi8, #grok.format<bits = 4, group_rows = 96, scale = bf16>>
  // expected-error@+1 {{kernels read 8 bits with bf16 scales, or 4 (3) bits with multipliers of 32 or 64 rows and zero point 8 (4)}}
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x32xi8, #grok.format<bits = 4, group_rows = 96, scale = bf16>> -> tensor<?x32xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %w = grok.weight "w" : tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = f32>>
  // expected-error@+1 {{kernels read 8 bits with bf16 scales, or 4 (3) bits with multipliers of 32 or 64 rows and zero point 8 (4)}}
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = f32>> -> tensor<?x32xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %w = grok.weight "w" : tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16, zero_point = 3>>
  // expected-error@+1 {{kernels read 8 bits with bf16 scales, or 4 (3) bits with multipliers of 32 or 64 rows and zero point 8 (4)}}
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16, zero_point = 3>> -> tensor<?x32xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %w = grok.weight "w" : tensor<96x2097152xf32>
  // expected-error@+1 {{reads 'w' of 'tensor<96x2097152xf32>'; kernels take extents of 1..1048576}}
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x2097152xf32> -> tensor<?x2097152xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %w = grok.weight "w" : tensor<96x96xf32>
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %w2 = grok.weight "table" : tensor<96x96xf32>
  // expected-error@+1 {{needs 'table' in another order than an earlier op; a layout holds a tensor once}}
  %z = grok.linear %y, %w2 : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%x: tensor<?x96xf32>, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %w = grok.weight "w" : tensor<96x32xf32>
  // expected-error@+1 {{reads a value of type 'tensor<?x96xf32>' that no earlier launch of the step writes}}
  %y = grok.linear %x, %w : tensor<?x96xf32>, tensor<96x32xf32> -> tensor<?x32xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %n = grok.weight "n" : tensor<96xf32>
  %w = grok.weight "w" : tensor<96x96xf32>
  %a = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  // expected-error@+1 {{expects to be the last op that reads the residual, which it updates in place}}
  %h1, %x = grok.fused_residual_norm %h, %a, %n, %n {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  // expected-note@+1 {{the other reader}}
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %rows = grok.logit_rows %h, %step : tensor<?x96xf32>
  %w = grok.weight "w" : tensor<96x96xf32>
  // expected-error@+1 {{reads chosen rows; expects only grok.rms_norm, grok.quantize and grok.unembed after grok.logit_rows}}
  %y = grok.linear %rows, %w : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  // expected-error@+1 {{expects rows chosen by grok.logit_rows; its kernel reads the step's logit rows}}
  %l = grok.unembed %h, %table {multiplier = 1.0 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) -> tensor<?x96xf32> {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  // expected-error@+1 {{expects to return logits and the cache, found a value of type 'tensor<?x96xf32>'}}
  return %h : tensor<?x96xf32>
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %wq = grok.weight "q" : tensor<96x96xf32>
  %wk = grok.weight "k" : tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
  %wv = grok.weight "v" : tensor<96x32xf32>
  // expected-error@+1 {{expects query, key and value weights in one format}}
  %q, %c1 = grok.fused_qkv %h weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32>, tensor<96x96xf32>, tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<96x32xf32>, !grok.cache<1 x 2 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %wq = grok.weight "q" : tensor<96x96xf32>
  %wk = grok.weight "k" : tensor<96x32xf32>
  %wv = grok.weight "v" : tensor<96x32xf32>
  %q, %c1 = grok.fused_qkv %h weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32>, tensor<96x96xf32>, tensor<96x32xf32>, tensor<96x32xf32>, !grok.cache<1 x 2 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  // expected-error@+1 {{expects the cache as last written; the plan updates it in place}}
  %o = grok.flash_attention %q, %c0, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xf32>, !grok.cache<1 x 2 x 16, f32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %wq = grok.weight "q" : tensor<96x96xf32>
  %wk = grok.weight "k" : tensor<96x32xf32>
  %wv = grok.weight "v" : tensor<96x32xf32>
  %q, %c1 = grok.fused_qkv %h weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32>, tensor<96x96xf32>, tensor<96x32xf32>, tensor<96x32xf32>, !grok.cache<1 x 2 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  // expected-error@+1 {{expects page-tokens, 32, to divide key_slice, 48}}
  %o = grok.flash_attention %q, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 48 : i64} : tensor<?x96xf32>, !grok.cache<1 x 2 x 16, f32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %wq = grok.weight "q" : tensor<96x96xf32>
  %wk = grok.weight "k" : tensor<96x32xf32>
  %wv = grok.weight "v" : tensor<96x32xf32>
  %q, %c1 = grok.fused_qkv %h weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32>, tensor<96x96xf32>, tensor<96x32xf32>, tensor<96x32xf32>, !grok.cache<1 x 2 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  // expected-error@+1 {{has no kernel under grok.numerics = "f32"; expects grok.flash_attention}}
  %o = grok.attention %q, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, !grok.cache<1 x 2 x 16, f32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "bf16"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xbf16>
  %wq = grok.weight "q" : tensor<96x96xf32>
  %wk = grok.weight "k" : tensor<96x32xf32>
  %wv = grok.weight "v" : tensor<96x32xf32>
  %q, %c1 = grok.fused_qkv %h weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xbf16>, tensor<96x96xf32>, tensor<96x32xf32>, tensor<96x32xf32>, !grok.cache<1 x 2 x 16, f32>, tensor<?xi32> -> tensor<?x96xbf16>
  // expected-error@+1 {{has no kernel under grok.numerics = "bf16"; expects grok.attention, in two passes}}
  %o = grok.flash_attention %q, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xbf16>, !grok.cache<1 x 2 x 16, f32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %wr = grok.weight "r" : tensor<96x8xf32>
  %g, %e = grok.route %h, %wr : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %wg = grok.weight "gate" : tensor<8x96x32xf32>
  %wu = grok.weight "up" : tensor<8x96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
  // expected-error@+1 {{expects gate and up weights in one format}}
  %y = grok.fused_gate_up %h, %wg, %wu, %e : tensor<?x96xf32>, tensor<8x96x32xf32>, tensor<8x96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x32xf32>
  return
}
}

// -----

module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %wr = grok.weight "r" : tensor<96x8xf32>
  %g, %e = grok.route %h, %wr : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %wg = grok.weight "gate" : tensor<8x32x96xf32>
  %wd = grok.weight "down" : tensor<8x96x32xf32>
  %y = grok.fused_gate_up %h, %wd, %wd, %e : tensor<?x96xf32>, tensor<8x96x32xf32>, tensor<8x96x32xf32>, tensor<?x2xi32> -> tensor<?x2x32xf32>
  // expected-error@+1 {{expects one row of x for each token}}
  %z = grok.fused_gate_up %y, %wg, %wg, %e : tensor<?x2x32xf32>, tensor<8x32x96xf32>, tensor<8x32x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  return
}
}

// -----

!int8 = tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
!quantized = tensor<?x96xf32, #grok.format<bits = 8, group_rows = 48, scale = f32, along = last>>
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "fast"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %w = grok.weight "w" : !int8
  %q = grok.quantize %h : tensor<?x96xf32> -> !quantized
  // expected-error@+1 {{expects its input quantized in groups of 32 for 'w', found 48}}
  %y = grok.linear %q, %w : !quantized, !int8 -> tensor<?x32xf32>
  return
}
}
