// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What grok-annotate-sharding cannot annotate.
// RUN: grok-opt %s --grok-annotate-sharding --split-input-file --verify-diagnostics

// expected-error@+1 {{expects grok.sharding on the module}}
module {
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 1, dp = 1, stages = [1]>} {
func.func @another_dialect(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@+1 {{'math.exp2' op expects to be a grok op, to be sharded}}
  %y = math.exp2 %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
}

// -----

module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 1, dp = 1, stages = [1]>} {
// expected-error@+1 {{expects one block to shard}}
func.func @two_blocks() {
  cf.br ^end
^end:
  return
}
}

// -----

// A declaration has nothing to annotate.
module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 1, dp = 1, stages = [1]>} {
func.func private @elsewhere(tensor<?x8xf32>)
}
