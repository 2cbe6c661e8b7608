// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-fuse-gating | FileCheck %s

// CHECK-LABEL: @merges_gate_and_up
// CHECK-SAME: %[[X:.*]]: tensor<?x96xf32>, %[[G:.*]]: tensor<8x96x256xf32>, %[[U:.*]]: tensor<8x96x256xf32>, %[[E:.*]]: tensor<?x2xi32>
func.func @merges_gate_and_up(%x: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  // CHECK-NEXT: %[[Y:.*]] = grok.fused_gate_up %[[X]], %[[G]], %[[U]], %[[E]] : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  // CHECK-NEXT: return %[[Y]]
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: @merges_int8
// CHECK-NEXT: grok.fused_gate_up
// CHECK-NEXT: return
!int8 = tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
func.func @merges_int8(%x: tensor<?x96xf32>, %wg: !int8, %wu: !int8, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, !int8, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xf32>, !int8, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// Gate and up are rounded to bf16, their product is not.
// CHECK-LABEL: @merges_literal_bf16
// CHECK: grok.fused_gate_up {{.*}} : tensor<?x96xbf16>, {{.*}} -> tensor<?x2x256xf32>
func.func @merges_literal_bf16(%x: tensor<?x96xbf16>, %wg: tensor<8x96x256xbf16>, %wu: tensor<8x96x256xbf16>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xbf16>, tensor<8x96x256xbf16>, tensor<?x2xi32> -> tensor<?x2x256xbf16>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xbf16>, tensor<8x96x256xbf16>, tensor<?x2xi32> -> tensor<?x2x256xbf16>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xbf16> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// The fused op would round gate and up to bf16.
// CHECK-LABEL: @keeps_unrounded_products_of_bf16_rows
// CHECK-NOT: grok.fused_gate_up
// CHECK: return
func.func @keeps_unrounded_products_of_bf16_rows(%x: tensor<?x96xbf16>, %wg: tensor<8x96x256xbf16>, %wu: tensor<8x96x256xbf16>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xbf16>, tensor<8x96x256xbf16>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xbf16>, tensor<8x96x256xbf16>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: @keeps_different_experts
// CHECK-NOT: grok.fused_gate_up
// CHECK: return
func.func @keeps_different_experts(%x: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>, %e: tensor<?x2xi32>, %f: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %f : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: @keeps_different_rows
// CHECK-NOT: grok.fused_gate_up
// CHECK: return
func.func @keeps_different_rows(%x: tensor<?x96xf32>, %z: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %z, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: @keeps_matrices_of_different_expert_counts
// CHECK-NOT: grok.fused_gate_up
// CHECK: return
func.func @keeps_matrices_of_different_expert_counts(%x: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<4x96x256xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xf32>, tensor<4x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}

// CHECK-LABEL: @keeps_gate_with_two_users
// CHECK-NOT: grok.fused_gate_up
// CHECK: return
func.func @keeps_gate_with_two_users(%x: tensor<?x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>, %e: tensor<?x2xi32>) -> (tensor<?x2x256xf32>, tensor<?x2x256xf32>) {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y, %g : tensor<?x2x256xf32>, tensor<?x2x256xf32>
}

// A row per selected expert: the kernel reads one row per token.
// CHECK-LABEL: @keeps_rows_of_rank_three
// CHECK-NOT: grok.fused_gate_up
// CHECK: return
func.func @keeps_rows_of_rank_three(%x: tensor<?x2x96xf32>, %wg: tensor<8x96x256xf32>, %wu: tensor<8x96x256xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x256xf32> {
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x2x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %u = grok.expert_matmul %x, %wu, %e : tensor<?x2x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
  return %y : tensor<?x2x256xf32>
}
