// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-outline-kernels | FileCheck %s

// bf16 weights have kernels of the fast mode, which may round the rows; float32 weights none.
!table = tensor<512x128xf32>
!half = tensor<128x128xbf16>
!rows = tensor<?x128xf32>
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "fast"} {
// CHECK: plan.kernel @linear_0 "linear" {{.*}}numerics = "fast"{{.*}}weight = {element = "bf16", groups = 1 : i64, slices = 2 : i64, unit = 64 : i64}} operands 4
// CHECK: plan.kernel @unembed_0 "unembed" {{.*}}numerics = "f32"{{.*}}weight = {element = "f32"
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : !table
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, !table -> !rows
  %wo = grok.weight "wo" : !half
  %a = grok.linear %h, %wo : !rows, !half -> !rows
  %rows = grok.logit_rows %a, %step : !rows
  %logits = grok.unembed %rows, %table {multiplier = 1.0 : f64} : !rows, !table -> tensor<?x512xf32>
  return
}
}
