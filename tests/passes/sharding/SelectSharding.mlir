// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-select-sharding=sharding=tp2.pp2 | FileCheck %s
// RUN: grok-opt %s --grok-select-sharding=sharding=tp4 | FileCheck %s --check-prefix=REPLICAS
// RUN: grok-opt %s --grok-select-sharding=sharding=pp2.dp3 | grok-opt --grok-select-sharding | FileCheck %s --check-prefix=KEPT
// RUN: grok-opt %s --grok-select-sharding="sharding=pp2 stages=1,2" | FileCheck %s --check-prefix=STAGES

// CHECK: module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 2, dp = 1, stages = [2, 1]>}
// More ranks than kv heads.
// REPLICAS: #grok.sharding<tp = 4, ep = 1, pp = 1, dp = 1, stages = [3]>
// STAGES: #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [1, 2]>
// KEPT: #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 3, stages = [2, 1]>
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c: !grok.cache<3 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <3 x 2 x 4, f32>
  return %a : tensor<?x16xf32>
}
