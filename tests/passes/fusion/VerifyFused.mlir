// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-verify-fused --split-input-file --verify-diagnostics

func.func @accepts_ops_with_kernels(%tokens: tensor<?xi32>, %table: tensor<512x96xf32>, %s: tensor<96xf32>, %w: tensor<96x96xf32>, %step: !grok.step) -> tensor<?x512xf32> {
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %x = grok.rms_norm %h, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %a = grok.linear %x, %w : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %h1, %n = grok.fused_residual_norm %h, %a, %s, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %r = grok.logit_rows %n, %step : tensor<?x96xf32>
  %l = grok.unembed %r, %table {multiplier = 1.0 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
  return %l : tensor<?x512xf32>
}

// -----

func.func @accepts_two_pass_attention_in_bf16(%q: tensor<?x96xbf16>, %c: !grok.cache<2 x 1 x 16, f32>, %step: !grok.step) -> tensor<?x96xbf16> {
  %o = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xbf16>, !grok.cache<2 x 1 x 16, f32>
  return %o : tensor<?x96xbf16>
}

// -----

func.func @names_attention_in_f32(%q: tensor<?x96xf32>, %c: !grok.cache<2 x 1 x 16, f32>, %step: !grok.step) -> tensor<?x96xf32> {
  // expected-error @below {{'grok.attention' op expects the flash form for float32 activations}}
  %o = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, !grok.cache<2 x 1 x 16, f32>
  return %o : tensor<?x96xf32>
}

// -----

func.func @names_rope_and_cache_write(%c0: !grok.cache<2 x 1 x 16, f32>, %k: tensor<?x16xf32>, %v: tensor<?x16xf32>, %tokens: tensor<?xi32>, %step: !grok.step) -> !grok.cache<2 x 1 x 16, f32> {
  // expected-error @below {{'grok.rope' op expects to be part of grok.fused_qkv: no kernel computes it alone, and grok-fuse-attention did not take it}}
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  // expected-error @below {{'grok.cache_write' op expects to be part of grok.fused_qkv}}
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
  return %c1 : !grok.cache<2 x 1 x 16, f32>
}

// -----

func.func @names_expert_steps(%x: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xf32> {
  // expected-error @below {{'grok.expert_matmul' op expects to be part of grok.fused_gate_up or grok.fused_down_combine}}
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  // expected-error @below {{'grok.gelu_gate' op expects to be part of grok.fused_gate_up}}
  %y = grok.gelu_gate %g, %g : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  // expected-error @below {{'grok.expert_matmul' op expects to be part of}}
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  // expected-error @below {{'grok.combine' op expects to be part of grok.fused_down_combine}}
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}

// -----

func.func @names_add(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // expected-error @below {{'grok.add' op expects to be part of grok.fused_residual_norm}}
  %h1 = grok.add %h, %a : tensor<?x96xf32>
  return %h1 : tensor<?x96xf32>
}

// -----

func.func @names_dequantize(%w: tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>) -> tensor<96x96xf32> {
  // expected-error @below {{'grok.dequantize' op expects to be gone after fusion: no kernel computes it}}
  %f = grok.dequantize %w : tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>> -> tensor<96x96xf32>
  return %f : tensor<96x96xf32>
}

// -----

func.func @accepts_a_norm_of_chosen_rows(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %table: tensor<512x96xf32>, %step: !grok.step) -> tensor<?x512xf32> {
  %r = grok.logit_rows %x, %step : tensor<?x96xf32>
  %y = grok.rms_norm %r, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %l = grok.unembed %y, %table {multiplier = 1.0 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
  return %l : tensor<?x512xf32>
}

// -----

func.func @names_chosen_rows_with_another_user(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %w: tensor<96x96xf32>, %step: !grok.step) -> tensor<?x96xf32> {
  %r = grok.logit_rows %x, %step : tensor<?x96xf32>
  // expected-error @below {{'grok.rms_norm' op expects only grok.rms_norm and grok.unembed after grok.logit_rows}}
  %y = grok.rms_norm %r, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  // expected-note @below {{also used here}}
  %a = grok.linear %y, %w : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  return %a : tensor<?x96xf32>
}

// -----

func.func @names_unembed_of_every_row(%x: tensor<?x96xf32>, %table: tensor<512x96xf32>) -> tensor<?x512xf32> {
  // expected-error @below {{'grok.unembed' op expects grok.logit_rows before it}}
  %l = grok.unembed %x, %table {multiplier = 1.0 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
  return %l : tensor<?x512xf32>
}

// -----

shard.grid @ranks(shape = 2x3)
func.func @accepts_what_ranks_need_besides(%tokens: tensor<?xi32>, %e: tensor<?x2xi32>, %x: tensor<?x176xf32>) -> tensor<?x512xf32> {
  %t = grok.local_tokens %tokens {axis = "tp", count = 176 : i64} : tensor<?xi32>
  %l = grok.local_experts %e {axis = "ep", count = 4 : i64} : tensor<?x2xi32>
  %g = shard.all_gather %x on @ranks grid_axes = [1] gather_axis = 1 : tensor<?x176xf32> -> tensor<?x528xf32>
  %c = grok.cut_columns %g : tensor<?x528xf32> -> tensor<?x512xf32>
  return %c : tensor<?x512xf32>
}

// -----

shard.grid @ranks(shape = 1x2)
func.func @accepts_experts_completed_apart(%y: tensor<?x2x128xf32>, %wd: tensor<8x128x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xf32> {
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x128xf32>, tensor<8x128x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %r = shard.all_reduce %d on @ranks grid_axes = [1] : tensor<?x2x96xf32> -> tensor<?x2x96xf32>
  %o = grok.combine %r, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}
