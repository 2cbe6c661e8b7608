// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: not grok-opt %s --grok-select-sharding=sharding=tp2,pp2 2>&1 | FileCheck %s --check-prefix=COMMA
// RUN: not grok-opt %s --grok-select-sharding=sharding=pp4 2>&1 | FileCheck %s --check-prefix=STAGES
// RUN: not grok-opt %s --grok-select-sharding="sharding=pp2 stages=1,1" 2>&1 | FileCheck %s --check-prefix=LAYERS
// RUN: not grok-opt %s --grok-select-sharding="sharding=pp2 stages=3" 2>&1 | FileCheck %s --check-prefix=COUNT
// RUN: not grok-opt %s --grok-select-sharding=sharding=tp2:hidden=1-3 2>&1 | FileCheck %s --check-prefix=RANGE
// RUN: not grok-opt %s --grok-select-sharding=sharding=tp2:hidden= 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not grok-opt %s --grok-select-sharding=sharding=tp2:whole=1 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: grok-opt %s --grok-select-sharding=sharding=tp2:hidden=2,0-1,1 | FileCheck %s --check-prefix=LIST
// RUN: grok-opt %s --grok-select-sharding=sharding=tp2:hidden=all | FileCheck %s --check-prefix=LIST
// RANGE: error: '1-3' in 'hidden=1-3' is no layer or range of layers from 0 to 2
// NONE: error: '' in 'hidden=' is no layer or range of layers from 0 to 2
// KIND: error: 'whole=1' behind a sharding is not hidden=LAYERS
// LIST: grok.hidden_layers = array<i64: 0, 1, 2>
// LAYERS: error: sharding 'pp2' does not fit: its stages hold 2 layers, the model has 3
// COUNT: error: expects the layers of each of 2 stages, found 1
// COMMA: error: 'tp2,pp2' in sharding 'tp2,pp2' is not tpN, epN, ppN or dpN with a positive N
// STAGES: error: sharding 'pp4' has 4 stages for 3 layers
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c: !grok.cache<3 x 2 x 4, f32>, %q: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %a = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <3 x 2 x 4, f32>
  return %a : tensor<?x16xf32>
}
