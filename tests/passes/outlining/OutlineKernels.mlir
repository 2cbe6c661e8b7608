// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --split-input-file --grok-outline-kernels | FileCheck %s
// RUN: grok-opt %s --split-input-file --grok-outline-kernels | grok-opt --split-input-file | FileCheck %s

// In the fast mode attention has a kernel of its own numerics.
// RUN: sed 's/grok.numerics = "f32"/grok.numerics = "fast"/' %s | grok-opt --split-input-file --grok-outline-kernels | FileCheck %s --check-prefix=FAST
// FAST: plan.kernel @attention_0 "attention" {{.*}}numerics = "fast"
// RUN: sed 's/grok.numerics = "f32"/grok.numerics = "fast"/' %s | grok-opt --split-input-file --grok-outline-kernels=row-attention | FileCheck %s --check-prefix=ROW
// ROW: plan.kernel @attention_0 "attention" {{.*}}max_rows = 1 : i64{{.*}}numerics = "fast"
// ROW: plan.kernel @attention_1 "attention" {{.*}}max_context = 64 : i64, multiplier

// One layer of int8 weights: every launch, operand and use of the decoding bucket.
// CHECK: module attributes
// CHECK-SAME: grok.numerics = "f32"
// CHECK-SAME: plan.max_context = 64 : i64
// CHECK-SAME: plan.max_step_rows = 512 : i64
// CHECK-SAME: plan.page = {bytes = 8320 : i64, kv = "f32", layer_bytes = 8320 : i64, tokens = 32 : i64}
!table = tensor<512x96xf32>
!square = tensor<96x96xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
!narrow = tensor<96x32xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
!grouped = tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>
!up = tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
!down = tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 32, scale = bf16>>
!cache = !grok.cache<1 x 2 x 16, f32>
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
// CHECK-NOT: func.func
// CHECK-LABEL: plan.layout @cpu {
// CHECK-NEXT: plan.tensor @"language_model/in_out_embed/embeddings" source "language_model/in_out_embed/embeddings" packing "panel16.k1" logical [512, 96] {transposed, unit = 32 : i64} : tensor<32x96x16x1xf32>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/rms_norm/scale" {{.*}} packing "vector16" logical [96] : tensor<96xf32>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/multi_head_attention/query/w" {{.*}} packing "panel16.k4" logical [96, 96] {column_group = 16 : i64, unit = 32 : i64} : tensor<6x24x16x4xi8>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/multi_head_attention/query/w.scales" source "transformer/decoder_layer_0/multi_head_attention/query/w.scales" packing "scales16" logical [1, 96] {column_group = 16 : i64} : tensor<1x96xbf16>
// CHECK: plan.tensor @rope source "rope" packing "rope" logical [64, 2, 8] {rope_base = 1.000000e+04 : f64} : tensor<64x2x8xf32>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/multi_head_attention/linear/w" {{.*}} logical [96, 96] {row_groups = 2 : i64, slices = 2 : i64, unit = 16 : i64} : tensor<6x24x16x4xi8>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/multi_head_attention/linear/w.scales" {{.*}} logical [2, 96] : tensor<2x96xbf16>
// CHECK: plan.tensor @"transformer/decoder_layer_0/router/w" {{.*}} packing "panel16.k1" logical [96, 8] {unit = 32 : i64} : tensor<1x96x16x1xf32>
// CHECK: plan.tensor @"transformer/decoder_layer_0/moe/linear_v/w" {{.*}} logical [8, 96, 256] {unit = 32 : i64} : tensor<8x16x24x16x4xi8>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/moe/linear_v/w.scales" {{.*}} logical [8, 1, 256] : tensor<8x1x256xbf16>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/moe/linear_1/w" {{.*}} logical [8, 256, 96] {row_groups = 8 : i64, slices = 8 : i64, unit = 32 : i64} : tensor<8x6x64x16x4xi8>
// CHECK-NEXT: plan.tensor @"transformer/decoder_layer_0/moe/linear_1/w.scales" {{.*}} logical [8, 8, 96] : tensor<8x8x96xbf16>
// CHECK: }
// CHECK-NEXT: plan.kernel @[[EMBED:embed_0]] "embed" {emb = 96 : i64, multiplier = 1.300000e+00 : f64, numerics = "f32", vocab = 512 : i64, weight = {element = "f32", groups = 1 : i64, slices = 1 : i64, unit = 32 : i64}} operands 3
// CHECK-NEXT: plan.kernel @[[NORM:rms_norm_0]] "rms_norm" {emb = 96 : i64, eps = 1.000000e-05 : f64, numerics = "f32"} operands 3
// CHECK-NEXT: plan.kernel @[[QKV:qkv_0]] "qkv" {emb = 96 : i64, head_dim = 16 : i64, kv = "f32", kv_heads = 2 : i64, layers = 1 : i64, max_context = 64 : i64, max_rows = 1 : i64, numerics = "f32", page_tokens = 32 : i64, q_heads = 6 : i64, weight = {element = "i8", groups = 1 : i64, slices = 1 : i64, unit = 32 : i64}} operands 10
// CHECK-NEXT: plan.kernel @[[ATTENTION:attention_0]] "attention" {head_dim = 16 : i64, key_slice = 256 : i64, kv = "f32", kv_heads = 2 : i64, layers = 1 : i64, max_context = 64 : i64, multiplier = 2.500000e-01 : f64, numerics = "f32", page_tokens = 32 : i64, q_heads = 6 : i64, softcap = 3.000000e+01 : f64} operands 3
// CHECK-NEXT: plan.kernel @[[LINEAR:linear_0]] "linear" {in = 96 : i64, max_rows = 1 : i64, numerics = "f32", out = 96 : i64, tile_panels = 4 : i64, weight = {element = "i8", groups = 2 : i64, slices = 2 : i64, unit = 16 : i64}} operands 4
// CHECK-NEXT: plan.kernel @[[RESIDUAL:residual_norm_0]] "residual_norm" {emb = 96 : i64, eps = 1.000000e-05 : f64, numerics = "f32"} operands 5
// CHECK-NEXT: plan.kernel @[[ROUTE:route_0]] "route" {emb = 96 : i64, experts = 8 : i64, numerics = "f32", selected = 2 : i64} operands 4
// CHECK-NEXT: plan.kernel @[[GROUP:group_0]] "group" {experts = 8 : i64, ffn = 256 : i64, numerics = "f32", selected = 2 : i64, tile_panels = 4 : i64} operands 2
// CHECK-NEXT: plan.kernel @[[GATEUP:gate_up_0]] "gate_up" {emb = 96 : i64, experts = 8 : i64, ffn = 256 : i64, max_rows = 1 : i64, numerics = "f32", selected = 2 : i64, tile_panels = 4 : i64, weight = {element = "i8", groups = 1 : i64, slices = 1 : i64, unit = 32 : i64}} operands 7
// CHECK-NEXT: plan.kernel @[[DOWN:down_combine_0]] "down_combine" {emb = 96 : i64, experts = 8 : i64, ffn = 256 : i64, max_rows = 1 : i64, numerics = "f32", selected = 2 : i64, tile_panels = 4 : i64, weight = {element = "i8", groups = 8 : i64, slices = 8 : i64, unit = 32 : i64}} operands 6
// CHECK-NEXT: plan.kernel @[[UNEMBED:unembed_0]] "unembed" {emb = 96 : i64, max_rows = 1 : i64, multiplier = 5.000000e-01 : f64, numerics = "f32", tile_panels = 4 : i64, vocab = 512 : i64, weight = {element = "f32", groups = 1 : i64, slices = 1 : i64, unit = 32 : i64}} operands 4
// Only kernels whose code depends on the row bound have a second form.
// CHECK-NEXT: plan.kernel @qkv_1 {{.*}}max_rows = 512
// CHECK-NEXT: plan.kernel @linear_1 {{.*}}max_rows = 512
// CHECK-NEXT: plan.kernel @gate_up_1 {{.*}}max_rows = 512
// CHECK-NEXT: plan.kernel @down_combine_1 {{.*}}max_rows = 512
// CHECK-NEXT: plan.kernel @unembed_1 {{.*}}max_rows = 512
// CHECK-NOT: plan.kernel
// CHECK-LABEL: plan.program @main attributes {layers = 1 : i64} {
// CHECK-NEXT: plan.bucket rows 1 {
// CHECK: %[[H:.*]] = plan.buffer "h" : <tensor<?x96xf32>>
// CHECK: plan.launch @[[EMBED]] "embed"(%[[TABLE:.*]], %[[TABLE]], %[[H]]) tiles <per_row = 1, max = 1> uses [<read, whole>, <read, whole>, <write, rows>]
// CHECK: %[[X:.*]] = plan.buffer "layer0.x"
// CHECK: plan.launch @[[NORM]] "layer0.rms_norm"(%[[H]], %{{.*}}, %[[X]]) tiles <per_row = 1, max = 1> uses [<read, rows>, <read, whole>, <write, rows>] {layer = 0 : i64}
// CHECK: %[[Q:.*]] = plan.buffer "layer0.q" : <tensor<?x6x16xf32>>
// CHECK: %[[ROPE:.*]] = plan.weight @cpu::@rope
// CHECK: %[[KV:.*]] = plan.kv layer 0 : <tensor<8320xi8>>
// CHECK: plan.launch @[[QKV]] "layer0.qkv"(%[[X]], %query_w, %query_w.scales, %key_w, %key_w.scales, %value_w, %value_w.scales, %[[ROPE]], %[[Q]], %[[KV]]) tiles <constant = 10, max = 10>
// CHECK-SAME: uses [<read, whole>, <read, panels>, <read, panels>, <read, panels>, <read, panels>, <read, panels>, <read, panels>, <read, whole>, <write, panels>, <write, panels>]
// CHECK: %[[O:.*]] = plan.buffer "layer0.attention" : <tensor<?x96xf32>>
// CHECK: plan.launch @[[ATTENTION]] "layer0.attention"(%[[Q]], %[[KV]], %[[O]]) tiles <per_row = 2, max = 2> uses [<read, rows>, <read, whole>, <write, rows>]
// CHECK: %[[A:.*]] = plan.buffer "layer0.attention_output"
// CHECK: plan.launch @[[LINEAR]] "layer0.attention_output"(%[[O]], %linear_w, %linear_w.scales, %[[A]]) tiles <constant = 2, max = 2> uses [<read, whole>, <read, panels>, <read, panels>, <write, panels>]
// CHECK: %[[X2:.*]] = plan.buffer "layer0.x_2"
// CHECK: plan.launch @[[RESIDUAL]] "layer0.residual_norm"(%[[H]], %[[A]], %rms_norm_1_scale, %rms_norm_2_scale, %[[X2]]) tiles <per_row = 1, max = 1> uses [<read_write, rows>, <read, rows>, <read, whole>, <read, whole>, <write, rows>]
// CHECK: %[[GATES:.*]] = plan.buffer "layer0.gates" : <tensor<?x2xf32>>
// CHECK: %[[EXPERTS:.*]] = plan.buffer "layer0.experts" : <tensor<?x2xi32>>
// CHECK: plan.launch @[[ROUTE]] "layer0.route"(%[[X2]], %router_w, %[[GATES]], %[[EXPERTS]]) tiles <per_row = 1, max = 1> uses [<read, rows>, <read, whole>, <write, rows>, <write, rows>]
// 4 + 2 * 8 experts + 1 row * 2 choices.
// CHECK: %[[GROUPS:.*]] = plan.buffer "layer0.groups" : <tensor<22xi32>>
// CHECK: plan.launch @[[GROUP]] "layer0.group"(%[[EXPERTS]], %[[GROUPS]]) tiles <constant = 1, max = 1> uses [<read, whole>, <write, whole>]
// CHECK: %[[Y:.*]] = plan.buffer "layer0.gate_up" : <tensor<?x2x256xf32>>
// Two experts can be active for one row: 2 * 16 panels / 4.
// CHECK: plan.launch @[[GATEUP]] "layer0.gate_up"(%[[X2]], %{{.*}}, %{{.*}}, %linear_v_w, %linear_v_w.scales, %[[GROUPS]], %[[Y]]) tiles <operand = 5, element = 1, max = 8>
// CHECK-SAME: uses [<read, whole>, <read, panels>, <read, panels>, <read, panels>, <read, panels>, <read, whole>, <write, panels>]
// CHECK: %[[M:.*]] = plan.buffer "layer0.moe"
// CHECK: plan.launch @[[DOWN]] "layer0.down_combine"(%[[Y]], %linear_1_w, %linear_1_w.scales, %[[GROUPS]], %[[GATES]], %[[M]]) tiles <constant = 2, max = 2> uses [<read, whole>, <read, panels>, <read, panels>, <read, whole>, <read, whole>, <write, panels>]
// CHECK: %[[X3:.*]] = plan.buffer "layer0.x_3"
// CHECK: plan.launch @[[RESIDUAL]] "layer0.residual_norm_2"(%[[H]], %[[M]], %rms_norm_3_scale, %{{.*}}, %[[X3]])
// CHECK: %[[LOGITS:.*]] = plan.logits : <tensor<?x512xf32>>
// CHECK: plan.launch @[[UNEMBED]] "unembed"(%[[X3]], %[[TABLE]], %[[TABLE]], %[[LOGITS]]) tiles <constant = 8, max = 8> uses [<read, whole>, <read, panels>, <read, panels>, <write, panels>]
// CHECK: plan.bucket rows 512 {
// CHECK: plan.launch @[[EMBED]] "embed"{{.*}} tiles <per_row = 1, max = 512>
// CHECK: plan.launch @qkv_1 "layer0.qkv"
// CHECK: plan.launch @[[ATTENTION]] "layer0.attention"{{.*}} tiles <per_row = 2, max = 1024>
// CHECK: plan.buffer "layer0.groups" : <tensor<1044xi32>>
// CHECK: plan.launch @gate_up_1 {{.*}} tiles <operand = 5, element = 1, max = 32>
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !cache) -> (tensor<?x512xf32>, !cache) {
  %table = grok.weight "language_model/in_out_embed/embeddings" : !table
  %final = grok.weight "language_model/rms_norm/scale" : tensor<96xf32>
  %n0 = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<96xf32>
  %n1 = grok.weight "transformer/decoder_layer_0/rms_norm_1/scale" : tensor<96xf32>
  %n2 = grok.weight "transformer/decoder_layer_0/rms_norm_2/scale" : tensor<96xf32>
  %n3 = grok.weight "transformer/decoder_layer_0/rms_norm_3/scale" : tensor<96xf32>
  %wq = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : !square
  %wk = grok.weight "transformer/decoder_layer_0/multi_head_attention/key/w" : !narrow
  %wv = grok.weight "transformer/decoder_layer_0/multi_head_attention/value/w" : !narrow
  %wo = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : !grouped
  %wr = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
  %wg = grok.weight "transformer/decoder_layer_0/moe/linear/w" : !up
  %wu = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : !up
  %wd = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : !down
  %h = grok.embed %tokens, %table {multiplier = 1.3 : f64} : tensor<?xi32>, !table -> tensor<?x96xf32>
  %q, %c1 = grok.fused_qkv %h norm %n0 weights %wq, %wk, %wv cache %c0, %tokens, %step
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x96xf32> norm tensor<96xf32>, !square, !narrow, !narrow, !cache, tensor<?xi32> -> tensor<?x96xf32>
  %o = grok.flash_attention %q, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xf32>, !cache
  %a = grok.linear %o, %wo : tensor<?x96xf32>, !grouped -> tensor<?x96xf32>
  %h1, %x1 = grok.fused_residual_norm %h, %a, %n1, %n2 {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %g, %e = grok.route %x1, %wr : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %y = grok.fused_gate_up %x1, %wg, %wu, %e : tensor<?x96xf32>, !up, !up, tensor<?x2xi32> -> tensor<?x2x256xf32>
  %m = grok.fused_down_combine %y, %wd, %g, %e : tensor<?x2x256xf32>, !down, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
  %h2, %x2 = grok.fused_residual_norm %h1, %m, %n3, %final {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %rows = grok.logit_rows %x2, %step : tensor<?x96xf32>
  %logits = grok.unembed %rows, %table {multiplier = 0.5 : f64} : tensor<?x96xf32>, !table -> tensor<?x512xf32>
  return %logits, %c1 : tensor<?x512xf32>, !cache
}
}

// -----

// The literal mode: two-pass attention, constants rounded to bf16 where the
// released model rounds them, activations still stored as float32. Two layers
// share every kernel; widths that are no multiple of 16 are padded.
!cache2 = !grok.cache<2 x 1 x 12, bf16>
!h = tensor<?x36xbf16>
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "bf16"} {
// Heads of 12 columns are padded apart: two heads take two panels.
// CHECK: plan.tensor @"transformer/decoder_layer_0/multi_head_attention/query/w" {{.*}} packing "panel16.k2" logical [36, 24] {column_group = 12 : i64, unit = 4 : i64} : tensor<2x18x16x2xbf16>
// CHECK: plan.kernel @embed_0 {{.*}}multiplier = 7.850000e+01 : f64, numerics = "bf16"
// CHECK-NOT: plan.kernel @{{.*}} "attention" {{.*}}key_slice
// CHECK: plan.kernel @attention_0 "attention" {{.*}}multiplier = 0.2886
// CHECK-NOT: plan.kernel @attention_1
// CHECK: plan.kernel @unembed_0 {{.*}}multiplier = 5.781250e-01
// CHECK-LABEL: plan.program @main
// CHECK: %[[H:.*]] = plan.buffer "h" logical [36] : <tensor<?x48xf32>>
// CHECK: plan.buffer "layer0.q" logical [2, 12] : <tensor<?x2x16xf32>>
// CHECK: plan.launch @qkv_0 "layer0.qkv"(%{{.*}}, %[[WQ:.*]], %[[WQ]], %[[WK:.*]], %[[WK]], %[[WV:.*]], %[[WV]], %[[ROPE:.*]], %{{.*}}, %{{.*}}) tiles <constant = 4, max = 4>
// CHECK: plan.buffer "layer0.attention" logical [24] : <tensor<?x32xf32>>
// CHECK: plan.launch @attention_0 "layer0.attention"
// CHECK: plan.launch @qkv_0 "layer1.qkv"({{.*}}, %[[ROPE]], %{{.*}}, %{{.*}})
// CHECK: plan.launch @attention_0 "layer1.attention"
// The norm behind the chosen rows works on every row; unembed picks.
// CHECK: plan.launch @rms_norm_0 "rms_norm"(%[[H]], %{{.*}}, %[[X:.*]]) tiles <per_row = 1, max = 1> uses [<read, rows>, <read, whole>, <write, rows>] :
// CHECK: plan.logits : <tensor<?x64xf32>>
// CHECK: plan.launch @unembed_0 "unembed"(%[[X]],
func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %c0: !cache2) -> (tensor<?x50xbf16>, !cache2) {
  %table = grok.weight "language_model/in_out_embed/embeddings" : tensor<50x36xf32>
  %final = grok.weight "language_model/rms_norm/scale" : tensor<36xf32>
  %n0 = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<36xf32>
  %wq0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<36x24xbf16>
  %wk0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/key/w" : tensor<36x12xbf16>
  %wv0 = grok.weight "transformer/decoder_layer_0/multi_head_attention/value/w" : tensor<36x12xbf16>
  %n1 = grok.weight "transformer/decoder_layer_1/rms_norm/scale" : tensor<36xf32>
  %wq1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/query/w" : tensor<36x24xbf16>
  %wk1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/key/w" : tensor<36x12xbf16>
  %wv1 = grok.weight "transformer/decoder_layer_1/multi_head_attention/value/w" : tensor<36x12xbf16>
  %h = grok.embed %tokens, %table {multiplier = 78.38367176906169 : f64} : tensor<?xi32>, tensor<50x36xf32> -> !h
  %q0, %c1 = grok.fused_qkv %h norm %n0 weights %wq0, %wk0, %wv0 cache %c0, %tokens, %step
      {layer = 0 : i64, head_dim = 12 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : !h norm tensor<36xf32>, tensor<36x24xbf16>, tensor<36x12xbf16>, tensor<36x12xbf16>, !cache2, tensor<?xi32> -> tensor<?x24xbf16>
  %o0 = grok.attention %q0, %c1, %step {layer = 0 : i64, multiplier = 0.2886751345948129 : f64, softcap = 30.0 : f64} : tensor<?x24xbf16>, !cache2
  %q1, %c2 = grok.fused_qkv %h norm %n1 weights %wq1, %wk1, %wv1 cache %c1, %tokens, %step
      {layer = 1 : i64, head_dim = 12 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : !h norm tensor<36xf32>, tensor<36x24xbf16>, tensor<36x12xbf16>, tensor<36x12xbf16>, !cache2, tensor<?xi32> -> tensor<?x24xbf16>
  %o1 = grok.attention %q1, %c2, %step {layer = 1 : i64, multiplier = 0.2886751345948129 : f64, softcap = 30.0 : f64} : tensor<?x24xbf16>, !cache2
  %rows = grok.logit_rows %h, %step : !h
  %x = grok.rms_norm %rows, %final {eps = 1.0e-5 : f64} : !h, tensor<36xf32>
  %logits = grok.unembed %x, %table {multiplier = 0.5773502691896257 : f64} : !h, tensor<50x36xf32> -> tensor<?x50xbf16>
  return %logits, %c2 : tensor<?x50xbf16>, !cache2
}
}
