// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// weights=auto on two layers of two experts. The optima were found by trying
// all 15,625 choices of formats.

// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=5" | FileCheck %s --check-prefixes=CHECK,FIVE
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=6" | FileCheck %s --check-prefixes=CHECK,SIX
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=100" | FileCheck %s --check-prefixes=CHECK,MUCH
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=100 formats=stored,int8" | FileCheck %s --check-prefix=ALLOWED

// Bytes of all weights: one less than the five bits above need, with the norm's 256.
// RUN: grok-opt %s --grok-select-quantization="weights=auto budget-bytes=74112" | FileCheck %s --check-prefixes=CHECK,FIVE
// RUN: grok-opt %s --grok-select-quantization="weights=auto budget-bytes=74111" | FileCheck %s --check-prefix=LESS
// Both: the smaller counts.
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=6 budget-bytes=74112" | FileCheck %s --check-prefix=LIMIT

// What no choice of formats can do.
// RUN: not grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=2.5" 2>&1 | FileCheck %s --check-prefix=BITS
// BITS: error: expects bits-per-weight of at least 4.285, got 2.500; no choice of formats is smaller
// RUN: grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=4.285" -o /dev/null
// RUN: not grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=4.5 formats=int8,int4g64" 2>&1 | FileCheck %s --check-prefix=FORMATS
// FORMATS: error: expects bits-per-weight of at least 5.
// RUN: not grok-opt %s --grok-select-quantization="weights=auto budget-bytes=5000" 2>&1 | FileCheck %s --check-prefix=BYTES
// BYTES: error: expects budget-bytes of at least 63936, got 5000; no choice of formats is smaller
// RUN: grok-opt %s --grok-select-quantization="weights=auto budget-bytes=63936" -o /dev/null

!i8 = tensor<64x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
!up8 = tensor<2x64x128xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
!down8 = tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>

