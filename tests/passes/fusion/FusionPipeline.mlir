// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The whole phase on a whole model: what is left, and that it means the same.
// RUN: grok-opt %s --grok-fusion | FileCheck %s
// RUN: grok-opt %s --canonicalize --cse -o %t.plain.mlir
// RUN: grok-opt %s --grok-fusion --grok-decompose-fused --canonicalize --cse -o %t.back.mlir
// RUN: diff %t.plain.mlir %t.back.mlir

// Fusing again finds nothing; fusing what was taken apart gives the same.
// RUN: grok-opt %s --grok-fusion -o %t.fused.mlir
// RUN: grok-opt %t.fused.mlir --grok-fusion | diff %t.fused.mlir -
// RUN: grok-opt %t.fused.mlir --grok-decompose-fused --grok-fusion | diff %t.fused.mlir -

// The phase ends with its verification.
// RUN: grok-opt %s --grok-fusion --dump-pass-pipeline -o /dev/null 2>&1 | FileCheck %s --check-prefix=ORDER
// ORDER: grok-fuse-residual
// ORDER-NEXT: grok-fuse-attention
// ORDER-NEXT: grok-fuse-gating
// ORDER-NEXT: grok-fuse-down-combine
// ORDER-NEXT: grok-verify-fused

!cache = !grok.cache<2 x 1 x 16, f32>
!up = tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
!down = tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>

