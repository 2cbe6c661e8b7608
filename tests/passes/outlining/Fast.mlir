// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-outline-kernels | FileCheck %s

// Quantised rows meet weights of 8, 4 and 3 bits: packings, kernels, row records.
// Of two digits: 2 x 128 codes, 2 scales, 2 x 4 words of sums, each padded to 64 bytes.
// RUN: sed 's/bits = 8\(, group_rows = 64, scale = f32\)/bits = 15\1/' %s | grok-opt --grok-outline-kernels | FileCheck %s --check-prefix=WIDE
// WIDE: "quantize" {digits = 2 : i64, in = 128 : i64, numerics = "fast", weight = {unit = 64 : i64}} operands 2
// WIDE: "linear" {digits = 2 : i64
// WIDE: "gate_up" {digits = 2 : i64
// WIDE: "quantize" {digits = 2 : i64, in = 256 : i64
// WIDE: "down_combine" {digits = 2 : i64
// WIDE: "unembed" {digits = 2 : i64
// WIDE: plan.buffer "quantized" : <tensor<?x448xi8>>
// WIDE: plan.buffer "quantized_2" : <tensor<?x2x704xi8>>
!table = tensor<512x128xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16, along = last>>
!int8 = tensor<128x128xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
!int4 = tensor<8x128x256xi4, #grok.format<bits = 4, group_rows = 128, scale = bf16, multiplier_rows = 32, zero_point = 8>>
!int3 = tensor<8x256x128xi3, #grok.format<bits = 3, group_rows = 64, scale = bf16, multiplier_rows = 64, zero_point = 4>>
!rows = tensor<?x128xf32>
!q64 = tensor<?x128xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
!pairs = tensor<?x2x256xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "fast"} {
// CHECK-LABEL: plan.layout @cpu {
// CHECK-NEXT: plan.tensor @table source "table" packing "panel16.k4" logical [512, 128] {slices = 2 : i64, transposed, unit = 64 : i64} : tensor<32x32x16x4xi8>
// CHECK-NEXT: plan.tensor @table.scales source "table.scales" packing "scales16" logical [1, 512] : tensor<1x512xbf16>
// CHECK-NEXT: plan.tensor @wo source "wo" packing "panel16.k4" logical [128, 128] {row_groups = 2 : i64, slices = 2 : i64, unit = 64 : i64} : tensor<8x32x16x4xi8>
// CHECK: plan.tensor @router
// 128 rows * 4 bits and 4 multipliers in 16 columns: 1088 bytes.
// CHECK-NEXT: plan.tensor @gate source "gate" packing "panel16.i4.g32" logical [8, 128, 256] {slices = 2 : i64, unit = 64 : i64} : tensor<8x16x1088xi8>
// CHECK-NEXT: plan.tensor @gate.scales source "gate.scales" packing "scales16" logical [8, 1, 256] : tensor<8x1x256xbf16>
// CHECK: plan.tensor @down source "down" packing "panel16.i3.g64" logical [8, 256, 128] {row_groups = 4 : i64, slices = 4 : i64, unit = 64 : i64} : tensor<8x8x1600xi8>
// CHECK-NEXT: plan.tensor @down.scales source "down.scales" packing "scales16" logical [8, 4, 128] : tensor<8x4x128xbf16>
// Integer products are kernels of their own; all others are those of f32.
// CHECK: plan.kernel @[[QUANTIZE:quantize_0]] "quantize" {in = 128 : i64, numerics = "fast", weight = {unit = 64 : i64}} operands 2
// CHECK-NEXT: plan.kernel @[[LINEAR:linear_0]] "linear" {{.*}}numerics = "fast", out = 128 : i64, tile_panels = 4 : i64, weight = {element = "i8", groups = 2 : i64, slices = 2 : i64, unit = 64 : i64}} operands 4
// CHECK: plan.kernel @route_0 "route" {{.*}}numerics = "f32"
// CHECK: plan.kernel @[[GATEUP:gate_up_0]] "gate_up" {{.*}}numerics = "fast"{{.*}}weight = {element = "i4", group = 32 : i64, groups = 1 : i64, slices = 2 : i64, unit = 64 : i64}} operands 7
// CHECK-NEXT: plan.kernel @[[PAIRS:quantize_1]] "quantize" {in = 256 : i64
// CHECK-NEXT: plan.kernel @[[DOWN:down_combine_0]] "down_combine" {{.*}}weight = {element = "i3", group = 64 : i64, groups = 4 : i64, slices = 4 : i64, unit = 64 : i64}} operands 6
// CHECK: plan.bucket rows 1 {
// A record: 128 codes, 2 scales and 4 sums, each part in whole 64 bytes.
// CHECK: %[[Q:.*]] = plan.buffer "quantized" : <tensor<?x256xi8>>
// CHECK: plan.launch @[[QUANTIZE]] "quantize"(%[[H:.*]], %[[Q]]) tiles <per_row = 1, max = 1> uses [<read, rows>, <write, rows>]
// CHECK: plan.launch @[[LINEAR]] "linear"(%[[Q]],
// CHECK: plan.launch @[[GATEUP]] "gate_up"(%[[Q]],
// CHECK: %[[PAIRROWS:.*]] = plan.buffer "quantized_2" : <tensor<?x2x384xi8>>
// CHECK: plan.launch @[[PAIRS]] "quantize_2"(%{{.*}}, %[[PAIRROWS]], %{{.*}}) tiles <operand = 2, element = 2, max = 2> uses [<read, whole>, <write, panels>, <read, whole>]
// CHECK: plan.launch @[[DOWN]] "down_combine"(%[[PAIRROWS]],
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : !table
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, !table -> !rows
  %q = grok.quantize %h : !rows -> !q64
  %wo = grok.weight "wo" : !int8
  %a = grok.linear %q, %wo : !q64, !int8 -> !rows
  %router = grok.weight "router" : tensor<128x8xf32>
  %gates, %experts = grok.route %a, %router : !rows, tensor<128x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %gate = grok.weight "gate" : !int4
  %up = grok.weight "up" : !int4
  %y = grok.fused_gate_up %q, %gate, %up, %experts : !q64, !int4, !int4, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %yq = grok.quantize %y : tensor<?x2x256xf32> -> !pairs
  %down = grok.weight "down" : !int3
  %o = grok.fused_down_combine %yq, %down, %gates, %experts : !pairs, !int3, tensor<?x2xf32>, tensor<?x2xi32> -> !rows
  %rows = grok.logit_rows %o, %step : !rows
  %rowsq = grok.quantize %rows : !rows -> !q64
  %logits = grok.unembed %rowsq, %table {multiplier = 1.0 : f64} : !q64, !table -> tensor<?x512xf32>
  return
}
}
