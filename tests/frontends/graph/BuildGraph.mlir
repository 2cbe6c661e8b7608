// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The import phase: a description and its checkpoint as plain ops, readable,
// and read back. Types and locations in detail: BuildGraphTest.cpp.
// REQUIRES: compiler
// RUN: grokc %{inputs}/b4x2 --weights-from=%{inputs}/b4x2/int8 --numerics=f32 --compile-to=import -o %t.mlir
// RUN: grok-opt %t.mlir | FileCheck %s --check-prefixes=CHECK,F32 -DA=f32
// RUN: grokc %{inputs}/b4x2 --weights-from=%{inputs}/b4x2/float --numerics=bf16 --compile-to=import -o %t.mlir
// RUN: grok-opt %t.mlir | FileCheck %s --check-prefixes=CHECK,BF16 -DA=bf16

// CHECK: module attributes {grok.model = {
// CHECK-SAME: emb_size = 64 : i64
// CHECK-SAME: name = "b4x2"
// CHECK-SAME: grok.numerics = "[[A]]"
// CHECK: func.func @step(%[[TOKENS:.*]]: tensor<?xi32>, %[[STEP:.*]]: !grok.step, %[[CACHE:.*]]: !grok.cache<3 x 2 x 32, {{.*}}>) -> (tensor<?x768x[[A]]>, !grok.cache<3 x 2 x 32, {{.*}}>)
// CHECK: %[[TABLE:.*]] = grok.weight "language_model/in_out_embed/embeddings" : tensor<768x64xf32>
// CHECK: %[[H:.*]] = grok.embed %[[TOKENS]], %[[TABLE]] {multiplier

// Layer 0, in the order of the specification.
// CHECK: %[[X:.*]] = grok.rms_norm %[[H]], %layer0_rms_norm_scale {eps = {{.*}}} : tensor<?x64x[[A]]>, tensor<64xf32>
// F32: grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<64x128xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
// BF16: grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<64x128xbf16>
// CHECK: %[[Q:.*]] = grok.linear %[[X]], %layer0_multi_head_attention_query
// CHECK: %[[K:.*]] = grok.linear %[[X]], %layer0_multi_head_attention_key
// CHECK: %[[V:.*]] = grok.linear %[[X]], %layer0_multi_head_attention_value
// CHECK: %[[RQ:.*]] = grok.rope %[[Q]], %[[STEP]]
// CHECK: %[[RK:.*]] = grok.rope %[[K]], %[[STEP]]
// CHECK: %[[C1:.*]] = grok.cache_write %[[CACHE]], %[[RK]], %[[V]], %[[TOKENS]], %[[STEP]] {layer = 0 : i64}
// CHECK: %[[O:.*]] = grok.attention %[[RQ]], %[[C1]], %[[STEP]] {layer = 0 : i64
// CHECK: %[[A1:.*]] = grok.linear %[[O]], %layer0_multi_head_attention_linear
// CHECK: %[[N1:.*]] = grok.rms_norm %[[A1]], %layer0_rms_norm_1_scale
// CHECK: %[[H1:.*]] = grok.add %[[H]], %[[N1]]
// CHECK: %[[X2:.*]] = grok.rms_norm %[[H1]], %layer0_rms_norm_2_scale
// CHECK: %[[GATES:.*]], %[[EXPERTS:.*]] = grok.route %[[X2]], %layer0_router
// CHECK: %[[GATE:.*]] = grok.expert_matmul %[[X2]], %layer0_moe_linear, %[[EXPERTS]] : {{.*}} -> tensor<?x1x344x[[A]]>
// CHECK: %[[UP:.*]] = grok.expert_matmul %[[X2]], %layer0_moe_linear_v, %[[EXPERTS]]
// CHECK: %[[Y:.*]] = grok.gelu_gate %[[GATE]], %[[UP]] : {{.*}} -> tensor<?x1x344xf32>
// F32: %[[D:.*]] = grok.expert_matmul %[[Y]], %layer0_moe_linear_1, %[[EXPERTS]] : {{.*}} group_rows = 172, {{.*}} -> tensor<?x1x64xf32>
// BF16: %[[D:.*]] = grok.expert_matmul %[[Y]], %layer0_moe_linear_1, %[[EXPERTS]] {bf16_weight} : {{.*}} -> tensor<?x1x64xf32>
// CHECK: %[[S:.*]] = grok.combine %[[D]], %[[GATES]], %[[EXPERTS]] : {{.*}} -> tensor<?x64x[[A]]>
// CHECK: %[[N3:.*]] = grok.rms_norm %[[S]], %layer0_rms_norm_3_scale
// CHECK: %[[H2:.*]] = grok.add %[[H1]], %[[N3]]

// CHECK: grok.rms_norm %[[H2]], %layer1_rms_norm_scale
// CHECK: %[[C3:.*]] = grok.cache_write {{.*}} {layer = 2 : i64}
// CHECK: %[[LAST:.*]] = grok.rms_norm %{{.*}}, %rms_norm_scale
// CHECK: %[[ROWS:.*]] = grok.logit_rows %[[LAST]], %[[STEP]]
// CHECK: %[[LOGITS:.*]] = grok.unembed %[[ROWS]], %[[TABLE]]
// CHECK: return %[[LOGITS]], %[[C3]]
