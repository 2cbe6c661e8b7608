// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-split-stages --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @stage0
// CHECK-SAME: (%[[T:[^:]*]]: tensor<?xi32>, %[[S:[^:]*]]: !grok.step, %[[C:[^:]*]]: !grok.cache<1 x 1 x 4, f32>) -> (tensor<?x4xf32>, !grok.cache<1 x 1 x 4, f32>)
// CHECK: %[[TABLE:.*]] = grok.weight "table"
// CHECK: %[[H:.*]] = grok.embed %[[T]], %[[TABLE]]
// CHECK: %[[C0:.*]] = grok.cache_write %[[C]], {{.*}}, %[[T]], %[[S]] {layer = 0 : i64} : <1 x 1 x 4, f32>
// CHECK: %[[H1:.*]] = grok.add
// CHECK: return %[[H1]], %[[C0]]

// The table is read in both stages, the norm's scale in one of them.
// CHECK-LABEL: func.func @stage1
// CHECK-SAME: %[[C:[^:]*]]: !grok.cache<1 x 1 x 4, f32>, %[[H:[^:]*]]: tensor<?x4xf32>) -> (tensor<?x6xf32>, !grok.cache<1 x 1 x 4, f32>)
// CHECK: %[[TABLE:.*]] = grok.weight "table"
// CHECK-NOT: grok.weight "norm0"
// CHECK: grok.rms_norm %[[H]]
// CHECK: %[[C1:.*]] = grok.cache_write %[[C]], {{.*}} {layer = 0 : i64}
// CHECK: %[[L:.*]] = grok.unembed %{{.*}}, %[[TABLE]]
// CHECK: return %[[L]], %[[C1]]
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
func.func @step(%t: tensor<?xi32>, %s: !grok.step, %c: !grok.cache<2 x 1 x 4, f32>) -> (tensor<?x6xf32>, !grok.cache<2 x 1 x 4, f32>) {
  %table = grok.weight "table" : tensor<6x4xf32>
  %h = grok.embed %t, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<6x4xf32> -> tensor<?x4xf32>
  %n0 = grok.weight "norm0" : tensor<4xf32>
  %x0 = grok.rms_norm %h, %n0 {eps = 1.0e-5 : f64} : tensor<?x4xf32>, tensor<4xf32>
  %w0 = grok.weight "w0" : tensor<4x4xf32>
  %y0 = grok.linear %x0, %w0 : tensor<?x4xf32>, tensor<4x4xf32> -> tensor<?x4xf32>
  %k0 = grok.rope %y0, %s {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x4xf32>
  %c0 = grok.cache_write %c, %k0, %y0, %t, %s {layer = 0 : i64} : <2 x 1 x 4, f32>, tensor<?x4xf32>, tensor<?xi32>
  %a0 = grok.attention %k0, %c0, %s {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x4xf32>, <2 x 1 x 4, f32>
  %h0 = grok.add %h, %a0 : tensor<?x4xf32>
  %n1 = grok.weight "norm1" : tensor<4xf32>
  %x1 = grok.rms_norm %h0, %n1 {eps = 1.0e-5 : f64} : tensor<?x4xf32>, tensor<4xf32>
  %w1 = grok.weight "w1" : tensor<4x4xf32>
  %y1 = grok.linear %x1, %w1 : tensor<?x4xf32>, tensor<4x4xf32> -> tensor<?x4xf32>
  %k1 = grok.rope %y1, %s {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x4xf32>
  %c1 = grok.cache_write %c0, %k1, %y1, %t, %s {layer = 1 : i64} : <2 x 1 x 4, f32>, tensor<?x4xf32>, tensor<?xi32>
  %a1 = grok.attention %k1, %c1, %s {layer = 1 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x4xf32>, <2 x 1 x 4, f32>
  %h1 = grok.add %h0, %a1 : tensor<?x4xf32>
  %l = grok.unembed %h1, %table {multiplier = 1.0 : f64} : tensor<?x4xf32>, tensor<6x4xf32> -> tensor<?x6xf32>
  return %l, %c1 : tensor<?x6xf32>, !grok.cache<2 x 1 x 4, f32>
}
}

// -----

// CHECK-LABEL: func.func @step
// CHECK-NOT: @stage
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 1, dp = 2, stages = [2]>} {
func.func @step(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  return %x : tensor<?x4xf32>
}
}

// -----

// expected-error@+1 {{expects a function @step to split into stages}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
// expected-error@+1 {{expects to go from (tokens, step, cache) to (logits, cache)}}
func.func @step(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  return %x : tensor<?x4xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
// expected-error@+1 {{has 0 layers, fewer than its stages}}
func.func @step(%t: tensor<?x4xf32>, %s: !grok.step, %c: !grok.cache<2 x 1 x 4, f32>) -> (tensor<?x4xf32>, !grok.cache<2 x 1 x 4, f32>) {
  return %t, %c : tensor<?x4xf32>, !grok.cache<2 x 1 x 4, f32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
func.func @step(%t: tensor<?xi32>, %s: !grok.step, %c: !grok.cache<2 x 1 x 4, f32>) -> (tensor<?x4xf32>, !grok.cache<2 x 1 x 4, f32>) {
  %table = grok.weight "table" : tensor<6x4xf32>
  %h = grok.embed %t, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<6x4xf32> -> tensor<?x4xf32>
  %c0 = grok.cache_write %c, %h, %h, %t, %s {layer = 0 : i64} : <2 x 1 x 4, f32>, tensor<?x4xf32>, tensor<?xi32>
  // expected-error@+1 {{expects keys that are a rotated projection of a normed residual, to cut before its layer}}
  %c1 = grok.cache_write %c0, %h, %h, %t, %s {layer = 1 : i64} : <2 x 1 x 4, f32>, tensor<?x4xf32>, tensor<?xi32>
  return %h, %c1 : tensor<?x4xf32>, !grok.cache<2 x 1 x 4, f32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
func.func @step(%t: tensor<?xi32>, %s: !grok.step, %c: !grok.cache<2 x 1 x 4, f32>) -> (tensor<?x4xf32>, !grok.cache<2 x 1 x 4, f32>) {
  %table = grok.weight "table" : tensor<6x4xf32>
  // expected-error@+1 {{'grok.embed' op is read by stages 0 and 1, which pass on nothing but the residual}}
  %h = grok.embed %t, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<6x4xf32> -> tensor<?x4xf32>
  %c0 = grok.cache_write %c, %h, %h, %t, %s {layer = 0 : i64} : <2 x 1 x 4, f32>, tensor<?x4xf32>, tensor<?xi32>
  %h0 = grok.add %h, %h : tensor<?x4xf32>
  %n1 = grok.weight "norm1" : tensor<4xf32>
  %x1 = grok.rms_norm %h0, %n1 {eps = 1.0e-5 : f64} : tensor<?x4xf32>, tensor<4xf32>
  %w1 = grok.weight "w1" : tensor<4x4xf32>
  %y1 = grok.linear %x1, %w1 : tensor<?x4xf32>, tensor<4x4xf32> -> tensor<?x4xf32>
  %k1 = grok.rope %y1, %s {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x4xf32>
  %c1 = grok.cache_write %c0, %k1, %y1, %t, %s {layer = 1 : i64} : <2 x 1 x 4, f32>, tensor<?x4xf32>, tensor<?xi32>
  %out = grok.add %h0, %h : tensor<?x4xf32>
  return %out, %c1 : tensor<?x4xf32>, !grok.cache<2 x 1 x 4, f32>
}
}
