// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-partition --split-input-file | FileCheck %s

// CHECK-LABEL: @adds_over_a_contracted_factor
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>) -> tensor<?x6xf32>
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @adds_over_a_contracted_factor(%x: tensor<?x8xf32>) -> tensor<?x6xf32> {
  // CHECK: %[[W:.*]] = grok.weight "w" {full = tensor<8x6xf32>, slices = [#grok.slice<dim = 0, parts = 2, axis = "tp">]} : tensor<4x6xf32>
  // CHECK-NEXT: %[[P:.*]] = grok.linear %[[X]], %[[W]] : tensor<?x4xf32>, tensor<4x6xf32> -> tensor<?x6xf32>
  // CHECK-NEXT: %[[Y:.*]] = shard.all_reduce %[[P]] on @ranks grid_axes = [1]
  // CHECK-NEXT: return %[[Y]]
  %columns = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %rows = shard.sharding @ranks split_axes = [[1], []] : !shard.sharding
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %0 = shard.shard %x to %columns : tensor<?x8xf32>
  %1 = shard.shard %0 to %columns annotate_for_users : tensor<?x8xf32>
  %w = grok.weight "w" : tensor<8x6xf32>
  %2 = shard.shard %w to %rows : tensor<8x6xf32>
  %3 = shard.shard %2 to %rows annotate_for_users : tensor<8x6xf32>
  %y = grok.linear %1, %3 : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>
  %4 = shard.shard %y to %whole : tensor<?x6xf32>
  %5 = shard.shard %4 to %whole annotate_for_users : tensor<?x6xf32>
  return %5 : tensor<?x6xf32>
}
}

// -----

// Upstream's reshard of two axes at once is silently wrong.
// CHECK-LABEL: @gathers_over_two_axes
// CHECK-SAME: (%[[X:.*]]: tensor<?x2xf32>) -> tensor<?x8xf32>
// CHECK-NEXT: %[[Y:.*]] = shard.all_gather %[[X]] on @ranks grid_axes = [0, 1] gather_axis = 1 : tensor<?x2xf32> -> tensor<?x8xf32>
// CHECK-NEXT: return %[[Y]]
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @gathers_over_two_axes(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %both = shard.sharding @ranks split_axes = [[], [0, 1]] : !shard.sharding
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %0 = shard.shard %x to %both : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}
}

// -----

// Experts and hidden columns: ids of this rank, made once.
// CHECK-LABEL: @experts
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[E:.*]]: tensor<?x2xi32>)
// CHECK: grok.weight "gate" {full = tensor<4x8x6xf32>, slices = [#grok.slice<dim = 0, parts = 2, axis = "ep">, #grok.slice<dim = 2, parts = 2, axis = "tp">]} : tensor<2x8x3xf32>
// CHECK: %[[L:.*]] = grok.local_experts %[[E]] {axis = "ep", count = 2 : i64}
// CHECK: %[[G:.*]] = grok.expert_matmul %[[X]], %{{.*}}, %[[L]] : {{.*}} -> tensor<?x2x3xf32>
// CHECK: %[[H:.*]] = shard.all_reduce %[[G]] on @ranks grid_axes = [0]
// CHECK: grok.weight "down" {{.*}}dim = 0, parts = 2, axis = "ep">, #grok.slice<dim = 1, parts = 2, axis = "tp">]} : tensor<2x3x8xf32>
// CHECK-NOT: grok.local_experts
// CHECK: %[[D:.*]] = grok.expert_matmul %[[H]], %{{.*}}, %[[L]]
// CHECK: shard.all_reduce %[[D]] on @ranks grid_axes = [0, 1]
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @experts(%x: tensor<?x8xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x8xf32> {
  %whole = shard.sharding @ranks split_axes = [[]] : !shard.sharding
  %sg = shard.sharding @ranks split_axes = [[0], [], [1]] : !shard.sharding
  %sh = shard.sharding @ranks split_axes = [[], [], [1]] : !shard.sharding
  %sd = shard.sharding @ranks split_axes = [[0], [1]] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  %2 = shard.shard %e to %whole : tensor<?x2xi32>
  %3 = shard.shard %2 to %whole annotate_for_users : tensor<?x2xi32>
  %wg = grok.weight "gate" : tensor<4x8x6xf32>
  %4 = shard.shard %wg to %sg : tensor<4x8x6xf32>
  %5 = shard.shard %4 to %sg annotate_for_users : tensor<4x8x6xf32>
  %g = grok.expert_matmul %1, %5, %3 : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  %6 = shard.shard %g to %sh : tensor<?x2x6xf32>
  %7 = shard.shard %6 to %sh annotate_for_users : tensor<?x2x6xf32>
  %wd = grok.weight "down" : tensor<4x6x8xf32>
  %8 = shard.shard %wd to %sd : tensor<4x6x8xf32>
  %9 = shard.shard %8 to %sd annotate_for_users : tensor<4x6x8xf32>
  %10 = shard.shard %2 to %whole annotate_for_users : tensor<?x2xi32>
  %d = grok.expert_matmul %7, %9, %10 : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  %11 = shard.shard %d to %whole : tensor<?x2x8xf32>
  %12 = shard.shard %11 to %whole annotate_for_users : tensor<?x2x8xf32>
  return %12 : tensor<?x2x8xf32>
}
}

