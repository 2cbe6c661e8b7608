// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What cannot be partitioned, one error each.
// RUN: grok-opt %s --grok-partition --split-input-file --verify-diagnostics

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @weight_between_ranks(%x: tensor<?x8xf32>) -> tensor<?x6xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %columns = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  %w = grok.weight "w" : tensor<8x6xf32>
  %2 = shard.shard %w to %columns : tensor<8x6xf32>
  %3 = shard.shard %2 to %whole annotate_for_users : tensor<8x6xf32>
  // expected-error@+1 {{'grok.linear' op would move operand 1, a weight, between ranks}}
  %y = grok.linear %1, %3 : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>
  %4 = shard.shard %y to %whole : tensor<?x6xf32>
  %5 = shard.shard %4 to %whole annotate_for_users : tensor<?x6xf32>
  return %5 : tensor<?x6xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @norm_of_a_part_of_a_row(%x: tensor<?x8xf32>, %s: tensor<8xf32>) -> tensor<?x8xf32> {
  %columns = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %row = shard.sharding @ranks split_axes = [[1]] : !shard.sharding
  %0 = shard.shard %x to %columns : tensor<?x8xf32>
  %1 = shard.shard %0 to %columns annotate_for_users : tensor<?x8xf32>
  %2 = shard.shard %s to %row : tensor<8xf32>
  %3 = shard.shard %2 to %row annotate_for_users : tensor<8xf32>
  // expected-error@+1 {{'grok.rms_norm' op does not allow ranks on axis "tp" to split factor 'e'}}
  %y = grok.rms_norm %1, %3 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %4 = shard.shard %y to %columns : tensor<?x8xf32>
  %5 = shard.shard %4 to %columns annotate_for_users : tensor<?x8xf32>
  return %5 : tensor<?x8xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @columns_that_do_not_divide(%x: tensor<?x8xf32>) -> tensor<?x5xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %columns = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  %w = grok.weight "w" : tensor<8x5xf32>
  %2 = shard.shard %w to %columns : tensor<8x5xf32>
  %3 = shard.shard %2 to %columns annotate_for_users : tensor<8x5xf32>
  // expected-error@+1 {{'grok.linear' op expects 2 parts to divide the 5 of factor 'o'}}
  %y = grok.linear %1, %3 : tensor<?x8xf32>, tensor<8x5xf32> -> tensor<?x5xf32>
  %4 = shard.shard %y to %columns : tensor<?x5xf32>
  %5 = shard.shard %4 to %whole annotate_for_users : tensor<?x5xf32>
  return %5 : tensor<?x5xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @contracted_factor_split_once(%x: tensor<?x8xf32>) -> tensor<?x6xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %rows = shard.sharding @ranks split_axes = [[1], []] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  %w = grok.weight "w" : tensor<8x6xf32>
  %2 = shard.shard %w to %rows : tensor<8x6xf32>
  %3 = shard.shard %2 to %rows annotate_for_users : tensor<8x6xf32>
  // expected-error@+1 {{'grok.linear' op expects factor 'i' to be split alike in all operands and results}}
  %y = grok.linear %1, %3 : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>
  %4 = shard.shard %y to %whole : tensor<?x6xf32>
  %5 = shard.shard %4 to %whole annotate_for_users : tensor<?x6xf32>
  return %5 : tensor<?x6xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @half_a_head(%x: tensor<?x12xf32>, %step: !grok.step) -> tensor<?x12xf32> {
  %columns = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %0 = shard.shard %x to %columns : tensor<?x12xf32>
  %1 = shard.shard %0 to %columns annotate_for_users : tensor<?x12xf32>
  // expected-error@+1 {{'grok.rope' op expects whole heads of 4 columns, found 'tensor<?x6xf32>'}}
  %y = grok.rope %1, %step {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x12xf32>
  %4 = shard.shard %y to %columns : tensor<?x12xf32>
  %5 = shard.shard %4 to %columns annotate_for_users : tensor<?x12xf32>
  return %5 : tensor<?x12xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @any_number_of_rows(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %rows = shard.sharding @ranks split_axes = [[1], []] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  %1 = shard.shard %0 to %rows annotate_for_users : tensor<?x8xf32>
  // expected-error@+1 {{no collectives lead from one sharding of 'tensor<?x8xf32>' to the other}}
  return %1 : tensor<?x8xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x2)
func.func @bare_edge(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %0 = shard.shard %x to %whole : tensor<?x8xf32>
  // expected-error@+1 {{'func.return' op expects a sharding on every edge; run grok-check-sharding}}
  return %0 : tensor<?x8xf32>
}
}

// -----

// expected-error@+1 {{expects grok.sharding and the grid @ranks}}
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 2, pp = 1, dp = 1, stages = [1]>} {
}

// -----

// kv heads are replicated over one of the two axes of tp.
module attributes {grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 1x2x2)
func.func @kv_heads_gathered(%k: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %kv = shard.sharding @ranks split_axes = [[], [1]] : !shard.sharding
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %0 = shard.shard %k to %kv : tensor<?x8xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x8xf32>
  // expected-error@+1 {{expects parts and replicas of kv heads in one collective}}
  return %1 : tensor<?x8xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 1x2)
// expected-error@+1 {{expects 2 parts to divide the 3 kv heads of the cache}}
func.func @kv_heads_that_do_not_divide(%step: !grok.step, %c: !grok.cache<1 x 3 x 4, f32>, %q: tensor<?x12xf32>) -> tensor<?x12xf32> {
  %whole = shard.sharding @ranks split_axes = [[], []] : !shard.sharding
  %0 = shard.shard %q to %whole : tensor<?x12xf32>
  %1 = shard.shard %0 to %whole annotate_for_users : tensor<?x12xf32>
  %a = grok.attention %1, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x12xf32>, <1 x 3 x 4, f32>
  %2 = shard.shard %a to %whole : tensor<?x12xf32>
  %3 = shard.shard %2 to %whole annotate_for_users : tensor<?x12xf32>
  return %3 : tensor<?x12xf32>
}
}

// -----

// All ranks run one program: experts in one place have one format.
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 2, pp = 1, dp = 1, stages = [1]>} {
shard.grid @ranks(shape = 2x1)
func.func @experts_of_two_formats() {
  %experts = shard.sharding @ranks split_axes = [[0], [], []] : !shard.sharding
  // expected-error@+1 {{expects expert 1 in the format of expert 0, which other ranks hold in its place}}
  %w = grok.weight "w" : tensor<2x8x6xi8, #grok.expert_formats<[<bits = 4, group_rows = 8, scale = bf16, zero_point = 8>, <bits = 8, group_rows = 8, scale = bf16>]>>
  %0 = shard.shard %w to %experts : tensor<2x8x6xi8, #grok.expert_formats<[<bits = 4, group_rows = 8, scale = bf16, zero_point = 8>, <bits = 8, group_rows = 8, scale = bf16>]>>
  return
}
}
