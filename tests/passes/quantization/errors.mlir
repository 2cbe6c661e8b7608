// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Errors of formats: measured, scaled from what was measured, or expected.
// RUN: grok-opt %s --grok-select-quantization="weights=int4" | FileCheck %s

// For layer 0 int4g32 and int3g32 are measured, a tenth of the 7.0e-3 and 2.65e-2
// that are to be expected; so int3g64 is taken to be a tenth of 3.13e-2. Of
// layer 1 nothing is known but its loss.
// 2 * 7.0e-4 + 3 * 7.0e-3:
// CHECK: {bits{{[^}]*}}"int4g32", loss = 2.240000e-02 : f64}
// 2 * 3.13e-3 + 3 * 3.13e-2, but for rounding:
// CHECK-SAME: {bits{{[^}]*}}"int3g64", loss = 0.10016{{[0-9]*}} : f64}
// CHECK-SAME: {bytes{{[^}]*}} loss = 1.400000e-03 : f64, name = "layer0.down"}
// CHECK-SAME: {bytes{{[^}]*}} loss = 2.100000e-02 : f64, name = "layer1.down"}
!down = tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
module attributes {grok.numerics = "fast", grok.sensitivities = {
    "layer0.down" = {loss = 2.0 : f64, errors = {int4g32 = 7.0e-4 : f64, int3g32 = 2.65e-3 : f64}},
    "layer1.down" = {loss = 3.0 : f64}}} {
func.func @step(%y: tensor<?x1x128xf32>, %e: tensor<?x1xi32>) {
  %w = grok.weight "decoder_layer_0/moe/linear_1/w" : !down
  %v = grok.weight "decoder_layer_1/moe/linear_1/w" : !down
  %a = grok.expert_matmul %y, %w, %e : tensor<?x1x128xf32>, !down, tensor<?x1xi32> -> tensor<?x1x64xf32>
  %b = grok.expert_matmul %y, %v, %e : tensor<?x1x128xf32>, !down, tensor<?x1xi32> -> tensor<?x1x64xf32>
  return
}
}
