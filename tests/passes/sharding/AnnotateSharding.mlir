// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-annotate-sharding --split-input-file | FileCheck %s

// CHECK: shard.grid @ranks(shape = 1x2)
// CHECK-LABEL: @logits
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[T:.*]]: tensor<16x8xf32>
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 1, dp = 1, stages = [1]>} {
func.func @logits(%x: tensor<?x8xf32>, %table: tensor<16x8xf32>) -> tensor<?x16xf32> {
  // CHECK-DAG: %[[WHOLE:.*]] = shard.sharding @ranks split_axes = {{\[\[\], \[\]\]}}
  // CHECK-DAG: %[[ROWS:.*]] = shard.sharding @ranks split_axes = {{\[\[1\], \[\]\]}}
  // CHECK-DAG: %[[COLUMNS:.*]] = shard.sharding @ranks split_axes = {{\[\[\], \[1\]\]}}
  // CHECK-DAG: %[[XS:.*]] = shard.shard %[[X]] to %[[WHOLE]] : tensor<?x8xf32>
  // CHECK-DAG: %[[TS:.*]] = shard.shard %[[T]] to %[[WHOLE]] : tensor<16x8xf32>
  // CHECK-DAG: %[[XU:.*]] = shard.shard %[[XS]] to %[[WHOLE]] annotate_for_users
  // CHECK-DAG: %[[TU:.*]] = shard.shard %[[TS]] to %[[ROWS]] annotate_for_users
  // CHECK: %[[L:.*]] = grok.unembed %[[XU]], %[[TU]]
  // CHECK: %[[LS:.*]] = shard.shard %[[L]] to %[[COLUMNS]] : tensor<?x16xf32>
  // CHECK: %[[LU:.*]] = shard.shard %[[LS]] to %[[WHOLE]] annotate_for_users
  // CHECK: return %[[LU]]
  %l = grok.unembed %x, %table {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return %l : tensor<?x16xf32>
}
}

// -----

// Four ranks for two kv heads: keys are split over one of two axes.
// CHECK: shard.grid @ranks(shape = 1x2x2)
// CHECK-LABEL: @more_ranks_than_kv_heads
// CHECK-DAG: %[[KV:.*]] = shard.sharding @ranks split_axes = {{\[\[\], \[1\]\]}}
// CHECK-DAG: %[[HEADS:.*]] = shard.sharding @ranks split_axes = {{\[\[\], \[1, 2\]\]}}
// CHECK: %[[W:.*]] = grok.weight "key"
// CHECK-NEXT: shard.shard %[[W]] to %[[KV]]
// CHECK: %[[K:.*]] = grok.linear
// CHECK-NEXT: shard.shard %[[K]] to %[[KV]] : tensor<?x8xf32>
// CHECK: grok.cache_write
// CHECK: %[[Q:.*]] = shard.shard %{{.*}} to %[[HEADS]] annotate_for_users : tensor<?x16xf32>
// CHECK: %[[A:.*]] = grok.attention %[[Q]]
// CHECK-NEXT: shard.shard %[[A]] to %[[HEADS]]
module attributes {grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 1, dp = 1, stages = [1]>} {
func.func @more_ranks_than_kv_heads(%x: tensor<?x8xf32>, %q: tensor<?x16xf32>, %tokens: tensor<?xi32>, %step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>) -> tensor<?x16xf32> {
  %w = grok.weight "key" : tensor<8x8xf32>
  %k = grok.linear %x, %w : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %c1 = grok.cache_write %c, %k, %k, %tokens, %step {layer = 0 : i64} : <1 x 2 x 4, f32>, tensor<?x8xf32>, tensor<?xi32>
  %a = grok.attention %q, %c1, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <1 x 2 x 4, f32>
  return %a : tensor<?x16xf32>
}
}

// -----

// CHECK-LABEL: @experts
// CHECK: shard.sharding @ranks split_axes = {{\[\[0\], \[\], \[1\]\]}}
// CHECK: shard.sharding @ranks split_axes = {{\[\[0\], \[1\], \[\]\]}}
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
func.func @experts(%x: tensor<?x8xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x8xf32> {
  %wg = grok.weight "gate" : tensor<4x8x6xf32>
  %g = grok.expert_matmul %x, %wg, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  %wd = grok.weight "down" : tensor<4x6x8xf32>
  %d = grok.expert_matmul %g, %wd, %e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  return %d : tensor<?x2x8xf32>
}
}