// CHECK-LABEL: @float32
// CHECK-NOT: grok.rms_norm
// CHECK: %[[H:.*]] = grok.embed
// Only layer 0 has a norm of its own.
// CHECK-NEXT: %[[Q:.*]], %[[C1:.*]] = grok.fused_qkv %[[H]] norm
// CHECK-NEXT: %[[O:.*]] = grok.flash_attention %[[Q]], %[[C1]]
// CHECK-NEXT: %[[A:.*]] = grok.linear %[[O]]
// CHECK-NEXT: %[[H1:.*]], %[[X:.*]] = grok.fused_residual_norm %[[H]], %[[A]]
// CHECK-NEXT: %[[GATES:.*]], %[[EXPERTS:.*]] = grok.route %[[X]]
// CHECK-NEXT: %[[Y:.*]] = grok.fused_gate_up %[[X]], {{.*}}, {{.*}}, %[[EXPERTS]]
// CHECK-NEXT: %[[D:.*]] = grok.fused_down_combine %[[Y]], {{.*}}, %[[GATES]], %[[EXPERTS]]
// CHECK-NEXT: %[[H2:.*]], %[[N:.*]] = grok.fused_residual_norm %[[H1]], %[[D]]
// CHECK-NEXT: grok.fused_qkv %[[N]] weights {{.*}} cache %[[C1]]
// CHECK-NEXT: grok.flash_attention
// CHECK-NEXT: grok.linear
// CHECK-NEXT: grok.fused_residual_norm %[[H2]]
// CHECK-NEXT: grok.route
// CHECK-NEXT: grok.fused_gate_up
// CHECK-NEXT: grok.fused_down_combine
// The last next norm is the model's: its sum is not used.
// CHECK-NEXT: %{{.*}}, %[[LAST:.*]] = grok.fused_residual_norm
// CHECK-NEXT: %[[ROWS:.*]] = grok.logit_rows %[[LAST]]
// CHECK-NEXT: grok.unembed %[[ROWS]]
// CHECK-NEXT: return
func.func @float32(%tokens: tensor<?xi32>, %c0: !cache, %step: !grok.step) -> (tensor<?x512xf32>, !cache) {
  %table = grok.weight "language_model/in_out_embed/embeddings" : tensor<512x96xf32>
  %pre0 = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<96xf32>
  %wq0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<96x96xf32>
  %wk0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/key/w" : tensor<96x16xf32>
  %wv0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/value/w" : tensor<96x16xf32>
  %wo0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : tensor<96x96xf32>
  %post0 = grok.weight "transformer/decoder_layer_0/rms_norm_1/scale" : tensor<96xf32>
  %moe0 = grok.weight "transformer/decoder_layer_0/rms_norm_2/scale" : tensor<96xf32>
  %wr0 = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
  %wg0 = grok.weight "transformer/decoder_layer_0/moe/linear/w" : !up
  %wu0 = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : !up
  %wd0 = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : !down
  %out0 = grok.weight "transformer/decoder_layer_0/rms_norm_3/scale" : tensor<96xf32>
  %pre1 = grok.weight "transformer/decoder_layer_1/rms_norm/scale" : tensor<96xf32>
  %wq1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/query/w" : tensor<96x96xf32>
  %wk1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/key/w" : tensor<96x16xf32>
  %wv1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/value/w" : tensor<96x16xf32>
  %wo1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/linear/w" : tensor<96x96xf32>
  %post1 = grok.weight "transformer/decoder_layer_1/rms_norm_1/scale" : tensor<96xf32>
  %moe1 = grok.weight "transformer/decoder_layer_1/rms_norm_2/scale" : tensor<96xf32>
  %wr1 = grok.weight "transformer/decoder_layer_1/router/w" : tensor<96x8xf32>
  %wg1 = grok.weight "transformer/decoder_layer_1/moe/linear/w" : !up
  %wu1 = grok.weight "transformer/decoder_layer_1/moe/linear_v/w" : !up
  %wd1 = grok.weight "transformer/decoder_layer_1/moe/linear_1/w" : !down
  %out1 = grok.weight "transformer/decoder_layer_1/rms_norm_3/scale" : tensor<96xf32>
  %final = grok.weight "language_model/rms_norm/scale" : tensor<96xf32>
  %h0 = grok.embed %tokens, %table {multiplier = 9.75 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %n0 = grok.rms_norm %h0, %pre0 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q0 = grok.linear %n0, %wq0 : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %qr0 = grok.rope %q0, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %k0 = grok.linear %n0, %wk0 : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %kr0 = grok.rope %k0, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %v0 = grok.linear %n0, %wv0 : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr0, %v0, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  %o0 = grok.attention %qr0, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, !cache
  %a0 = grok.linear %o0, %wo0 : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %p0 = grok.rms_norm %a0, %post0 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h0, %p0 : tensor<?x96xf32>
  %m0 = grok.rms_norm %h1, %moe0 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %gates0, %experts0 = grok.route %m0, %wr0 : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %g0 = grok.expert_matmul %m0, %wg0, %experts0 : tensor<?x96xf32>, !up, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u0 = grok.expert_matmul %m0, %wu0, %experts0 : tensor<?x96xf32>, !up, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y0 = grok.gelu_gate %g0, %u0 : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  %d0 = grok.expert_matmul %y0, %wd0, %experts0 : tensor<?x2x256xf32>, !down, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %b0 = grok.combine %d0, %gates0, %experts0 : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  %r0 = grok.rms_norm %b0, %out0 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h2 = grok.add %h1, %r0 : tensor<?x96xf32>
  %n1 = grok.rms_norm %h2, %pre1 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q1 = grok.linear %n1, %wq1 : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %qr1 = grok.rope %q1, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %k1 = grok.linear %n1, %wk1 : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %kr1 = grok.rope %k1, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %v1 = grok.linear %n1, %wv1 : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %c2 = grok.cache_write %c1, %kr1, %v1, %tokens, %step {layer = 1 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  %o1 = grok.attention %qr1, %c2, %step {layer = 1 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, !cache
  %a1 = grok.linear %o1, %wo1 : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %p1 = grok.rms_norm %a1, %post1 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h3 = grok.add %h2, %p1 : tensor<?x96xf32>
  %m1 = grok.rms_norm %h3, %moe1 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %gates1, %experts1 = grok.route %m1, %wr1 : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %g1 = grok.expert_matmul %m1, %wg1, %experts1 : tensor<?x96xf32>, !up, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u1 = grok.expert_matmul %m1, %wu1, %experts1 : tensor<?x96xf32>, !up, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y1 = grok.gelu_gate %g1, %u1 : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  %d1 = grok.expert_matmul %y1, %wd1, %experts1 : tensor<?x2x256xf32>, !down, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %b1 = grok.combine %d1, %gates1, %experts1 : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  %r1 = grok.rms_norm %b1, %out1 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h4 = grok.add %h3, %r1 : tensor<?x96xf32>
  %n2 = grok.rms_norm %h4, %final {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %x = grok.logit_rows %n2, %step : tensor<?x96xf32>
  %l = grok.unembed %x, %table {multiplier = 0.5 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
  return %l, %c2 : tensor<?x512xf32>, !cache
}

// CHECK-LABEL: @literal_bf16
// CHECK: grok.embed {{.*}} -> tensor<?x96xbf16>
// CHECK-NEXT: grok.fused_qkv
// CHECK-NEXT: grok.attention
// CHECK-NEXT: grok.linear
// CHECK-NEXT: grok.fused_residual_norm
// CHECK-NEXT: grok.route
// CHECK-NEXT: grok.fused_gate_up
// CHECK-NEXT: grok.fused_down_combine {{.*}} -> tensor<?x96xbf16>
// CHECK-NEXT: grok.fused_residual_norm
// CHECK-NEXT: grok.logit_rows
// CHECK-NEXT: grok.unembed
func.func @literal_bf16(%tokens: tensor<?xi32>, %c0: !cache, %step: !grok.step) -> (tensor<?x512xbf16>, !cache) {
  %table = grok.weight "language_model/in_out_embed/embeddings" : tensor<512x96xf32>
  %pre0 = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<96xf32>
  %wq0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<96x96xf32>
  %wk0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/key/w" : tensor<96x16xf32>
  %wv0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/value/w" : tensor<96x16xf32>
  %wo0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : tensor<96x96xf32>
  %post0 = grok.weight "transformer/decoder_layer_0/rms_norm_1/scale" : tensor<96xf32>
  %moe0 = grok.weight "transformer/decoder_layer_0/rms_norm_2/scale" : tensor<96xf32>
  %wr0 = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
  %wg0 = grok.weight "transformer/decoder_layer_0/moe/linear/w" : !up
  %wu0 = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : !up
  %wd0 = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : !down
  %out0 = grok.weight "transformer/decoder_layer_0/rms_norm_3/scale" : tensor<96xf32>
  %final = grok.weight "language_model/rms_norm/scale" : tensor<96xf32>
  %h0 = grok.embed %tokens, %table {multiplier = 9.75 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xbf16>
  %n0 = grok.rms_norm %h0, %pre0 {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %q0 = grok.linear %n0, %wq0 : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
  %qr0 = grok.rope %q0, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xbf16>
  %k0 = grok.linear %n0, %wk0 : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xbf16>
  %kr0 = grok.rope %k0, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xbf16>
  %v0 = grok.linear %n0, %wv0 : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xbf16>
  %c1 = grok.cache_write %c0, %kr0, %v0, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xbf16>, tensor<?xi32>
  %o0 = grok.attention %qr0, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xbf16>, !cache
  %a0 = grok.linear %o0, %wo0 : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
  %p0 = grok.rms_norm %a0, %post0 {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %h1 = grok.add %h0, %p0 : tensor<?x96xbf16>
  %m0 = grok.rms_norm %h1, %moe0 {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %gates0, %experts0 = grok.route %m0, %wr0 : tensor<?x96xbf16>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %g0 = grok.expert_matmul %m0, %wg0, %experts0 : tensor<?x96xbf16>, !up, tensor<?x2xi32> -> tensor<?x2x256xbf16>
  %u0 = grok.expert_matmul %m0, %wu0, %experts0 : tensor<?x96xbf16>, !up, tensor<?x2xi32> -> tensor<?x2x256xbf16>
  %y0 = grok.gelu_gate %g0, %u0 : tensor<?x2x256xbf16> -> tensor<?x2x256xf32>
  %d0 = grok.expert_matmul %y0, %wd0, %experts0 {bf16_weight} : tensor<?x2x256xf32>, !down, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %b0 = grok.combine %d0, %gates0, %experts0 : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xbf16>
  %r0 = grok.rms_norm %b0, %out0 {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %h2 = grok.add %h1, %r0 : tensor<?x96xbf16>
  %n1 = grok.rms_norm %h2, %final {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %x = grok.logit_rows %n1, %step : tensor<?x96xbf16>
  %l = grok.unembed %x, %table {multiplier = 0.5 : f64} : tensor<?x96xbf16>, tensor<512x96xf32> -> tensor<?x512xbf16>
  return %l, %c1 : tensor<?x512xbf16>, !cache
}