// -----

// Parts and replicas of kv heads are one axis afterwards.
// CHECK: shard.grid @ranks(shape = 1x4)
// CHECK-LABEL: @kv_heads_of_more_ranks
// CHECK-SAME: !grok.cache<1 x 1 x 4, f32>
// CHECK: %[[A:.*]] = grok.attention {{.*}} : tensor<?x4xf32>, <1 x 1 x 4, f32>
// CHECK: shard.all_gather %[[A]] on @ranks grid_axes = [1] gather_axis = 1 : tensor<?x4xf32> -> tensor<?x16xf32>
module attributes {grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 1x2x2)
func.func @kv_heads_of_more_ranks(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %heads = shard.sharding @ranks split_axes = [[], [1, 2]] : !shard.sharding
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %0 = shard.shard %q to %heads : tensor<?x16xf32>
  %1 = shard.shard %0 to %heads annotate_for_users : tensor<?x16xf32>
  %a = grok.attention %1, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <1 x 2 x 4, f32>
  %2 = shard.shard %a to %heads : tensor<?x16xf32>
  %3 = shard.shard %2 to %whole annotate_for_users : tensor<?x16xf32>
  return %3 : tensor<?x16xf32>
}
}

// -----

// A matrix that is dequantised as a whole is cut as it is stored.
// CHECK-LABEL: @dequantised_part
// CHECK: %[[W:.*]] = grok.weight "w" {{.*}} : tensor<8x3xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>
// CHECK-NEXT: %[[F:.*]] = grok.dequantize %[[W]] : {{.*}} -> tensor<8x3xf32>
// CHECK-NEXT: grok.linear %{{.*}}, %[[F]]
// CHECK-NEXT: shard.all_gather {{.*}} gather_axis = 1 : tensor<?x3xf32> -> tensor<?x6xf32>
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @dequantised_part(%x: tensor<?x8xf32>) -> tensor<?x6xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %columns = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  %w = grok.weight "w" : tensor<8x6xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>
  %2 = shard.shard %w to %columns : tensor<8x6xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>
  %3 = shard.shard %2 to %columns annotate_for_users : tensor<8x6xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>
  %f = grok.dequantize %3 : tensor<8x6xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>> -> tensor<8x6xf32>
  %4 = shard.shard %f to %columns : tensor<8x6xf32>
  %5 = shard.shard %4 to %columns annotate_for_users : tensor<8x6xf32>
  %y = grok.linear %1, %5 : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>
  %6 = shard.shard %y to %columns : tensor<?x6xf32>
  %7 = shard.shard %6 to %whole annotate_for_users : tensor<?x6xf32>
  return %7 : tensor<?x6xf32>
}
}