// FIVE: grok.quantization = {{.*}}bytes = 74112 : i64, elements = 118912 : i64
// FIVE-SAME: gap = 0.000000e+00
// FIVE-SAME: {bytes = 9216 : i64, elements = 16384 : i64, expert = 0 : i64, format = "int4g32", kind = "gate_up", layer = 0 : i64, loss = 5.600000e-02 : f64, name = "layer0.gate_up.expert0"}
// FIVE-SAME: loss = 1.338800e-01 : f64, matrix_bytes = 73856 : i64, measured = true, weights = "auto"
// SIX: bytes = 89216 : i64, elements
// SIX-SAME: loss = {{0.0540799|5.408000e-02}}{{.*}} : f64, matrix_bytes
// LIMIT: bytes = 74112 : i64, elements
// LIMIT-SAME: loss = 1.338800e-01 : f64, matrix_bytes
module attributes {grok.model = {}, grok.numerics = "fast", grok.sensitivities = {
    "layer0.gate_up.expert0" = {loss = 8.0 : f64}, "layer0.gate_up.expert1" = {loss = 1.0 : f64},
    "layer0.down" = {loss = 4.0 : f64}, "layer1.down" = {loss = 3.0 : f64},
    // Measured: this one takes three bits well, in groups of 32.
    "layer1.gate_up" = {loss = 2.0 : f64, errors = {int4g32 = 5.0e-4 : f64, int4g64 = 8.4e-3 : f64,
                                                    int3g32 = 1.0e-3 : f64, int3g64 = 3.13e-2 : f64}},
    "layer0.attention" = {loss = 50.0 : f64}, "table" = {loss = 5.0 : f64}}} {
// CHECK-LABEL: func.func @step
func.func @step(%tokens: tensor<?xi32>) -> tensor<?x256xf32> {
  // Without "stored" among the formats, the float table becomes int8.
  // CHECK: grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  // ALLOWED: grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xf32>
  %table = grok.weight "language_model/in_out_embed/embeddings" : tensor<256x64xf32>
  %norm = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<64xf32>
  // CHECK: decoder_layer_0/router/w" : tensor<64x2xf32>
  %router = grok.weight "transformer/decoder_layer_0/router/w" : tensor<64x2xf32>
  // CHECK: decoder_layer_0/multi_head_attention/query/w" : tensor<64x64xi8
  %query = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : !i8
  // Experts apart: i8 is the container of both formats.
  // FIVE: decoder_layer_0/moe/linear/w" : tensor<2x64x128xi8, #grok.expert_formats<[<bits = 4, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 8>, <bits = 3, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 4>]>>
  // SIX: decoder_layer_0/moe/linear/w" : tensor<2x64x128xi8, #grok.expert_formats<[<bits = 8, group_rows = 64, scale = bf16>, <bits = 3, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 4>]>>
  // MUCH: decoder_layer_0/moe/linear/w" : tensor<2x64x128xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
  %gate = grok.weight "transformer/decoder_layer_0/moe/linear/w" : !up8
  // Gate and up of an expert are one item.
  // FIVE: decoder_layer_0/moe/linear_v/w" : tensor<2x64x128xi8, #grok.expert_formats<[<bits = 4, {{.*}}>, <bits = 3
  %up = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : !up8
  // FIVE: decoder_layer_0/moe/linear_1/w" : tensor<2x128x64xi4, {{.*}}multiplier_rows = 32
  // SIX: decoder_layer_0/moe/linear_1/w" : tensor<2x128x64xi8
  %down = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : !down8
  // FIVE: decoder_layer_1/moe/linear/w" : tensor<2x64x128xi3, {{.*}}multiplier_rows = 32
  %gate1 = grok.weight "transformer/decoder_layer_1/moe/linear/w" : !up8
  // FIVE: decoder_layer_1/moe/linear_v/w" : tensor<2x64x128xi3, {{.*}}multiplier_rows = 32
  %up1 = grok.weight "transformer/decoder_layer_1/moe/linear_v/w" : !up8
  // FIVE: decoder_layer_1/moe/linear_1/w" : tensor<2x128x64xi4, {{.*}}multiplier_rows = 32
  // SIX: decoder_layer_1/moe/linear_1/w" : tensor<2x128x64xi4, {{.*}}multiplier_rows = 64
  // LESS-NOT: decoder_layer_1/moe/linear_1/w" : tensor<2x128x64xi4, {{.*}}multiplier_rows = 32
  // MUCH: decoder_layer_1/moe/linear_1/w" : tensor<2x128x64xi8
  %down1 = grok.weight "transformer/decoder_layer_1/moe/linear_1/w" : !down8

  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<256x64xf32> -> tensor<?x64xf32>
  %n = grok.rms_norm %h, %norm {eps = 1.0e-5 : f64} : tensor<?x64xf32>, tensor<64xf32>
  %q = grok.linear %n, %query : tensor<?x64xf32>, !i8 -> tensor<?x64xf32>
  %gates, %experts = grok.route %n, %router : tensor<?x64xf32>, tensor<64x2xf32> -> tensor<?x1xf32>, tensor<?x1xi32>
  %g = grok.expert_matmul %n, %gate, %experts : tensor<?x64xf32>, !up8, tensor<?x1xi32> -> tensor<?x1x128xf32>
  %u = grok.expert_matmul %n, %up, %experts : tensor<?x64xf32>, !up8, tensor<?x1xi32> -> tensor<?x1x128xf32>
  %y = grok.gelu_gate %g, %u : tensor<?x1x128xf32> -> tensor<?x1x128xf32>
  %d = grok.expert_matmul %y, %down, %experts : tensor<?x1x128xf32>, !down8, tensor<?x1xi32> -> tensor<?x1x64xf32>
  %g1 = grok.expert_matmul %n, %gate1, %experts : tensor<?x64xf32>, !up8, tensor<?x1xi32> -> tensor<?x1x128xf32>
  %u1 = grok.expert_matmul %n, %up1, %experts : tensor<?x64xf32>, !up8, tensor<?x1xi32> -> tensor<?x1x128xf32>
  %y1 = grok.gelu_gate %g1, %u1 : tensor<?x1x128xf32> -> tensor<?x1x128xf32>
  %d1 = grok.expert_matmul %y1, %down1, %experts : tensor<?x1x128xf32>, !down8, tensor<?x1xi32> -> tensor<?x1x64xf32>
  %l = grok.unembed %n, %table {multiplier = 0.5 : f64} : tensor<?x64xf32>, tensor<256x64xf32> -> tensor<?x256xf32>
  return %l : tensor<?x256xf32>
}
}
