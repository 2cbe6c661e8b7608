// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every op, type and attribute as its documentation shows it.
// RUN: grok-opt %s | grok-opt | FileCheck %s
// RUN: grok-opt %s --mlir-print-op-generic | grok-opt | FileCheck %s

!i8x2 = tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>

// CHECK-LABEL: func @weight
// CHECK: grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
func.func @weight() -> tensor<96x8xf32> {
  %w = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
  return %w : tensor<96x8xf32>
}

// CHECK-LABEL: func @names_weights_after_their_path
// CHECK: %layer3_moe_linear = grok.weight
// CHECK: %in_out_embed_embeddings = grok.weight
func.func @names_weights_after_their_path() {
  %0 = grok.weight "transformer/decoder_layer_3/moe/linear/w" : tensor<8x96x256xbf16>
  %1 = grok.weight "language_model/in_out_embed/embeddings" : tensor<512x96xf32>
  return
}

// CHECK-LABEL: func @format
// CHECK-SAME: tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>
// CHECK-SAME: #grok.format<bits = 4, group_rows = 32, scale = f16, zero_point = 8>
// CHECK-SAME: #grok.format<bits = 4, group_rows = 32, scale = f32, codebook = "nf4">
func.func @format(%a: !i8x2,
    %b: tensor<96x96xi8, #grok.format<bits = 4, group_rows = 32, scale = f16, zero_point = 8>>,
    %c: tensor<96x96xi8, #grok.format<bits = 4, group_rows = 32, scale = f32, codebook = "nf4">>) {
  return
}

// CHECK-LABEL: func @two_level_formats
// CHECK-SAME: tensor<96x64xi4, #grok.format<bits = 4, group_rows = 96, scale = bf16, multiplier_rows = 32, zero_point = 8>>
// CHECK-SAME: tensor<512x96xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16, along = last>>
// CHECK-SAME: tensor<2x96x64xi8, #grok.expert_formats<[<bits = 4, group_rows = 96, scale = bf16, multiplier_rows = 32, zero_point = 8>, <bits = 8, group_rows = 96, scale = bf16>]>>
func.func @two_level_formats(
    %a: tensor<96x64xi4, #grok.format<bits = 4, group_rows = 96, scale = bf16, multiplier_rows = 32, zero_point = 8>>,
    %b: tensor<512x96xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16, along = last>>,
    %c: tensor<2x96x64xi8, #grok.expert_formats<[#grok.format<bits = 4, group_rows = 96, scale = bf16, multiplier_rows = 32, zero_point = 8>, #grok.format<bits = 8, group_rows = 96, scale = bf16>]>>) {
  return
}

// CHECK-LABEL: func @quantize
// CHECK: grok.quantize %{{.*}} : tensor<?x96xf32> -> tensor<?x96xf32, #grok.format<bits = 8, group_rows = 32, scale = f32, along = last>>
func.func @quantize(%x: tensor<?x96xf32>) -> tensor<?x96xf32, #grok.format<bits = 8, group_rows = 32, scale = f32, along = last>> {
  %q = grok.quantize %x : tensor<?x96xf32> -> tensor<?x96xf32, #grok.format<bits = 8, group_rows = 32, scale = f32, along = last>>
  return %q : tensor<?x96xf32, #grok.format<bits = 8, group_rows = 32, scale = f32, along = last>>
}

// CHECK-LABEL: func @quantize_wide
// CHECK: grok.quantize %{{.*}} -> tensor<?x96xf32, #grok.format<bits = 15, group_rows = 32, scale = f32, along = last>>
func.func @quantize_wide(%x: tensor<?x96xf32>) -> tensor<?x96xf32, #grok.format<bits = 15, group_rows = 32, scale = f32, along = last>> {
  %q = grok.quantize %x : tensor<?x96xf32> -> tensor<?x96xf32, #grok.format<bits = 15, group_rows = 32, scale = f32, along = last>>
  return %q : tensor<?x96xf32, #grok.format<bits = 15, group_rows = 32, scale = f32, along = last>>
}

// CHECK-LABEL: func @dequantize
// CHECK: grok.dequantize %{{.*}} : tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>> -> tensor<96x96xf32>
func.func @dequantize(%w: !i8x2) -> tensor<96x96xf32> {
  %f = grok.dequantize %w : !i8x2 -> tensor<96x96xf32>
  return %f : tensor<96x96xf32>
}

