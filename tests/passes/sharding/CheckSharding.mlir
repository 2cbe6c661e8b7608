// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-check-sharding --split-input-file --verify-diagnostics

shard.grid @ranks(shape = 1x2)
func.func @accepts_annotated_edges(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = shard.sharding @ranks split_axes = [[]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<?x8xf32>
  %1 = shard.shard %0 to %s annotate_for_users : tensor<?x8xf32>
  %2 = shard.shard %0 to %s annotate_for_users : tensor<?x8xf32>
  %y = grok.add %1, %2 : tensor<?x8xf32>
  %3 = shard.shard %y to %s : tensor<?x8xf32>
  %4 = shard.shard %3 to %s annotate_for_users : tensor<?x8xf32>
  return %4 : tensor<?x8xf32>
}

// -----

shard.grid @ranks(shape = 1x2)
// expected-error@+1 {{expects a sharding on argument 0}}
func.func @bare_argument(%x: tensor<?x8xf32>) {
  return
}

// -----

shard.grid @ranks(shape = 1x2)
func.func @bare_operand(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = shard.sharding @ranks split_axes = [[]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<?x8xf32>
  %1 = shard.shard %0 to %s annotate_for_users : tensor<?x8xf32>
  // expected-error@+1 {{'grok.add' op expects a sharding on operand 1}}
  %y = grok.add %1, %0 : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

shard.grid @ranks(shape = 1x2)
func.func @bare_result(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = shard.sharding @ranks split_axes = [[]] : !shard.sharding
  // expected-error@+1 {{'grok.weight' op expects a sharding on result 0, before any other use}}
  %w = grok.weight "w" : tensor<8xf32>
  %0 = shard.shard %w to %s annotate_for_users : tensor<8xf32>
  %1 = shard.shard %x to %s : tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

shard.grid @ranks(shape = 1x2)
func.func @bare_return() -> tensor<8xf32> {
  %s = shard.sharding @ranks split_axes = [[]] : !shard.sharding
  %w = grok.weight "w" : tensor<8xf32>
  %0 = shard.shard %w to %s : tensor<8xf32>
  // expected-error@+1 {{'func.return' op expects a sharding on operand 0}}
  return %0 : tensor<8xf32>
}

// -----

shard.grid @others(shape = 1x2)
func.func @another_grid(%x: tensor<?x8xf32>, %t: tensor<?xi32>) {
  %s = shard.sharding @others split_axes = [[]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<?x8xf32>
  %1 = shard.shard %0 to %s annotate_for_users : tensor<?x8xf32>
  %2 = shard.shard %t to %s : tensor<?xi32>
  // expected-error@+1 {{'grok.add' op expects shardings on grid @ranks}}
  %y = grok.add %1, %1 : tensor<?x8xf32>
  return
}

// -----

shard.grid @ranks(shape = 1x2)
func.func @op_without_the_interface(%x: tensor<?x8xf32>) {
  %s = shard.sharding @ranks split_axes = [[]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<?x8xf32>
  %1 = shard.shard %0 to %s annotate_for_users : tensor<?x8xf32>
  // expected-error@+1 {{does not say how it may be sharded}}
  %y = math.exp2 %1 : tensor<?x8xf32>
  return
}
