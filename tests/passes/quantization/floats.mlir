// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A float checkpoint: one row group of scales, and a table that becomes int8.
// RUN: grok-opt %s --grok-select-quantization=weights=stored | FileCheck %s --check-prefix=STORED
// RUN: grok-opt %s --grok-select-quantization=weights=int8 | FileCheck %s --check-prefix=INT8
// RUN: grok-opt %s --grok-select-quantization=weights=int4 | FileCheck %s --check-prefix=INT4
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=100 formats=stored,int4g32" | FileCheck %s --check-prefix=AUTO

// The literal mode reads int8, not less: nothing else is chosen or compared.
// RUN: sed s/"f32\"}"/"bf16\"}"/ %s | grok-opt --grok-select-quantization="weights=auto bits-per-weight=8.5" | FileCheck %s --check-prefixes=LITERAL
// RUN: sed s/"f32\"}"/"bf16\"}"/ %s | not grok-opt --grok-select-quantization="weights=auto bits-per-weight=8.5 formats=int4g32" 2>&1 | FileCheck %s --check-prefix=NARROW
// NARROW: error: has no kernels for int4 or int3 under grok.numerics = "bf16"
// LITERAL: flat = [{bits{{[^}]*}}"stored"{{[^}]*}}}, {bits{{[^}]*}}"int8"{{[^}]*}}}], gap

module attributes {grok.model = {}, grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %y: tensor<?x1x128xf32>, %experts: tensor<?x1xi32>) {
  // STORED: "embeddings" : tensor<200x64xf32>
  // INT8: "embeddings" : tensor<200x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  // INT4: "embeddings" : tensor<200x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  // LITERAL: "embeddings" : tensor<200x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  %table = grok.weight "embeddings" : tensor<200x64xf32>
  // STORED: key/w" : tensor<64x64xbf16>
  // INT8: key/w" : tensor<64x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
  // INT4: key/w" : tensor<64x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
  // What costs nothing and fits.
  // AUTO: key/w" : tensor<64x64xbf16>
  %key = grok.weight "decoder_layer_0/key/w" : tensor<64x64xbf16>
  // INT8: linear_1/w" : tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
  // INT4: linear_1/w" : tensor<2x128x64xi4, #grok.format<bits = 4, group_rows = 128, scale = bf16, multiplier_rows = 32, zero_point = 8>>
  // AUTO: linear_1/w" : tensor<2x128x64xbf16>
  // LITERAL: linear_1/w" : tensor<2x128x64xi8
  %down = grok.weight "decoder_layer_0/linear_1/w" : tensor<2x128x64xbf16>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<200x64xf32> -> tensor<?x64xf32>
  %k = grok.linear %h, %key : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %d = grok.expert_matmul %y, %down, %experts : tensor<?x1x128xf32>, tensor<2x128x64xbf16>, tensor<?x1xi32> -> tensor<?x1x64xf32>
  return
}
}
