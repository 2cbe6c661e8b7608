// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A model of two layers with 4 query heads, 2 kv heads, 4 experts and 10 tokens.
// RUN: grok-opt %s --grok-shard=sharding=tp1 | FileCheck %s --check-prefix=ONE
// RUN: grok-opt %s --grok-shard=sharding=tp4.ep2.pp2.dp2 --cse --grok-fusion | FileCheck %s
// RUN: grok-opt %s --grok-shard=sharding=tp2.ep2:hidden=1 --cse --grok-fusion | FileCheck %s --check-prefix=HIDDEN
// RUN: not grok-opt %s --grok-shard=sharding=tp4.ep4:hidden=1 2>&1 | FileCheck %s --check-prefix=FEW

// Layer 0 splits experts over ep; of layer 1 every rank has a fourth of each expert, and
// ids of experts are those of the model.
// HIDDEN: %{{.*}}, %[[IDS:.*]] = grok.route
// HIDDEN: grok.weight "l0/gate" {full = tensor<4x8x6xf32>, slices = [#grok.slice<dim = 0, parts = 2, axis = "ep">, #grok.slice<dim = 2, parts = 2, axis = "tp">]} : tensor<2x8x3xf32>
// HIDDEN: grok.local_experts %[[IDS]]
// HIDDEN: %[[GATES:.*]], %[[IDS1:.*]] = grok.route
// HIDDEN-NOT: grok.local_experts
// HIDDEN: grok.weight "l1/gate" {full = tensor<4x8x6xf32>, slices = [#grok.slice<dim = 2, parts = 4, axis = "ep.tp">]} : tensor<4x8x16xf32>
// HIDDEN-NOT: grok.local_experts
// HIDDEN: grok.fused_gate_up %{{.*}}, %{{.*}}, %{{.*}}, %[[IDS1]]
// HIDDEN: %[[D:.*]] = grok.fused_down_combine %{{.*}}, %{{.*}}, %[[GATES]], %[[IDS1]]
// HIDDEN: shard.all_reduce %[[D]] on @ranks grid_axes = [0, 1]
// FEW: ep 4 times tp 4 is more than 6 hidden columns

// One rank computes what it computed.
// ONE: grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 1, dp = 1, stages = [2]>
// ONE-LABEL: func.func @step(%{{.*}}: tensor<?xi32>, %{{.*}}: !grok.step, %{{.*}}: !grok.cache<2 x 2 x 4, f32>)
// ONE-NOT: slices
// ONE-NOT: shard.all_

// Four tensor ranks share two kv heads; vocabulary and hidden columns are padded.
// CHECK: grok.sharding = #grok.sharding<tp = 4, ep = 2, pp = 2, dp = 2, stages = [1, 1]>
// CHECK: shard.grid @ranks(shape = 2x4)
// CHECK-LABEL: func.func @stage0
// CHECK-SAME: !grok.cache<1 x 1 x 4, f32>) -> (tensor<?x8xf32>, !grok.cache<1 x 1 x 4, f32>)
// CHECK: %[[TABLE:.*]] = grok.weight "table" {full = tensor<10x8xf32>, slices = [#grok.slice<dim = 0, parts = 4, axis = "tp">]} : tensor<16x8xf32>
// CHECK: %[[TOKENS:.*]] = grok.local_tokens %arg0 {axis = "tp", count = 16 : i64}
// CHECK: %[[PART:.*]] = grok.embed %[[TOKENS]], %[[TABLE]]
// CHECK: %[[H:.*]] = shard.all_reduce %[[PART]] on @ranks grid_axes = [1]
// CHECK: grok.weight "l0/query" {full = tensor<8x16xf32>, slices = [#grok.slice<dim = 1, parts = 4, axis = "tp">]} : tensor<8x4xf32>
// CHECK: grok.weight "l0/key" {full = tensor<8x8xf32>, slices = [#grok.slice<dim = 1, parts = 2, axis = "tp">]} : tensor<8x4xf32>
// Pads are pads whoever holds their row of the table.
// CHECK: %[[Q:.*]], %{{.*}} = grok.fused_qkv %[[H]] norm {{.*}} cache %arg2, %arg0, %arg1 {{{.*}}layer = 0 : i64}
// CHECK: %[[A:.*]] = grok.flash_attention %[[Q]]
// CHECK: grok.weight "l0/linear" {full = tensor<16x8xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>>, slices = [#grok.slice<dim = 0, parts = 4, axis = "tp">]} : tensor<4x8xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>
// CHECK: %[[O:.*]] = grok.linear %[[A]]
// CHECK: %[[SUM:.*]] = shard.all_reduce %[[O]] on @ranks grid_axes = [1]
// CHECK: %[[H1:.*]], %[[N:.*]] = grok.fused_residual_norm %[[H]], %[[SUM]]
// CHECK: %[[GATES:.*]], %[[EXPERTS:.*]] = grok.route %[[N]]
// CHECK: %[[LOCAL:.*]] = grok.local_experts %[[EXPERTS]] {axis = "ep", count = 2 : i64}
// CHECK: %[[Y:.*]] = grok.fused_gate_up %[[N]], %{{.*}}, %{{.*}}, %[[LOCAL]] : tensor<?x8xf32>, tensor<2x8x16xf32>
// CHECK: %[[D:.*]] = grok.fused_down_combine %[[Y]], %{{.*}}, %[[GATES]], %[[LOCAL]]
// CHECK: %[[ALL:.*]] = shard.all_reduce %[[D]] on @ranks grid_axes = [0, 1]
// CHECK: %[[OUT:.*]], %{{.*}} = grok.fused_residual_norm %[[H1]], %[[ALL]]
// CHECK: return %[[OUT]]

