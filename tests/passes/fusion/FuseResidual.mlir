// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-fuse-residual | FileCheck %s

// CHECK-LABEL: @merges_post_norm_add_and_next_norm
// CHECK-SAME: %[[H:.*]]: tensor<?x96xf32>, %[[A:.*]]: tensor<?x96xf32>, %[[POST:.*]]: tensor<96xf32>, %[[NEXT:.*]]: tensor<96xf32>
func.func @merges_post_norm_add_and_next_norm(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %post: tensor<96xf32>, %next: tensor<96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  // CHECK-NEXT: %[[SUM:.*]], %[[X:.*]] = grok.fused_residual_norm %[[H]], %[[A]], %[[POST]], %[[NEXT]] {eps = {{1.0.*e-05}} : f64} : tensor<?x96xf32>, tensor<96xf32>
  // CHECK-NEXT: return %[[SUM]], %[[X]]
  %p = grok.rms_norm %a, %post {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %h1, %x : tensor<?x96xf32>, tensor<?x96xf32>
}

// The sum of two norms: the right one is the block's.
// CHECK-LABEL: @takes_the_right_norm_first
// CHECK-SAME: %[[E:.*]]: tensor<?x96xf32>, %[[A:.*]]: tensor<?x96xf32>, %[[S:.*]]: tensor<96xf32>
func.func @takes_the_right_norm_first(%e: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>) -> tensor<?x96xf32> {
  // CHECK: %[[H:.*]] = grok.rms_norm %[[E]], %[[S]]
  // CHECK: grok.fused_residual_norm %[[H]], %[[A]], %[[S]], %[[S]]
  %h = grok.rms_norm %e, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %x : tensor<?x96xf32>
}

// CHECK-LABEL: @merges_with_the_norm_on_the_left
// CHECK: grok.fused_residual_norm %arg0, %arg1,
func.func @merges_with_the_norm_on_the_left(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>) -> tensor<?x96xf32> {
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %p, %h : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %x : tensor<?x96xf32>
}

// Each of the three steps rounds to bf16, in the fused op as before.
// CHECK-LABEL: @merges_literal_bf16
// CHECK: grok.fused_residual_norm {{.*}} : tensor<?x96xbf16>, tensor<96xf32>
// CHECK-NOT: grok.add
func.func @merges_literal_bf16(%h: tensor<?x96xbf16>, %a: tensor<?x96xbf16>, %s: tensor<96xf32>) -> tensor<?x96xbf16> {
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xbf16>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  return %x : tensor<?x96xbf16>
}

// CHECK-LABEL: @merges_a_chain_of_blocks
// CHECK: %[[SUM:.*]], %[[X:.*]] = grok.fused_residual_norm %arg0, %arg1,
// CHECK: grok.fused_residual_norm %[[SUM]], %[[X]],
// CHECK-NOT: grok.add
func.func @merges_a_chain_of_blocks(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>) -> tensor<?x96xf32> {
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %p2 = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h2 = grok.add %h1, %p2 : tensor<?x96xf32>
  %y = grok.rms_norm %h2, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_norm_with_two_users
// CHECK-NOT: grok.fused_residual_norm
// CHECK: return
func.func @keeps_norm_with_two_users(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %x, %p : tensor<?x96xf32>, tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_norms_of_different_eps
// CHECK-NOT: grok.fused_residual_norm
// CHECK: return
func.func @keeps_norms_of_different_eps(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>) -> tensor<?x96xf32> {
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-6 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %x : tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_sum_without_a_norm
// CHECK-NOT: grok.fused_residual_norm
// CHECK: return
func.func @keeps_sum_without_a_norm(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>) -> tensor<?x96xf32> {
  %h1 = grok.add %h, %a : tensor<?x96xf32>
  %x = grok.rms_norm %h1, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %x : tensor<?x96xf32>
}

// The router reads the sum before the norm's scale exists.
// CHECK-LABEL: @keeps_sum_used_before_the_next_norm
// CHECK-NOT: grok.fused_residual_norm
// CHECK: return
func.func @keeps_sum_used_before_the_next_norm(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %s: tensor<96xf32>, %w: tensor<96x8xf32>) -> (tensor<?x96xf32>, tensor<?x2xf32>) {
  %p = grok.rms_norm %a, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %gates, %experts = grok.route %h1, %w : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %next = grok.weight "language_model/rms_norm/scale" : tensor<96xf32>
  %x = grok.rms_norm %h1, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  return %x, %gates : tensor<?x96xf32>, tensor<?x2xf32>
}

// What a pipeline stage hands on; x is a sum over ranks.
// CHECK-LABEL: @merges_the_residual_that_a_stage_returns
// CHECK-SAME: %[[H:.*]]: tensor<?x96xf32>, %[[A:.*]]: tensor<?x96xf32>, %[[POST:.*]]: tensor<96xf32>
shard.grid @ranks(shape = 1x2)
func.func @merges_the_residual_that_a_stage_returns(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %post: tensor<96xf32>) -> tensor<?x96xf32> {
  // CHECK: %[[X:.*]] = shard.all_reduce %[[A]]
  // CHECK-NEXT: %[[SUM:.*]], %{{.*}} = grok.fused_residual_norm %[[H]], %[[X]], %[[POST]], %[[POST]]
  // CHECK-NEXT: return %[[SUM]]
  %x = shard.all_reduce %a on @ranks grid_axes = [1] : tensor<?x96xf32> -> tensor<?x96xf32>
  %p = grok.rms_norm %x, %post {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  return %h1 : tensor<?x96xf32>
}

// CHECK-LABEL: @leaves_a_sum_that_another_op_reads
// CHECK: grok.add
func.func @leaves_a_sum_that_another_op_reads(%h: tensor<?x96xf32>, %a: tensor<?x96xf32>, %post: tensor<96xf32>) -> tensor<?x96xf32> {
  %p = grok.rms_norm %a, %post {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %h1 = grok.add %h, %p : tensor<?x96xf32>
  %h2 = grok.add %h1, %h : tensor<?x96xf32>
  return %h2 : tensor<?x96xf32>
}
