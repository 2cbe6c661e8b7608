// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-optimize-collectives --split-input-file | FileCheck %s

shard.grid @ranks(shape = 2x2)

// CHECK-LABEL: @weighs_before_it_adds
// CHECK-SAME: %[[Y:[^:]*]]: tensor<?x2x3xf32>, %[[W:[^:]*]]: tensor<2x3x8xf32>, %[[GATES:[^:]*]]: tensor<?x2xf32>
func.func @weighs_before_it_adds(%y: tensor<?x2x3xf32>, %w: tensor<2x3x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x8xf32> {
  // CHECK: %[[LOCAL:.*]] = grok.local_experts
  // CHECK: %[[D:.*]] = grok.expert_matmul %[[Y]], %[[W]], %[[LOCAL]]
  // CHECK-NEXT: %[[C:.*]] = grok.combine %[[D]], %[[GATES]], %[[LOCAL]]
  // CHECK-NEXT: %[[R:.*]] = shard.all_reduce %[[C]] on @ranks grid_axes = [0, 1] : tensor<?x8xf32>
  // CHECK-NEXT: return %[[R]]
  %l = grok.local_experts %e {axis = "ep", count = 2 : i64} : tensor<?x2xi32>
  %d = grok.expert_matmul %y, %w, %l : tensor<?x2x3xf32>, tensor<2x3x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  %r = shard.all_reduce %d on @ranks grid_axes = [0, 1] : tensor<?x2x8xf32> -> tensor<?x2x8xf32>
  %o = grok.combine %r, %g, %e : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return %o : tensor<?x8xf32>
}

// Other users of the sum want it whole.
// CHECK-LABEL: @keeps_a_sum_with_two_users
// CHECK: %[[R:.*]] = shard.all_reduce
// CHECK: grok.combine %[[R]]
func.func @keeps_a_sum_with_two_users(%y: tensor<?x2x3xf32>, %w: tensor<2x3x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> (tensor<?x8xf32>, tensor<?x2x8xf32>) {
  %d = grok.expert_matmul %y, %w, %e : tensor<?x2x3xf32>, tensor<2x3x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  %r = shard.all_reduce %d on @ranks grid_axes = [1] : tensor<?x2x8xf32> -> tensor<?x2x8xf32>
  %o = grok.combine %r, %g, %e : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return %o, %r : tensor<?x8xf32>, tensor<?x2x8xf32>
}

// CHECK-LABEL: @keeps_hidden_columns_of_own_experts
// CHECK: %[[LOCAL:.*]] = grok.local_experts
// CHECK: %[[G:.*]] = grok.expert_matmul
// CHECK-NEXT: %[[A:.*]] = grok.gelu_gate %[[G]], %[[G]]
// CHECK-NEXT: grok.expert_matmul %[[A]], %{{.*}}, %[[LOCAL]]
func.func @keeps_hidden_columns_of_own_experts(%x: tensor<?x8xf32>, %wg: tensor<2x8x3xf32>, %wd: tensor<2x3x8xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x8xf32> {
  %l = grok.local_experts %e {axis = "ep", count = 2 : i64} : tensor<?x2xi32>
  %g = grok.expert_matmul %x, %wg, %l : tensor<?x8xf32>, tensor<2x8x3xf32>, tensor<?x2xi32> -> tensor<?x2x3xf32>
  %r = shard.all_reduce %g on @ranks grid_axes = [0] : tensor<?x2x3xf32> -> tensor<?x2x3xf32>
  %a = grok.gelu_gate %r, %r : tensor<?x2x3xf32> -> tensor<?x2x3xf32>
  %d = grok.expert_matmul %a, %wd, %l : tensor<?x2x3xf32>, tensor<2x3x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  return %d : tensor<?x2x8xf32>
}

// CHECK-LABEL: @completes_hidden_columns_of_all_experts
// CHECK: shard.all_reduce
func.func @completes_hidden_columns_of_all_experts(%x: tensor<?x8xf32>, %wg: tensor<2x8x3xf32>, %wd: tensor<4x3x8xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x8xf32> {
  %l = grok.local_experts %e {axis = "ep", count = 2 : i64} : tensor<?x2xi32>
  %g = grok.expert_matmul %x, %wg, %l : tensor<?x8xf32>, tensor<2x8x3xf32>, tensor<?x2xi32> -> tensor<?x2x3xf32>
  %r = shard.all_reduce %g on @ranks grid_axes = [0] : tensor<?x2x3xf32> -> tensor<?x2x3xf32>
  %d = grok.expert_matmul %r, %wd, %e : tensor<?x2x3xf32>, tensor<4x3x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  return %d : tensor<?x2x8xf32>
}

// CHECK-LABEL: @adds_over_both_axes_at_once
// CHECK-NEXT: %[[R:.*]] = shard.all_reduce %arg0 on @ranks grid_axes = [0, 1]
// CHECK-NEXT: return %[[R]]
func.func @adds_over_both_axes_at_once(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = shard.all_reduce %x on @ranks grid_axes = [1] : tensor<?x8xf32> -> tensor<?x8xf32>
  %1 = shard.all_reduce %0 on @ranks grid_axes = [0] : tensor<?x8xf32> -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// A sum of equal sums is twice as much.
// CHECK-LABEL: @keeps_two_sums_over_one_axis
// CHECK-COUNT-2: shard.all_reduce
func.func @keeps_two_sums_over_one_axis(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = shard.all_reduce %x on @ranks grid_axes = [1] : tensor<?x8xf32> -> tensor<?x8xf32>
  %1 = shard.all_reduce %0 on @ranks grid_axes = [1] : tensor<?x8xf32> -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// CHECK-LABEL: @slices_what_it_gathered
// CHECK-NEXT: return %arg0
func.func @slices_what_it_gathered(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = shard.all_gather %x on @ranks grid_axes = [1] gather_axis = 1 : tensor<?x4xf32> -> tensor<?x8xf32>
  %1 = shard.all_slice %0 on @ranks grid_axes = [1] slice_axis = 1 : tensor<?x8xf32> -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// CHECK-LABEL: @slices_over_another_axis
// CHECK: shard.all_gather
// CHECK: shard.all_slice
func.func @slices_over_another_axis(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = shard.all_gather %x on @ranks grid_axes = [1] gather_axis = 1 : tensor<?x4xf32> -> tensor<?x8xf32>
  %1 = shard.all_slice %0 on @ranks grid_axes = [0] slice_axis = 1 : tensor<?x8xf32> -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// CHECK-LABEL: @scatters_a_sliced_sum
// CHECK-NEXT: %[[R:.*]] = shard.reduce_scatter %arg0 on @ranks grid_axes = [1] scatter_axis = 1 : tensor<?x8xf32> -> tensor<?x4xf32>
// CHECK-NEXT: return %[[R]]
func.func @scatters_a_sliced_sum(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  %0 = shard.all_reduce %x on @ranks grid_axes = [1] : tensor<?x8xf32> -> tensor<?x8xf32>
  %1 = shard.all_slice %0 on @ranks grid_axes = [1] slice_axis = 1 : tensor<?x8xf32> -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// -----

// Ranks alone on an axis have nothing to add.
shard.grid @ranks(shape = 1x2)
// CHECK-LABEL: @drops_axes_of_one_rank
// CHECK-NEXT: %[[R:.*]] = shard.all_reduce %arg0 on @ranks grid_axes = [1]
// CHECK-NEXT: return %[[R]], %arg0
func.func @drops_axes_of_one_rank(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %0 = shard.all_reduce %x on @ranks grid_axes = [0, 1] : tensor<?x8xf32> -> tensor<?x8xf32>
  %1 = shard.all_reduce %x on @ranks grid_axes = [0] : tensor<?x8xf32> -> tensor<?x8xf32>
  return %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// The order of sums must not depend on the ranks.
// CHECK-LABEL: @completes_experts_before_it_weighs
// CHECK: %[[R:.*]] = shard.all_reduce {{.*}} : tensor<?x2x8xf32>
// CHECK-NEXT: grok.combine %[[R]]
module attributes {grok.reproducible} {
shard.grid @ranks(shape = 1x2)
func.func @completes_experts_before_it_weighs(%y: tensor<?x2x3xf32>, %w: tensor<2x3x8xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x8xf32> {
  %d = grok.expert_matmul %y, %w, %e : tensor<?x2x3xf32>, tensor<2x3x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  %r = shard.all_reduce %d on @ranks grid_axes = [1] : tensor<?x2x8xf32> -> tensor<?x2x8xf32>
  %o = grok.combine %r, %g, %e : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return %o : tensor<?x8xf32>
}
}
