// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-outline-kernels | FileCheck %s

// Experts that differ in the format of any matrix are subsets, each with packed
// tensors, a grouping and launches of its own. Sums run over subsets in order.
#int3 = #grok.format<bits = 3, group_rows = 128, scale = bf16, multiplier_rows = 64, zero_point = 4>
#int4 = #grok.format<bits = 4, group_rows = 128, scale = bf16, multiplier_rows = 32, zero_point = 8>
#int8 = #grok.format<bits = 8, group_rows = 128, scale = bf16>
!gate = tensor<4x128x128xi8, #grok.expert_formats<[#int8, #int4, #int8, #int4]>>
!down = tensor<4x128x128xi8, #grok.expert_formats<[#int4, #int3, #int4, #int4]>>
!rows = tensor<?x128xf32>
!q = tensor<?x128xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
!pairs = tensor<?x2x128xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "fast"} {
// CHECK-LABEL: plan.layout @cpu {
// CHECK: plan.tensor @gate.subset0 source "gate" packing "panel16.k4" logical [4, 128, 128] {{.*}}experts = array<i64: 0, 2>{{.*}} : tensor<2x8x32x16x4xi8>
// CHECK: plan.tensor @gate.subset0.scales source "gate.scales" packing "scales16" logical [4, 1, 128] {{.*}}experts = array<i64: 0, 2>{{.*}} : tensor<2x1x128xbf16>
// CHECK: plan.tensor @up.subset0 source "up"
// CHECK: plan.tensor @gate.subset0.slots source "gate.subset0.slots" packing "slots" logical [4] {{.*}}experts = array<i64: 0, 2>{{.*}} : tensor<4xi32>
// CHECK: plan.tensor @gate.subset1 source "gate" packing "panel16.i4.g32" logical [4, 128, 128] {{.*}}experts = array<i64: 1>
// Expert 3 agrees with 1 in gate and up, not in down.
// CHECK: plan.tensor @gate.subset2 source "gate" packing "panel16.i4.g32" {{.*}}experts = array<i64: 3>
// CHECK: plan.tensor @down.subset0 source "down" packing "panel16.i4.g32" {{.*}}experts = array<i64: 0, 2>
// CHECK: plan.tensor @down.subset1 source "down" packing "panel16.i3.g64" {{.*}}experts = array<i64: 1>
// CHECK: plan.kernel @map_experts_0 "map_experts" {experts = 4 : i64, numerics = "f32", selected = 2 : i64} operands 3
// CHECK: plan.kernel @[[GATE0:gate_up_0]] "gate_up" {{.*}}experts = 2 : i64
// CHECK: plan.kernel @[[GATE1:gate_up_1]] "gate_up" {{.*}}experts = 1 : i64
// CHECK: plan.kernel @[[DOWN0:down_combine_0]] "down_combine" {emb = 128 : i64, experts = 2 : i64
// CHECK: plan.kernel @[[DOWN1:down_combine_1]] "down_combine" {accumulate = 1 : i64, emb = 128 : i64, experts = 1 : i64
// CHECK: plan.bucket rows 1 {
// CHECK: plan.launch @map_experts_0 "map_experts"(%[[EXPERTS:.*]], %{{.*}}, %[[LOCAL:.*]]) tiles <per_row = 1, max = 1>
// CHECK: plan.launch @group_0 "group"(%[[LOCAL]], %[[GROUPS0:.*]])
// CHECK: plan.launch @[[GATE0]] "gate_up"({{.*}}, %[[GROUPS0]], %[[Y0:.*]]) tiles
// CHECK: plan.launch @map_experts_0 "map_experts_2"(%[[EXPERTS]],
// CHECK: plan.launch @[[GATE1]] "gate_up_2"({{.*}}, %[[Y1:.*]]) tiles
// CHECK: plan.launch @[[GATE1]] "gate_up_3"(
// CHECK: plan.launch @{{.*}} "quantize_2"(%[[Y0]], %[[Q0:.*]], %[[GROUPS0]]) tiles <operand = 2, element = 2, max = 2>
// CHECK: plan.launch @{{.*}} "quantize_3"(%[[Y1]],
// CHECK: plan.launch @{{.*}} "quantize_4"(
// CHECK: plan.launch @[[DOWN0]] "down_combine"(%[[Q0]], {{.*}}, %[[GROUPS0]], %[[GATES:.*]], %[[MOE:.*]]) tiles <constant = 2, max = 2> uses [{{.*}}, <write, panels>]
// CHECK: plan.launch @[[DOWN1]] "down_combine_2"({{.*}}, %[[GATES]], %[[MOE]]) {{.*}}, <read_write, panels>]
// CHECK: plan.launch @{{.*}} "down_combine_3"({{.*}}, %[[MOE]]) {{.*}}, <read_write, panels>]
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !grok.cache<1 x 2 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x128xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x128xf32> -> !rows
  %q = grok.quantize %h : !rows -> !q
  %router = grok.weight "router" : tensor<128x4xf32>
  %gates, %experts = grok.route %h, %router : !rows, tensor<128x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %gate = grok.weight "gate" : !gate
  %up = grok.weight "up" : !gate
  %y = grok.fused_gate_up %q, %gate, %up, %experts : !q, !gate, !gate, tensor<?x2xi32> -> tensor<?x2x128xf32>
  %yq = grok.quantize %y : tensor<?x2x128xf32> -> !pairs
  %down = grok.weight "down" : !down
  %o = grok.fused_down_combine %yq, %down, %gates, %experts : !pairs, !down, tensor<?x2xf32>, tensor<?x2xi32> -> !rows
  %rows = grok.logit_rows %o, %step : !rows
  %logits = grok.unembed %rows, %table {multiplier = 1.0 : f64} : !rows, tensor<512x128xf32> -> tensor<?x512xf32>
  return
}
}
