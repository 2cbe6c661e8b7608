// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-decompose-fused | FileCheck %s

// CHECK-LABEL: @splits_gate_and_up
func.func @splits_gate_and_up(%x: tensor<?x96xbf16>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  // CHECK: %[[G:.*]] = grok.expert_matmul %arg0, %arg1, %arg3 : {{.*}} -> tensor<?x2x256xbf16>
  // CHECK: %[[U:.*]] = grok.expert_matmul %arg0, %arg2, %arg3 : {{.*}} -> tensor<?x2x256xbf16>
  // CHECK: grok.gelu_gate %[[G]], %[[U]] : tensor<?x2x256xbf16> -> tensor<?x2x256xf32>
  %y = grok.fused_gate_up %x, %wg, %wu, %e : tensor<?x96xbf16>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: @rounds_the_down_matrix_of_a_bf16_sum
func.func @rounds_the_down_matrix_of_a_bf16_sum(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> (tensor<?x96xf32>, tensor<?x96xbf16>) {
  // CHECK: grok.expert_matmul
  // CHECK-NOT: bf16_weight
  // CHECK: grok.combine {{.*}} -> tensor<?x96xf32>
  // CHECK: grok.expert_matmul {{.*}} {bf16_weight}
  // CHECK: grok.combine {{.*}} -> tensor<?x96xbf16>
  %o = grok.fused_down_combine %y, %wd, %gates, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  %b = grok.fused_down_combine %y, %wd, %gates, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xbf16>
  return %o, %b : tensor<?x96xf32>, tensor<?x96xbf16>
}

// CHECK-LABEL: @splits_residual_and_norms
func.func @splits_residual_and_norms(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %post: tensor<96xf32>, %next: tensor<96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  // CHECK: %[[P:.*]] = grok.rms_norm %arg1, %arg2
  // CHECK: %[[SUM:.*]] = grok.add %arg0, %[[P]]
  // CHECK: %[[X:.*]] = grok.rms_norm %[[SUM]], %arg3
  // CHECK: return %[[SUM]], %[[X]]
  %h1, %x = grok.fused_residual_norm %h, %a, %post, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %h1, %x : tensor<?x96xf32>, tensor<?x96xf32>
}

// CHECK-LABEL: @splits_attention
// CHECK-SAME: %[[X:.*]]: tensor<?x96xf32>, %[[S:.*]]: tensor<96xf32>, %[[WQ:.*]]: tensor<96x96xf32>, %[[WK:.*]]: tensor<96x16xf32>, %[[WV:.*]]: tensor<96x16xf32>, %[[C0:.*]]: !grok.cache<2 x 1 x 16, f32>,
func.func @splits_attention(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !grok.cache<2 x 1 x 16, f32>, %tokens: tensor<?xi32>, %step: !grok.step) -> tensor<?x96xf32> {
  // CHECK-DAG: %[[N:.*]] = grok.rms_norm %[[X]], %[[S]]
  // CHECK-DAG: %[[Q:.*]] = grok.linear %[[N]], %[[WQ]]
  // CHECK-DAG: %[[K:.*]] = grok.linear %[[N]], %[[WK]]
  // CHECK-DAG: %[[V:.*]] = grok.linear %[[N]], %[[WV]]
  // CHECK-DAG: %[[QR:.*]] = grok.rope %[[Q]]
  // CHECK-DAG: %[[KR:.*]] = grok.rope %[[K]]
  // CHECK: %[[C1:.*]] = grok.cache_write %[[C0]], %[[KR]], %[[V]]
  // CHECK: grok.attention %[[QR]], %[[C1]]
  %qr, %c1 = grok.fused_qkv %x norm %s weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64} : tensor<?x96xf32> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
  %o = grok.flash_attention %qr, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xf32>, !grok.cache<2 x 1 x 16, f32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_plain_ops
// CHECK-NEXT: grok.rms_norm
// CHECK-NEXT: return
func.func @keeps_plain_ops(%x: tensor<?x96xf32>, %s: tensor<96xf32>) -> tensor<?x96xf32> {
  %y = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %y : tensor<?x96xf32>
}