// CHECK-LABEL: func.func @stage1
// CHECK-SAME: !grok.cache<1 x 1 x 4, f32>, %[[H:.*]]: tensor<?x8xf32>) -> (tensor<?x10xf32>, !grok.cache<1 x 1 x 4, f32>)
// CHECK: grok.fused_qkv %[[H]] norm {{.*}}layer = 0 : i64
// CHECK: %[[L:.*]] = grok.unembed {{.*}}tensor<16x8xf32> -> tensor<?x16xf32>
// CHECK: %[[G:.*]] = shard.all_gather %[[L]] on @ranks grid_axes = [1] gather_axis = 1 : tensor<?x16xf32> -> tensor<?x64xf32>
// CHECK: %[[CUT:.*]] = grok.cut_columns %[[G]] : tensor<?x64xf32> -> tensor<?x10xf32>
// CHECK: return %[[CUT]]
module attributes {grok.numerics = "f32"} {
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c: !grok.cache<2 x 2 x 4, f32>) -> (tensor<?x10xf32>, !grok.cache<2 x 2 x 4, f32>) {
  %table = grok.weight "table" : tensor<10x8xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<10x8xf32> -> tensor<?x8xf32>
  %l0_norm = grok.weight "l0/norm" : tensor<8xf32>
  %l0x = grok.rms_norm %h, %l0_norm {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l0_query = grok.weight "l0/query" : tensor<8x16xf32>
  %l0_key = grok.weight "l0/key" : tensor<8x8xf32>
  %l0_value = grok.weight "l0/value" : tensor<8x8xf32>
  %l0q = grok.linear %l0x, %l0_query : tensor<?x8xf32>, tensor<8x16xf32> -> tensor<?x16xf32>
  %l0k = grok.linear %l0x, %l0_key : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %l0v = grok.linear %l0x, %l0_value : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %l0qr = grok.rope %l0q, %step {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %l0kr = grok.rope %l0k, %step {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x8xf32>
  %l0c = grok.cache_write %c, %l0kr, %l0v, %tokens, %step {layer = 0 : i64} : <2 x 2 x 4, f32>, tensor<?x8xf32>, tensor<?xi32>
  %l0a = grok.attention %l0qr, %l0c, %step {layer = 0 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <2 x 2 x 4, f32>
  %l0_linear = grok.weight "l0/linear" : tensor<16x8xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>>
  %l0o = grok.linear %l0a, %l0_linear : tensor<?x16xf32>, tensor<16x8xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>> -> tensor<?x8xf32>
  %l0_norm_1 = grok.weight "l0/norm_1" : tensor<8xf32>
  %l0n1 = grok.rms_norm %l0o, %l0_norm_1 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l0h = grok.add %h, %l0n1 : tensor<?x8xf32>
  %l0_norm_2 = grok.weight "l0/norm_2" : tensor<8xf32>
  %l0n2 = grok.rms_norm %l0h, %l0_norm_2 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l0_router = grok.weight "l0/router" : tensor<8x4xf32>
  %l0g, %l0e = grok.route %l0n2, %l0_router : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %l0_gate = grok.weight "l0/gate" : tensor<4x8x6xf32>
  %l0_up = grok.weight "l0/up" : tensor<4x8x6xf32>
  %l0_down = grok.weight "l0/down" : tensor<4x6x8xf32>
  %l0gate = grok.expert_matmul %l0n2, %l0_gate, %l0e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  %l0up = grok.expert_matmul %l0n2, %l0_up, %l0e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  %l0y = grok.gelu_gate %l0gate, %l0up : tensor<?x2x6xf32> -> tensor<?x2x6xf32>
  %l0d = grok.expert_matmul %l0y, %l0_down, %l0e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  %l0m = grok.combine %l0d, %l0g, %l0e : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  %l0_norm_3 = grok.weight "l0/norm_3" : tensor<8xf32>
  %l0n3 = grok.rms_norm %l0m, %l0_norm_3 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l0out = grok.add %l0h, %l0n3 : tensor<?x8xf32>
  %l1_norm = grok.weight "l1/norm" : tensor<8xf32>
  %l1x = grok.rms_norm %l0out, %l1_norm {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l1_query = grok.weight "l1/query" : tensor<8x16xf32>
  %l1_key = grok.weight "l1/key" : tensor<8x8xf32>
  %l1_value = grok.weight "l1/value" : tensor<8x8xf32>
  %l1q = grok.linear %l1x, %l1_query : tensor<?x8xf32>, tensor<8x16xf32> -> tensor<?x16xf32>
  %l1k = grok.linear %l1x, %l1_key : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %l1v = grok.linear %l1x, %l1_value : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %l1qr = grok.rope %l1q, %step {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %l1kr = grok.rope %l1k, %step {head_dim = 4 : i64, base = 1.0e4 : f64} : tensor<?x8xf32>
  %l1c = grok.cache_write %l0c, %l1kr, %l1v, %tokens, %step {layer = 1 : i64} : <2 x 2 x 4, f32>, tensor<?x8xf32>, tensor<?xi32>
  %l1a = grok.attention %l1qr, %l1c, %step {layer = 1 : i64, multiplier = 0.5 : f64, softcap = 30.0 : f64} : tensor<?x16xf32>, <2 x 2 x 4, f32>
  %l1_linear = grok.weight "l1/linear" : tensor<16x8xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>>
  %l1o = grok.linear %l1a, %l1_linear : tensor<?x16xf32>, tensor<16x8xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>> -> tensor<?x8xf32>
  %l1_norm_1 = grok.weight "l1/norm_1" : tensor<8xf32>
  %l1n1 = grok.rms_norm %l1o, %l1_norm_1 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l1h = grok.add %l0out, %l1n1 : tensor<?x8xf32>
  %l1_norm_2 = grok.weight "l1/norm_2" : tensor<8xf32>
  %l1n2 = grok.rms_norm %l1h, %l1_norm_2 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l1_router = grok.weight "l1/router" : tensor<8x4xf32>
  %l1g, %l1e = grok.route %l1n2, %l1_router : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %l1_gate = grok.weight "l1/gate" : tensor<4x8x6xf32>
  %l1_up = grok.weight "l1/up" : tensor<4x8x6xf32>
  %l1_down = grok.weight "l1/down" : tensor<4x6x8xf32>
  %l1gate = grok.expert_matmul %l1n2, %l1_gate, %l1e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  %l1up = grok.expert_matmul %l1n2, %l1_up, %l1e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  %l1y = grok.gelu_gate %l1gate, %l1up : tensor<?x2x6xf32> -> tensor<?x2x6xf32>
  %l1d = grok.expert_matmul %l1y, %l1_down, %l1e : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  %l1m = grok.combine %l1d, %l1g, %l1e : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  %l1_norm_3 = grok.weight "l1/norm_3" : tensor<8xf32>
  %l1n3 = grok.rms_norm %l1m, %l1_norm_3 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %l1out = grok.add %l1h, %l1n3 : tensor<?x8xf32>
  %final = grok.weight "final" : tensor<8xf32>
  %n = grok.rms_norm %l1out, %final {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %r = grok.logit_rows %n, %step : tensor<?x8xf32>
  %l = grok.unembed %r, %table {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<10x8xf32> -> tensor<?x10xf32>
  return %l, %l1c : tensor<?x10xf32>, !grok.cache<2 x 2 x 4, f32>
}
}