// CHECK-LABEL: func @embed
// CHECK: grok.embed %{{.*}}, %{{.*}} {multiplier = 1.370000e+00 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
func.func @embed(%tokens: tensor<?xi32>, %table: tensor<512x96xf32>) -> tensor<?x96xf32> {
  %h = grok.embed %tokens, %table {multiplier = 1.37 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  return %h : tensor<?x96xf32>
}

// CHECK-LABEL: func @rms_norm
// CHECK: grok.rms_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
func.func @rms_norm(%x: tensor<?x96xf32>, %scale: tensor<96xf32>) -> tensor<?x96xf32> {
  %y = grok.rms_norm %x, %scale {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: func @linear
// CHECK: grok.linear %{{.*}}, %{{.*}} : tensor<?x96xf32>, tensor<96x64xf32> -> tensor<?x64xf32>
func.func @linear(%x: tensor<?x96xf32>, %w: tensor<96x64xf32>) -> tensor<?x64xf32> {
  %y = grok.linear %x, %w : tensor<?x96xf32>, tensor<96x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @rope
// CHECK: grok.rope %{{.*}}, %{{.*}} {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x96xbf16>
func.func @rope(%x: tensor<?x96xbf16>, %step: !grok.step) -> tensor<?x96xbf16> {
  %y = grok.rope %x, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xbf16>
  return %y : tensor<?x96xbf16>
}

// CHECK-LABEL: func @cache_write
// CHECK: grok.cache_write %{{.*}} {layer = 0 : i64} : <2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
func.func @cache_write(%c0: !grok.cache<2 x 1 x 16, f32>, %k: tensor<?x16xf32>, %v: tensor<?x16xf32>,
                       %tokens: tensor<?xi32>, %step: !grok.step) -> !grok.cache<2 x 1 x 16, f32> {
  %c1 = grok.cache_write %c0, %k, %v, %tokens, %step {layer = 0 : i64} : <2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
  return %c1 : !grok.cache<2 x 1 x 16, f32>
}

// CHECK-LABEL: func @attention
// CHECK: grok.attention %{{.*}} {layer = 0 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
func.func @attention(%q: tensor<?x96xf32>, %cache: !grok.cache<2 x 1 x 16, f32>, %step: !grok.step) -> tensor<?x96xf32> {
  %o = grok.attention %q, %cache, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: func @route
// CHECK: grok.route %{{.*}}, %{{.*}} : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
func.func @route(%x: tensor<?x96xf32>, %w: tensor<96x8xf32>) -> (tensor<?x2xf32>, tensor<?x2xi32>) {
  %gates, %experts = grok.route %x, %w : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return %gates, %experts : tensor<?x2xf32>, tensor<?x2xi32>
}

// CHECK-LABEL: func @expert_matmul
// CHECK: grok.expert_matmul %{{.*}} : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
// CHECK: grok.expert_matmul %{{.*}} {bf16_weight} : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
func.func @expert_matmul(%x: tensor<?x96xf32>, %w: tensor<8x96x256xf32>, %d: tensor<8x256x96xf32>,
                         %experts: tensor<?x2xi32>) -> tensor<?x2x96xf32> {
  %g = grok.expert_matmul %x, %w, %experts : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.expert_matmul %g, %d, %experts {bf16_weight} : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  return %y : tensor<?x2x96xf32>
}

// CHECK-LABEL: func @gelu_gate
// CHECK: grok.gelu_gate %{{.*}}, %{{.*}} : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
func.func @gelu_gate(%g: tensor<?x2x256xf32>, %u: tensor<?x2x256xf32>) -> tensor<?x2x256xf32> {
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: func @combine
// CHECK: grok.combine %{{.*}} : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
func.func @combine(%d: tensor<?x2x96xf32>, %gates: tensor<?x2xf32>, %experts: tensor<?x2xi32>) -> tensor<?x96xf32> {
  %o = grok.combine %d, %gates, %experts : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: func @add
// CHECK: grok.add %{{.*}}, %{{.*}} : tensor<?x96xf32>
func.func @add(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %h1 = grok.add %h, %a : tensor<?x96xf32>
  return %h1 : tensor<?x96xf32>
}

// CHECK-LABEL: func @logit_rows
// CHECK: grok.logit_rows %{{.*}}, %{{.*}} : tensor<?x96xf32>
func.func @logit_rows(%x: tensor<?x96xf32>, %step: !grok.step) -> tensor<?x96xf32> {
  %y = grok.logit_rows %x, %step : tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: func @unembed
// CHECK: grok.unembed %{{.*}}, %{{.*}} {multiplier = 5.700000e-01 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
func.func @unembed(%x: tensor<?x96xf32>, %table: tensor<512x96xf32>) -> tensor<?x512xf32> {
  %l = grok.unembed %x, %table {multiplier = 0.57 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
  return %l : tensor<?x512xf32>
}

// CHECK-LABEL: func @fused_qkv
// CHECK: grok.fused_qkv %{{.*}} norm %{{.*}} weights %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}}, %{{.*}}, %{{.*}} {base = 1.000000e+04 : f64, eps = {{.*}} : f64, head_dim = 16 : i64, layer = 0 : i64} : tensor<?x96xf32> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
// CHECK: grok.fused_qkv %{{[^ ]*}} weights
func.func @fused_qkv(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>,
                     %wv: tensor<96x16xf32>, %c0: !grok.cache<2 x 1 x 16, f32>, %tokens: tensor<?xi32>, %step: !grok.step) {
  %q, %c1 = grok.fused_qkv %x norm %s weights %wq, %wk, %wv cache %c0, %tokens, %step
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  %q1, %c2 = grok.fused_qkv %q weights %wq, %wk, %wv cache %c1, %tokens, %step
      {layer = 1 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  return
}

// CHECK-LABEL: func @flash_attention
// CHECK: grok.flash_attention %{{.*}} {key_slice = 256 : i64, layer = 0 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
func.func @flash_attention(%q: tensor<?x96xf32>, %cache: !grok.cache<2 x 1 x 16, f32>, %step: !grok.step) -> tensor<?x96xf32> {
  %o = grok.flash_attention %q, %cache, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: func @fused_gate_up
// CHECK: grok.fused_gate_up %{{.*}} : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
func.func @fused_gate_up(%x: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>,
                         %experts: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %y = grok.fused_gate_up %x, %wg, %wu, %experts : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: func @fused_down_combine
// CHECK: grok.fused_down_combine %{{.*}} : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
func.func @fused_down_combine(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>,
                              %experts: tensor<?x2xi32>) -> tensor<?x96xf32> {
  %o = grok.fused_down_combine %y, %wd, %gates, %experts : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: func @fused_residual_norm
// CHECK: grok.fused_residual_norm %{{.*}} {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
func.func @fused_residual_norm(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %post: tensor<96xf32>, %next: tensor<96xf32>) -> tensor<?x96xf32> {
  %h1, %n = grok.fused_residual_norm %h, %a, %post, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %n : tensor<?x96xf32>
}

// CHECK-LABEL: func @sharded_weight
// CHECK: grok.weight "experts" {full = tensor<4x344x64xi8, #grok.format<bits = 8, group_rows = 172, scale = bf16>>, slices = [#grok.slice<dim = 0, parts = 2, axis = "ep">, #grok.slice<dim = 1, parts = 4, axis = "tp">]} : tensor<2x86x64xi8, #grok.format<bits = 8, group_rows = 86, scale = bf16>>
func.func @sharded_weight() {
  %w = grok.weight "experts" {full = tensor<4x344x64xi8, #grok.format<bits = 8, group_rows = 172, scale = bf16>>, slices = [#grok.slice<dim = 0, parts = 2, axis = "ep">, #grok.slice<dim = 1, parts = 4, axis = "tp">]} : tensor<2x86x64xi8, #grok.format<bits = 8, group_rows = 86, scale = bf16>>
  return
}

// A part of one group is one group, however many rows it has.
// CHECK-LABEL: func @padded_weight
// CHECK: tensor<96x64xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
func.func @padded_weight() {
  %w = grok.weight "down" {full = tensor<256x64xi8, #grok.format<bits = 8, group_rows = 256, scale = bf16>>, slices = [#grok.slice<dim = 0, parts = 3, axis = "tp">]} : tensor<96x64xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
  return
}

// CHECK-LABEL: func @part_of_two_level_format
// CHECK: tensor<48x64xi4, #grok.format<bits = 4, group_rows = 16, scale = bf16, multiplier_rows = 16, zero_point = 8>>
func.func @part_of_two_level_format() {
  %w = grok.weight "down" {full = tensor<192x64xi4, #grok.format<bits = 4, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 8>>, slices = [#grok.slice<dim = 0, parts = 4, axis = "tp">]} : tensor<48x64xi4, #grok.format<bits = 4, group_rows = 16, scale = bf16, multiplier_rows = 16, zero_point = 8>>
  return
}

// CHECK-LABEL: func @local_ids
// CHECK: grok.local_experts %{{.*}} {axis = "ep", count = 4 : i64} : tensor<?x2xi32>
// CHECK: grok.local_tokens %{{.*}} {axis = "tp", count = 128 : i64} : tensor<?xi32>
func.func @local_ids(%experts: tensor<?x2xi32>, %tokens: tensor<?xi32>) -> (tensor<?x2xi32>, tensor<?xi32>) {
  %l = grok.local_experts %experts {axis = "ep", count = 4 : i64} : tensor<?x2xi32>
  %t = grok.local_tokens %tokens {axis = "tp", count = 128 : i64} : tensor<?xi32>
  return %l, %t : tensor<?x2xi32>, tensor<?xi32>
}

// CHECK-LABEL: func @cut_columns
// CHECK: grok.cut_columns %{{.*}} : tensor<?x528xf32> -> tensor<?x512xf32>
func.func @cut_columns(%x: tensor<?x528xf32>) -> tensor<?x512xf32> {
  %y = grok.cut_columns %x : tensor<?x528xf32> -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK: module attributes {grok.reproducible, grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 2, dp = 1, stages = [2, 1]>}
module attributes {grok.reproducible, grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 2, dp = 1, stages = [2, 1]>} {}
