// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-fuse-down-combine | FileCheck %s

// CHECK-LABEL: @merges_down_and_sum
// CHECK-SAME: %[[Y:.*]]: tensor<?x2x256xf32>, %[[W:.*]]: tensor<8x256x96xf32>, %[[GATES:.*]]: tensor<?x2xf32>, %[[E:.*]]: tensor<?x2xi32>
func.func @merges_down_and_sum(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xf32> {
  // CHECK-NEXT: %[[O:.*]] = grok.fused_down_combine %[[Y]], %[[W]], %[[GATES]], %[[E]] : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  // CHECK-NEXT: return %[[O]]
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: @merges_literal_bf16
// CHECK-NEXT: grok.fused_down_combine {{.*}} -> tensor<?x96xbf16>
// CHECK-NEXT: return
func.func @merges_literal_bf16(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xbf16> {
  %d = grok.expert_matmul %y, %wd, %e {bf16_weight} : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xbf16>
  return %o : tensor<?x96xbf16>
}

// The fused op with a bf16 result rounds its matrix.
// CHECK-LABEL: @keeps_bf16_sum_of_unrounded_weight
// CHECK-NOT: grok.fused_down_combine
// CHECK: return
func.func @keeps_bf16_sum_of_unrounded_weight(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xbf16> {
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xbf16>
  return %o : tensor<?x96xbf16>
}

// And the one with an f32 result does not.
// CHECK-LABEL: @keeps_f32_sum_of_bf16_weight
// CHECK-NOT: grok.fused_down_combine
// CHECK: return
func.func @keeps_f32_sum_of_bf16_weight(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xf32> {
  %d = grok.expert_matmul %y, %wd, %e {bf16_weight} : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_different_experts
// CHECK-NOT: grok.fused_down_combine
// CHECK: return
func.func @keeps_different_experts(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>, %f: tensor<?x2xi32>) -> tensor<?x96xf32> {
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %f : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_matmul_with_two_users
// CHECK-NOT: grok.fused_down_combine
// CHECK: return
func.func @keeps_matmul_with_two_users(%y: tensor<?x2x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> (tensor<?x96xf32>, tensor<?x2x96xf32>) {
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o, %d : tensor<?x96xf32>, tensor<?x2x96xf32>
}

// One row shared by the experts, as gate and up read it.
// CHECK-LABEL: @keeps_rows_of_rank_two
// CHECK-NOT: grok.fused_down_combine
// CHECK: return
func.func @keeps_rows_of_rank_two(%y: tensor<?x256xf32>, %wd: tensor<8x256x96xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x96xf32> {
  %d = grok.expert_matmul %y, %wd, %e : tensor<?x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
  %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  return %o : tensor<?x96xf32>
}
