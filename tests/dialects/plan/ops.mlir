// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every op, type and attribute prints what it parses.
// RUN: grok-opt %s | FileCheck %s
// RUN: grok-opt %s | grok-opt | FileCheck %s
// RUN: grok-opt %s --mlir-print-op-generic | grok-opt | FileCheck %s

// CHECK: module attributes
// CHECK-SAME: plan.max_context = 8192 : i64
// CHECK-SAME: plan.max_step_rows = 512 : i64
// CHECK-SAME: plan.page = {bytes = 8448 : i64, kv = "f32", layer_bytes = 4224 : i64, tokens = 32 : i64}
module attributes {
  plan.page = {tokens = 32 : i64, bytes = 8448 : i64, layer_bytes = 4224 : i64, kv = "f32"},
  plan.max_context = 8192 : i64, plan.max_step_rows = 512 : i64} {

// CHECK-LABEL: plan.layout @cpu {
plan.layout @cpu {
  // CHECK-NEXT: plan.tensor @table source "language_model/in_out_embed/embeddings" packing "panel16.k1" logical [512, 96] {transposed, unit = 32 : i64} : tensor<32x96x16x1xf32>
  plan.tensor @table source "language_model/in_out_embed/embeddings" packing "panel16.k1" logical [512, 96] {transposed, unit = 32 : i64} : tensor<32x96x16x1xf32>
  // Heads of 12 columns are padded to 16 each.
  // CHECK-NEXT: plan.tensor @"attention/query/w" source "attention/query/w" packing "panel16.k4" logical [96, 72] {column_group = 12 : i64, unit = 32 : i64} : tensor<6x24x16x4xi8>
  plan.tensor @"attention/query/w" source "attention/query/w" packing "panel16.k4" logical [96, 72] {column_group = 12 : i64, unit = 32 : i64} : tensor<6x24x16x4xi8>
  // CHECK-NEXT: plan.tensor @"attention/query/w.scales" {{.*}} "scales16" logical [1, 72] {column_group = 12 : i64} : tensor<1x96xbf16>
  plan.tensor @"attention/query/w.scales" source "attention/query/w.scales" packing "scales16" logical [1, 72] {column_group = 12 : i64} : tensor<1x96xbf16>
  // CHECK-NEXT: plan.tensor @"moe/linear_1/w" {{.*}} logical [8, 256, 96] {row_groups = 8 : i64, slices = 8 : i64, unit = 32 : i64} : tensor<8x6x64x16x4xi8>
  plan.tensor @"moe/linear_1/w" source "moe/linear_1/w" packing "panel16.k4" logical [8, 256, 96] {row_groups = 8 : i64, slices = 8 : i64, unit = 32 : i64} : tensor<8x6x64x16x4xi8>
  // Some of the experts, and where they stand among all.
  // CHECK-NEXT: plan.tensor @"moe/linear/w.subset0" source "moe/linear/w" packing "panel16.k4" logical [8, 64, 16] {experts = array<i64: 1, 5>, unit = 64 : i64} : tensor<2x1x16x16x4xi8>
  plan.tensor @"moe/linear/w.subset0" source "moe/linear/w" packing "panel16.k4" logical [8, 64, 16] {experts = array<i64: 1, 5>, unit = 64 : i64} : tensor<2x1x16x16x4xi8>
  // CHECK-NEXT: plan.tensor @slots source "slots" packing "slots" logical [8] {experts = array<i64: 1, 5>} : tensor<8xi32>
  plan.tensor @slots source "slots" packing "slots" logical [8] {experts = array<i64: 1, 5>} : tensor<8xi32>
  // CHECK-NEXT: plan.tensor @bf16 {{.*}} packing "panel16.k2" logical [6, 5] {unit = 2 : i64} : tensor<1x3x16x2xbf16>
  plan.tensor @bf16 source "bf16" packing "panel16.k2" logical [6, 5] {unit = 2 : i64} : tensor<1x3x16x2xbf16>
  // CHECK-NEXT: plan.tensor @"rms_norm/scale" {{.*}} packing "vector16" logical [90] : tensor<96xf32>
  plan.tensor @"rms_norm/scale" source "rms_norm/scale" packing "vector16" logical [90] : tensor<96xf32>
  // CHECK-NEXT: plan.tensor @rope source "rope" packing "rope" logical [8192, 2, 8] {rope_base = 1.000000e+04 : f64} : tensor<8192x2x8xf32>
  plan.tensor @rope source "rope" packing "rope" logical [8192, 2, 8] {rope_base = 1.0e4 : f64} : tensor<8192x2x8xf32>
}

// CHECK: plan.kernel @embed_0 "embed" {emb = 96 : i64} operands 2
plan.kernel @embed_0 "embed" {emb = 96 : i64} operands 2
plan.kernel @attention_0 "attention" {kv_heads = 2 : i64} operands 3
plan.kernel @group_0 "group" {} operands 2
plan.kernel @gate_up_0 "gate_up" {} operands 2
plan.kernel @unembed_0 "unembed" {} operands 3

// CHECK-LABEL: plan.program @main {
plan.program @main {
  // A bucket whose memory is not assigned yet.
  // CHECK-NEXT: plan.bucket rows 1 {
  plan.bucket rows 1 {
    // CHECK-NEXT: %[[H:h]] = plan.buffer "h" : <tensor<?x96xf32>>
    %h = plan.buffer "h" : !plan.buffer<tensor<?x96xf32>>
    // CHECK-NEXT: %[[TABLE:table]] = plan.weight @cpu::@table : <tensor<32x96x16x1xf32>>
    %table = plan.weight @cpu::@table : <tensor<32x96x16x1xf32>>
    // CHECK-NEXT: plan.launch @embed_0 "embed"(%[[TABLE]], %[[H]]) tiles <per_row = 1, max = 1> uses [<read, whole>, <write, rows>] : !plan.buffer<tensor<32x96x16x1xf32>>, !plan.buffer<tensor<?x96xf32>>
    plan.launch @embed_0 "embed" (%table, %h) tiles <per_row = 1, max = 1> uses [<read, whole>, <write, rows>]
        : !plan.buffer<tensor<32x96x16x1xf32>>, !plan.buffer<tensor<?x96xf32>>
    // CHECK-NEXT: %[[PARTS:parts]] = plan.buffer "parts"
    %parts = plan.buffer "parts" : <tensor<?x2x96xf32>>
    // CHECK-NEXT: plan.collective "all_gather" "embed_parts" over ["tp"] reads %[[H]] : !plan.buffer<tensor<?x96xf32>> writes %[[PARTS]] : !plan.buffer<tensor<?x2x96xf32>>
    plan.collective "all_gather" "embed_parts" over ["tp"] reads %h : !plan.buffer<tensor<?x96xf32>> writes %parts : !plan.buffer<tensor<?x2x96xf32>>
    %sum = plan.buffer "sum" : <tensor<?x96xf32>>
    // CHECK: plan.collective "all_reduce" "embed_sum" over ["ep", "tp"] reads %[[H]] : !plan.buffer<tensor<?x96xf32>> writes %[[SUM:.*]] : !plan.buffer<tensor<?x96xf32>> {layer = 0 : i64}
    plan.collective "all_reduce" "embed_sum" over ["ep", "tp"] reads %h : !plan.buffer<tensor<?x96xf32>> writes %sum : !plan.buffer<tensor<?x96xf32>> {layer = 0 : i64}
    // CHECK-NEXT: plan.collective "send" "send" over ["pp"] reads %[[SUM]] : !plan.buffer<tensor<?x96xf32>>
    plan.collective "send" "send" over ["pp"] reads %sum : !plan.buffer<tensor<?x96xf32>>
    // CHECK-NEXT: plan.collective "receive" "receive" over ["pp"] writes %[[SUM]] : !plan.buffer<tensor<?x96xf32>>
    plan.collective "receive" "receive" over ["pp"] writes %sum : !plan.buffer<tensor<?x96xf32>>
  }
  // CHECK: plan.bucket rows 512 arena 1048576 {
  plan.bucket rows 512 arena 1048576 {
    // CHECK-NEXT: %[[Q:layer3.q]] = plan.buffer "layer3.q" at 0 logical [6, 12] : <tensor<?x6x16xf32>>
    %q = plan.buffer "layer3.q" at 0 logical [6, 12] : <tensor<?x6x16xf32>>
    // CHECK-NEXT: %[[O:.*]] = plan.buffer "o" at 196608 : <tensor<?x96xf32>>
    %o = plan.buffer "o" at 196608 : <tensor<?x96xf32>>
    // CHECK-NEXT: %[[KV:kv]] = plan.kv layer 1 : <tensor<4224xi8>>
    %kv = plan.kv layer 1 : <tensor<4224xi8>>
    // CHECK-NEXT: %[[W:query_w]] = plan.weight @cpu::@"attention/query/w"
    %w = plan.weight @cpu::@"attention/query/w" : <tensor<6x24x16x4xi8>>
    // CHECK-NEXT: %[[GROUPS:.*]] = plan.buffer "groups" at 393216 : <tensor<40xi32>>
    %groups = plan.buffer "groups" at 393216 : <tensor<40xi32>>
    %y = plan.buffer "y" at 393472 : <tensor<?x96xf32>>
    plan.launch @embed_0 "query" (%w, %q) tiles <constant = 6, max = 6> uses [<read, panels>, <write, panels>]
        : !plan.buffer<tensor<6x24x16x4xi8>>, !plan.buffer<tensor<?x6x16xf32>>
    // CHECK: plan.launch @attention_0 "layer1.attention"(%[[Q]], %[[KV]], %[[O]]) tiles <per_row = 2, max = 1024> uses [<read, rows>, <read, whole>, <write, rows>] {layer = 1 : i64}
    plan.launch @attention_0 "layer1.attention" (%q, %kv, %o) tiles <per_row = 2, max = 1024> uses [<read, rows>, <read, whole>, <write, rows>] {layer = 1 : i64}
        : !plan.buffer<tensor<?x6x16xf32>>, !plan.buffer<tensor<4224xi8>>, !plan.buffer<tensor<?x96xf32>>
    // CHECK: plan.copy %[[O]] to %[[Y:.*]] : <tensor<?x96xf32>>
    plan.copy %o to %y : <tensor<?x96xf32>>
    plan.launch @group_0 "group" (%y, %groups) tiles <constant = 1, max = 1> uses [<read, whole>, <write, whole>]
        : !plan.buffer<tensor<?x96xf32>>, !plan.buffer<tensor<40xi32>>
    // CHECK: plan.launch @gate_up_0 "gate_up"(%[[GROUPS]], %[[Y]]) tiles <operand = 0, element = 1, max = 32> uses [<read, whole>, <read_write, panels>]
    plan.launch @gate_up_0 "gate_up" (%groups, %y) tiles <operand = 0, element = 1, max = 32> uses [<read, whole>, <read_write, panels>]
        : !plan.buffer<tensor<40xi32>>, !plan.buffer<tensor<?x96xf32>>
    // CHECK: %[[LOGITS:logits]] = plan.logits : <tensor<?x512xf32>>
    %logits = plan.logits : <tensor<?x512xf32>>
    %table = plan.weight @cpu::@table : <tensor<32x96x16x1xf32>>
    // CHECK: plan.launch @unembed_0 "unembed"(%{{.*}}, %{{.*}}, %[[LOGITS]]) tiles <per_logit_row = 2, constant = 1, max = 1025>
    plan.launch @unembed_0 "unembed" (%y, %table, %logits) tiles <per_logit_row = 2, constant = 1, max = 1025> uses [<read, whole>, <read, panels>, <write, panels>]
        : !plan.buffer<tensor<?x96xf32>>, !plan.buffer<tensor<32x96x16x1xf32>>, !plan.buffer<tensor<?x512xf32>>
  }
}

// A launch by whole rows may store what it has read: into the same buffer, or
// into one that takes the bytes of a buffer it reads for the last time.
// CHECK-LABEL: plan.program @in_place
plan.program @in_place {
  // CHECK-NEXT: plan.bucket rows 2 arena 128
  plan.bucket rows 2 arena 128 {
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    %table = plan.weight @cpu::@table : <tensor<32x96x16x1xf32>>
    plan.launch @embed_0 "first" (%table, %a) tiles <per_row = 1, max = 2> uses [<read, whole>, <write, rows>]
        : !plan.buffer<tensor<32x96x16x1xf32>>, !plan.buffer<tensor<?x16xf32>>
    // CHECK: plan.launch @embed_0 "same_buffer"(%[[A:.*]], %[[A]])
    plan.launch @embed_0 "same_buffer" (%a, %a) tiles <per_row = 1, max = 2> uses [<read, rows>, <write, rows>]
        : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
    // CHECK: plan.launch @embed_0 "same_bytes"(%[[A]], %[[B:.*]])
    plan.launch @embed_0 "same_bytes" (%a, %b) tiles <per_row = 1, max = 2> uses [<read, rows>, <write, rows>]
        : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// CHECK-LABEL: @machine
// CHECK-SAME: #plan.machine<"host", devices = 1, memory = 25769803776, read = 2.000000e+10 : f64, peak = {f32 = 2.000000e+11 : f64}, link_latency = 0.000000e+00 : f64, link_rate = 0.000000e+00 : f64>
func.func private @machine() attributes {machine = #plan.machine<"host", devices = 1, memory = 25769803776, read = 2.0e10 : f64,
    peak = {f32 = 2.0e11 : f64}, link_latency = 0.0 : f64, link_rate = 0.0 : f64>}
// CHECK-LABEL: @quantised_buffer
// CHECK-SAME: !plan.buffer<tensor<96x32xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>>
func.func private @quantised_buffer(!plan.buffer<tensor<96x32xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>>)
}
