// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Formats of single experts: the item is split, its other experts stay or go
// together. The last assignment of an expert holds.
// RUN: grok-opt %s --grok-select-quantization="assign=layer0.down.expert1:int4g32" | FileCheck %s --check-prefix=ONE
// RUN: grok-opt %s --grok-select-quantization="assign=layer0.down:int3g32,layer0.down.expert1:int4g32" | FileCheck %s --check-prefix=REST
// RUN: grok-opt %s --grok-select-quantization="assign=layer0.down.expert0:int4g32,layer0.down.expert1:int4g32" | FileCheck %s --check-prefix=ALIKE
// RUN: not grok-opt %s --grok-select-quantization="assign=layer0.down.expert2:int4g32" 2>&1 | FileCheck %s --check-prefix=NONE

// ONE: linear_1/w" : tensor<2x128x64xi8, #grok.expert_formats<[<bits = 8, {{.*}}>, <bits = 4, {{.*}}>]>>
// REST: linear_1/w" : tensor<2x128x64xi8, #grok.expert_formats<[<bits = 3, {{.*}}>, <bits = 4, {{.*}}>]>>
// Experts that agree after all are one format.
// ALIKE: linear_1/w" : tensor<2x128x64xi4, #grok.format<bits = 4, {{.*}}>>
// NONE: error: expects option assign to list ITEM:FORMAT, got 'layer0.down.expert2:int4g32'
!down = tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
module attributes {grok.model = {}, grok.numerics = "fast"} {
func.func @step(%y: tensor<?x1x128xf32>, %experts: tensor<?x1xi32>) {
  %down = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : !down
  %d = grok.expert_matmul %y, %down, %experts : tensor<?x1x128xf32>, !down, tensor<?x1xi32> -> tensor<?x1x64xf32>
  return
}
}
