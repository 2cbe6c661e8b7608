// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Two layers of two experts: what each form of --weights makes of every matrix.

// RUN: grok-opt %s --grok-select-quantization | FileCheck %s --check-prefixes=CHECK,STORED
// RUN: grok-opt %s --grok-select-quantization=weights=stored | FileCheck %s --check-prefixes=CHECK,STORED
// RUN: grok-opt %s --grok-select-quantization=weights=int8 | FileCheck %s --check-prefixes=CHECK,STORED
// RUN: grok-opt %s --grok-select-quantization=weights=int4 | FileCheck %s --check-prefixes=CHECK,INT4
// RUN: grok-opt %s --grok-select-quantization="weights=int3 group=64" | FileCheck %s --check-prefixes=CHECK,INT3

// The same twice: the choice is a function of the module.
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=7" -o %t.once
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=7" | diff %t.once -

!i8 = tensor<64x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
// Row groups of 48: no group of 32 or 64 rows fits into them.
!straddled = tensor<96x64xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>
!up8 = tensor<2x64x128xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
// Row groups of 32: groups of 64 rows do not fit, those of 32 do.
!down8 = tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 32, scale = bf16>>
!wide8 = tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>

// What was chosen is left on the module, with the flat choices beside it.
// CHECK: module attributes {{.*}}grok.quantization = {
module attributes {grok.model = {}, grok.numerics = "fast"} {
func.func @step(%tokens: tensor<?xi32>, %heads: tensor<?x96xf32>) -> tensor<?x256xf32> {
  // Of an int8 checkpoint's table: as it is under int8, int8 by token under less.
  // STORED: grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xf32>
  // INT4: grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  // INT3: grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  %table = grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xf32>
  // Norms and routers never.
  // CHECK: grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<64xf32>
  %norm = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<64xf32>
  // CHECK: grok.weight "transformer/decoder_layer_0/router/w" : tensor<64x2xf32>
  %router = grok.weight "transformer/decoder_layer_0/router/w" : tensor<64x2xf32>
  // Attention has eight bits under every flat choice.
  // CHECK: grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<64x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
  %query = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : !i8
  // CHECK: grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : tensor<96x64xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>
  %linear = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : !straddled
  // STORED: grok.weight "transformer/decoder_layer_0/moe/linear/w" : tensor<2x64x128xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
  // INT4: grok.weight "transformer/decoder_layer_0/moe/linear/w" : tensor<2x64x128xi4, #grok.format<bits = 4, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 8>>
  // INT3: grok.weight "transformer/decoder_layer_0/moe/linear/w" : tensor<2x64x128xi3, #grok.format<bits = 3, group_rows = 64, scale = bf16, multiplier_rows = 64, zero_point = 4>>
  %gate = grok.weight "transformer/decoder_layer_0/moe/linear/w" : !up8
  // INT4: grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : tensor<2x64x128xi4, #grok.format<bits = 4, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 8>>
  %up = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : !up8
  // INT4: grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : tensor<2x128x64xi4, #grok.format<bits = 4, group_rows = 32, scale = bf16, multiplier_rows = 32, zero_point = 8>>
  // Groups of 64 do not fit: as it was.
  // INT3: grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 32, scale = bf16>>
  %down = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : !down8
  // INT3: grok.weight "transformer/decoder_layer_1/moe/linear_1/w" : tensor<2x128x64xi3, #grok.format<bits = 3, group_rows = 128, scale = bf16, multiplier_rows = 64, zero_point = 4>>
  %down1 = grok.weight "transformer/decoder_layer_1/moe/linear_1/w" : !wide8

  // Users keep their own types.
  // CHECK: grok.embed {{.*}} -> tensor<?x64xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<256x64xf32> -> tensor<?x64xf32>
  %n = grok.rms_norm %h, %norm {eps = 1.0e-5 : f64} : tensor<?x64xf32>, tensor<64xf32>
  %q = grok.linear %n, %query : tensor<?x64xf32>, !i8 -> tensor<?x64xf32>
  %a = grok.linear %heads, %linear : tensor<?x96xf32>, !straddled -> tensor<?x64xf32>
  %gates, %experts = grok.route %n, %router : tensor<?x64xf32>, tensor<64x2xf32> -> tensor<?x1xf32>, tensor<?x1xi32>
  %g = grok.expert_matmul %n, %gate, %experts : tensor<?x64xf32>, !up8, tensor<?x1xi32> -> tensor<?x1x128xf32>
  %u = grok.expert_matmul %n, %up, %experts : tensor<?x64xf32>, !up8, tensor<?x1xi32> -> tensor<?x1x128xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x1x128xf32> -> tensor<?x1x128xf32>
  %d = grok.expert_matmul %y, %down, %experts : tensor<?x1x128xf32>, !down8, tensor<?x1xi32> -> tensor<?x1x64xf32>
  %d1 = grok.expert_matmul %y, %down1, %experts : tensor<?x1x128xf32>, !wide8, tensor<?x1xi32> -> tensor<?x1x64xf32>
  // CHECK: grok.unembed {{.*}} -> tensor<?x256xf32>
  %l = grok.unembed %n, %table {multiplier = 0.5 : f64} : tensor<?x64xf32>, tensor<256x64xf32> -> tensor<?x256xf32>
  return %l : tensor<?x256xf32>
}
}
