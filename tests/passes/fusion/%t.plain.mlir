module {
  func.func @float32(%arg0: tensor<?xi32>, %arg1: !grok.cache<2 x 1 x 16, f32>, %arg2: !grok.step) -> (tensor<?x512xf32>, !grok.cache<2 x 1 x 16, f32>) {
    %in_out_embed_embeddings = grok.weight "language_model/in_out_embed/embeddings" : tensor<512x96xf32>
    %layer0_rms_norm_scale = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<96xf32>
    %layer0_multi_head_attention_query = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<96x96xf32>
    %layer0_multi_head_attention_key = grok.weight "transformer/decoder_layer_0/multi_head_attention/key/w" : tensor<96x16xf32>
    %layer0_multi_head_attention_value = grok.weight "transformer/decoder_layer_0/multi_head_attention/value/w" : tensor<96x16xf32>
    %layer0_multi_head_attention_linear = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : tensor<96x96xf32>
    %layer0_rms_norm_1_scale = grok.weight "transformer/decoder_layer_0/rms_norm_1/scale" : tensor<96xf32>
    %layer0_rms_norm_2_scale = grok.weight "transformer/decoder_layer_0/rms_norm_2/scale" : tensor<96xf32>
    %layer0_router = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
    %layer0_moe_linear = grok.weight "transformer/decoder_layer_0/moe/linear/w" : tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
    %layer0_moe_linear_v = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
    %layer0_moe_linear_1 = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
    %layer0_rms_norm_3_scale = grok.weight "transformer/decoder_layer_0/rms_norm_3/scale" : tensor<96xf32>
    %layer1_rms_norm_scale = grok.weight "transformer/decoder_layer_1/rms_norm/scale" : tensor<96xf32>
    %layer1_multi_head_attention_query = grok.weight "transformer/decoder_layer_1/multi_head_attention/query/w" : tensor<96x96xf32>
    %layer1_multi_head_attention_key = grok.weight "transformer/decoder_layer_1/multi_head_attention/key/w" : tensor<96x16xf32>
    %layer1_multi_head_attention_value = grok.weight "transformer/decoder_layer_1/multi_head_attention/value/w" : tensor<96x16xf32>
    %layer1_multi_head_attention_linear = grok.weight "transformer/decoder_layer_1/multi_head_attention/linear/w" : tensor<96x96xf32>
    %layer1_rms_norm_1_scale = grok.weight "transformer/decoder_layer_1/rms_norm_1/scale" : tensor<96xf32>
    %layer1_rms_norm_2_scale = grok.weight "transformer/decoder_layer_1/rms_norm_2/scale" : tensor<96xf32>
    %layer1_router = grok.weight "transformer/decoder_layer_1/router/w" : tensor<96x8xf32>
    %layer1_moe_linear = grok.weight "transformer/decoder_layer_1/moe/linear/w" : tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
    %layer1_moe_linear_v = grok.weight "transformer/decoder_layer_1/moe/linear_v/w" : tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
    %layer1_moe_linear_1 = grok.weight "transformer/decoder_layer_1/moe/linear_1/w" : tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
    %layer1_rms_norm_3_scale = grok.weight "transformer/decoder_layer_1/rms_norm_3/scale" : tensor<96xf32>
    %rms_norm_scale = grok.weight "language_model/rms_norm/scale" : tensor<96xf32>
    %0 = grok.embed %arg0, %in_out_embed_embeddings {multiplier = 9.750000e+00 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
    %1 = grok.rms_norm %0, %layer0_rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %2 = grok.linear %1, %layer0_multi_head_attention_query : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %3 = grok.rope %2, %arg2 {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x96xf32>
    %4 = grok.linear %1, %layer0_multi_head_attention_key : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
    %5 = grok.rope %4, %arg2 {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x16xf32>
    %6 = grok.linear %1, %layer0_multi_head_attention_value : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
    %7 = grok.cache_write %arg1, %5, %6, %arg0, %arg2 {layer = 0 : i64} : <2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
    %8 = grok.attention %3, %7, %arg2 {layer = 0 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
    %9 = grok.linear %8, %layer0_multi_head_attention_linear : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %10 = grok.rms_norm %9, %layer0_rms_norm_1_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %11 = grok.add %0, %10 : tensor<?x96xf32>
    %12 = grok.rms_norm %11, %layer0_rms_norm_2_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %gates, %experts = grok.route %12, %layer0_router : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %13 = grok.expert_matmul %12, %layer0_moe_linear, %experts : tensor<?x96xf32>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %14 = grok.expert_matmul %12, %layer0_moe_linear_v, %experts : tensor<?x96xf32>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %15 = grok.gelu_gate %13, %14 : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
    %16 = grok.expert_matmul %15, %layer0_moe_linear_1, %experts : tensor<?x2x256xf32>, tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x96xf32>
    %17 = grok.combine %16, %gates, %experts : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    %18 = grok.rms_norm %17, %layer0_rms_norm_3_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %19 = grok.add %11, %18 : tensor<?x96xf32>
    %20 = grok.rms_norm %19, %layer1_rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %21 = grok.linear %20, %layer1_multi_head_attention_query : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %22 = grok.rope %21, %arg2 {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x96xf32>
    %23 = grok.linear %20, %layer1_multi_head_attention_key : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
    %24 = grok.rope %23, %arg2 {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x16xf32>
    %25 = grok.linear %20, %layer1_multi_head_attention_value : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
    %26 = grok.cache_write %7, %24, %25, %arg0, %arg2 {layer = 1 : i64} : <2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
    %27 = grok.attention %22, %26, %arg2 {layer = 1 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
    %28 = grok.linear %27, %layer1_multi_head_attention_linear : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %29 = grok.rms_norm %28, %layer1_rms_norm_1_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %30 = grok.add %19, %29 : tensor<?x96xf32>
    %31 = grok.rms_norm %30, %layer1_rms_norm_2_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %gates_0, %experts_1 = grok.route %31, %layer1_router : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %32 = grok.expert_matmul %31, %layer1_moe_linear, %experts_1 : tensor<?x96xf32>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %33 = grok.expert_matmul %31, %layer1_moe_linear_v, %experts_1 : tensor<?x96xf32>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %34 = grok.gelu_gate %32, %33 : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
    %35 = grok.expert_matmul %34, %layer1_moe_linear_1, %experts_1 : tensor<?x2x256xf32>, tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x96xf32>
    %36 = grok.combine %35, %gates_0, %experts_1 : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    %37 = grok.rms_norm %36, %layer1_rms_norm_3_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %38 = grok.add %30, %37 : tensor<?x96xf32>
    %39 = grok.rms_norm %38, %rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %40 = grok.logit_rows %39, %arg2 : tensor<?x96xf32>
    %41 = grok.unembed %40, %in_out_embed_embeddings {multiplier = 5.000000e-01 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
    return %41, %26 : tensor<?x512xf32>, !grok.cache<2 x 1 x 16, f32>
  }
  func.func @literal_bf16(%arg0: tensor<?xi32>, %arg1: !grok.cache<2 x 1 x 16, f32>, %arg2: !grok.step) -> (tensor<?x512xbf16>, !grok.cache<2 x 1 x 16, f32>) {
    %in_out_embed_embeddings = grok.weight "language_model/in_out_embed/embeddings" : tensor<512x96xf32>
    %layer0_rms_norm_scale = grok.weight "transformer/decoder_layer_0/rms_norm/scale" : tensor<96xf32>
    %layer0_multi_head_attention_query = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<96x96xf32>
    %layer0_multi_head_attention_key = grok.weight "transformer/decoder_layer_0/multi_head_attention/key/w" : tensor<96x16xf32>
    %layer0_multi_head_attention_value = grok.weight "transformer/decoder_layer_0/multi_head_attention/value/w" : tensor<96x16xf32>
    %layer0_multi_head_attention_linear = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : tensor<96x96xf32>
    %layer0_rms_norm_1_scale = grok.weight "transformer/decoder_layer_0/rms_norm_1/scale" : tensor<96xf32>
    %layer0_rms_norm_2_scale = grok.weight "transformer/decoder_layer_0/rms_norm_2/scale" : tensor<96xf32>
    %layer0_router = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
    %layer0_moe_linear = grok.weight "transformer/decoder_layer_0/moe/linear/w" : tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
    %layer0_moe_linear_v = grok.weight "transformer/decoder_layer_0/moe/linear_v/w" : tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>
    %layer0_moe_linear_1 = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
    %layer0_rms_norm_3_scale = grok.weight "transformer/decoder_layer_0/rms_norm_3/scale" : tensor<96xf32>
    %rms_norm_scale = grok.weight "language_model/rms_norm/scale" : tensor<96xf32>
    %0 = grok.embed %arg0, %in_out_embed_embeddings {multiplier = 9.750000e+00 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xbf16>
    %1 = grok.rms_norm %0, %layer0_rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %2 = grok.linear %1, %layer0_multi_head_attention_query : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
    %3 = grok.rope %2, %arg2 {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x96xbf16>
    %4 = grok.linear %1, %layer0_multi_head_attention_key : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xbf16>
    %5 = grok.rope %4, %arg2 {base = 1.000000e+04 : f64, head_dim = 16 : i64} : tensor<?x16xbf16>
    %6 = grok.linear %1, %layer0_multi_head_attention_value : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xbf16>
    %7 = grok.cache_write %arg1, %5, %6, %arg0, %arg2 {layer = 0 : i64} : <2 x 1 x 16, f32>, tensor<?x16xbf16>, tensor<?xi32>
    %8 = grok.attention %3, %7, %arg2 {layer = 0 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xbf16>, <2 x 1 x 16, f32>
    %9 = grok.linear %8, %layer0_multi_head_attention_linear : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
    %10 = grok.rms_norm %9, %layer0_rms_norm_1_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %11 = grok.add %0, %10 : tensor<?x96xbf16>
    %12 = grok.rms_norm %11, %layer0_rms_norm_2_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %gates, %experts = grok.route %12, %layer0_router : tensor<?x96xbf16>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %13 = grok.expert_matmul %12, %layer0_moe_linear, %experts : tensor<?x96xbf16>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xbf16>
    %14 = grok.expert_matmul %12, %layer0_moe_linear_v, %experts : tensor<?x96xbf16>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xbf16>
    %15 = grok.gelu_gate %13, %14 : tensor<?x2x256xbf16> -> tensor<?x2x256xf32>
    %16 = grok.expert_matmul %15, %layer0_moe_linear_1, %experts {bf16_weight} : tensor<?x2x256xf32>, tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x96xf32>
    %17 = grok.combine %16, %gates, %experts : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xbf16>
    %18 = grok.rms_norm %17, %layer0_rms_norm_3_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %19 = grok.add %11, %18 : tensor<?x96xbf16>
    %20 = grok.rms_norm %19, %rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %21 = grok.logit_rows %20, %arg2 : tensor<?x96xbf16>
    %22 = grok.unembed %21, %in_out_embed_embeddings {multiplier = 5.000000e-01 : f64} : tensor<?x96xbf16>, tensor<512x96xf32> -> tensor<?x512xbf16>
    return %22, %7 : tensor<?x512xbf16>, !grok.cache<2 x 1 x 16, f32>
  }
}

