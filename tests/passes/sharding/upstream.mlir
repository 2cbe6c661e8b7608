// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// On a grid of one axis and splits that divide, upstream's partition is right,
// and ours agrees: an MLP with its hidden columns split.
// RUN: grok-opt %s --pass-pipeline="builtin.module(func.func(shard-partition))" | FileCheck %s
// RUN: sed 's/@line/@ranks/; s/shape = 4)/shape = 1x4)/; s/@line/@ranks/g; s/\[0\]/[1]/g' %s > %t.mlir
// RUN: grok-opt %t.mlir --grok-partition | FileCheck %s

// CHECK-LABEL: @mlp
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[W1:.*]]: tensor<8x4xf32>, %[[W2:.*]]: tensor<4x8xf32>) -> tensor<?x8xf32>
// CHECK: %[[H:.*]] = grok.linear %[[X]], %[[W1]] : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
// CHECK: %[[A:.*]] = grok.add %[[H]], %[[H]] : tensor<?x4xf32>
// CHECK: %[[P:.*]] = grok.linear %[[A]], %[[W2]] : tensor<?x4xf32>, tensor<4x8xf32> -> tensor<?x8xf32>
// CHECK: %[[Y:.*]] = shard.all_reduce %[[P]] on {{.*}} : tensor<?x8xf32> -> tensor<?x8xf32>
// CHECK: return %[[Y]]
module attributes {grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 1, dp = 1, stages = [1]>} {
shard.grid @line(shape = 4)
func.func @mlp(%x: tensor<?x8xf32>, %w1: tensor<8x16xf32>, %w2: tensor<16x8xf32>) -> tensor<?x8xf32> {
  %whole = shard.sharding @line split_axes = [[], []] : !shard.sharding
  %columns = shard.sharding @line split_axes = [[], [0]] : !shard.sharding
  %rows = shard.sharding @line split_axes = [[0], []] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  %2 = shard.shard %w1 to %columns : tensor<8x16xf32>
  %3 = shard.shard %2 to %columns annotate_for_users : tensor<8x16xf32>
  %4 = shard.shard %w2 to %rows : tensor<16x8xf32>
  %5 = shard.shard %4 to %rows annotate_for_users : tensor<16x8xf32>
  %h = grok.linear %1, %3 : tensor<?x8xf32>, tensor<8x16xf32> -> tensor<?x16xf32>
  %6 = shard.shard %h to %columns : tensor<?x16xf32>
  %7 = shard.shard %6 to %columns annotate_for_users : tensor<?x16xf32>
  %8 = shard.shard %6 to %columns annotate_for_users : tensor<?x16xf32>
  %a = grok.add %7, %8 : tensor<?x16xf32>
  %9 = shard.shard %a to %columns : tensor<?x16xf32>
  %10 = shard.shard %9 to %columns annotate_for_users : tensor<?x16xf32>
  %y = grok.linear %10, %5 : tensor<?x16xf32>, tensor<16x8xf32> -> tensor<?x8xf32>
  %11 = shard.shard %y to %whole : tensor<?x8xf32>
  %12 = shard.shard %11 to %whole annotate_for_users : tensor<?x8xf32>
  return %12 : tensor<?x8xf32>
}
}
