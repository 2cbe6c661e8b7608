// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Shardings that do not fit: one error says which number does not divide.
// RUN: grok-opt %s --grok-select-sharding --split-input-file --verify-diagnostics

// expected-error@+1 {{sharding 'tp3' does not fit: tp 3 does not divide 4 query heads}}
module attributes {grok.sharding = #grok.sharding<tp = 3, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x16xf32>
  }
}

// -----

// expected-error@+1 {{tp 3 neither divides nor is divided by 2 kv heads}}
module attributes {grok.sharding = #grok.sharding<tp = 3, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x24xf32>) -> tensor<?x24xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x24xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x24xf32>
  }
}

// -----

// expected-error@+1 {{ep 2 does not divide 0 experts}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 2, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x16xf32>
  }
}

// -----

// expected-error@+1 {{sharding 'pp2' does not fit: its stages hold 2 layers, the model has 3}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<3 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <3 x 2 x 4, f32>
    return %a : tensor<?x16xf32>
  }
}

// -----

// expected-error@+1 {{bf16 numerics round sums that ranks of tp or ep share, use f32}}
module attributes {grok.numerics = "bf16", grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x16xf32>
  }
}

// -----

// expected-error@+1 {{tp 6 does not divide the 16 slices of reproducible sums}}
module attributes {grok.reproducible, grok.sharding = #grok.sharding<tp = 6, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x24xf32>) -> tensor<?x24xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x24xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x24xf32>
  }
}

// -----

// expected-error@+1 {{tp 8 is more than 6 hidden columns}}
module attributes {grok.sharding = #grok.sharding<tp = 8, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x32xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x32xf32>
  }
  func.func @experts(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x6xf32> {
    %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
    return %y : tensor<?x2x6xf32>
  }
}

// -----

// expected-error@+1 {{sharding 'ep3' does not fit: ep 3 does not divide 4 experts}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 3, pp = 1, dp = 1, stages = [1]>} {
  func.func @step(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x32xf32>, <1 x 2 x 4, f32>
    return %a : tensor<?x32xf32>
  }
  func.func @experts(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) -> tensor<?x2x6xf32> {
    %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
    return %y : tensor<?x2x6xf32>
  }
}

// -----

// expected-error@+1 {{expects a model with attention to shard}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func private @nothing()
}

// -----

// expected-error@+1 {{expects grok.sharding on the module or the option sharding}}
module {
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @two_models(%step: !grok.step, %c: !grok.cache<1 x 2 x 4, f32>, %q: tensor<?x16xf32>, %p: tensor<?x8xf32>) {
    %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <1 x 2 x 4, f32>
    // expected-error@+1 {{expects as many query heads as elsewhere, 4, found 2}}
    %b = grok.attention %p, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x8xf32>, <1 x 2 x 4, f32>
    return
  }
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 1, dp = 1, stages = [1]>} {
  func.func @fused(%h: tensor<?x8xf32>, %s: tensor<8xf32>) -> tensor<?x8xf32> {
    // expected-error@+1 {{expects plain ops: a model is sharded before it is fused}}
    %a, %b = grok.fused_residual_norm %h, %h, %s, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
    return %b : tensor<?x8xf32>
  }
}
