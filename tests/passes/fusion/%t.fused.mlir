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
    %rotated, %updated = grok.fused_qkv %0 norm %layer0_rms_norm_scale weights %layer0_multi_head_attention_query, %layer0_multi_head_attention_key, %layer0_multi_head_attention_value cache %arg1, %arg0, %arg2 {base = 1.000000e+04 : f64, eps = 1.000000e-05 : f64, head_dim = 16 : i64, layer = 0 : i64} : tensor<?x96xf32> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
    %1 = grok.flash_attention %rotated, %updated, %arg2 {key_slice = 256 : i64, layer = 0 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
    %2 = grok.linear %1, %layer0_multi_head_attention_linear : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %sum, %normed = grok.fused_residual_norm %0, %2, %layer0_rms_norm_1_scale, %layer0_rms_norm_2_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %gates, %experts = grok.route %normed, %layer0_router : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %3 = grok.fused_gate_up %normed, %layer0_moe_linear, %layer0_moe_linear_v, %experts : tensor<?x96xf32>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %4 = grok.fused_down_combine %3, %layer0_moe_linear_1, %gates, %experts : tensor<?x2x256xf32>, tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    %sum_0, %normed_1 = grok.fused_residual_norm %sum, %4, %layer0_rms_norm_3_scale, %layer1_rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %rotated_2, %updated_3 = grok.fused_qkv %normed_1 weights %layer1_multi_head_attention_query, %layer1_multi_head_attention_key, %layer1_multi_head_attention_value cache %updated, %arg0, %arg2 {base = 1.000000e+04 : f64, eps = 1.000000e-05 : f64, head_dim = 16 : i64, layer = 1 : i64} : tensor<?x96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
    %5 = grok.flash_attention %rotated_2, %updated_3, %arg2 {key_slice = 256 : i64, layer = 1 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
    %6 = grok.linear %5, %layer1_multi_head_attention_linear : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %sum_4, %normed_5 = grok.fused_residual_norm %sum_0, %6, %layer1_rms_norm_1_scale, %layer1_rms_norm_2_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %gates_6, %experts_7 = grok.route %normed_5, %layer1_router : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %7 = grok.fused_gate_up %normed_5, %layer1_moe_linear, %layer1_moe_linear_v, %experts_7 : tensor<?x96xf32>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %8 = grok.fused_down_combine %7, %layer1_moe_linear_1, %gates_6, %experts_7 : tensor<?x2x256xf32>, tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    %sum_8, %normed_9 = grok.fused_residual_norm %sum_4, %8, %layer1_rms_norm_3_scale, %rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %9 = grok.logit_rows %normed_9, %arg2 : tensor<?x96xf32>
    %10 = grok.unembed %9, %in_out_embed_embeddings {multiplier = 5.000000e-01 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
    return %10, %updated_3 : tensor<?x512xf32>, !grok.cache<2 x 1 x 16, f32>
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
    %rotated, %updated = grok.fused_qkv %0 norm %layer0_rms_norm_scale weights %layer0_multi_head_attention_query, %layer0_multi_head_attention_key, %layer0_multi_head_attention_value cache %arg1, %arg0, %arg2 {base = 1.000000e+04 : f64, eps = 1.000000e-05 : f64, head_dim = 16 : i64, layer = 0 : i64} : tensor<?x96xbf16> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xbf16>
    %1 = grok.attention %rotated, %updated, %arg2 {layer = 0 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xbf16>, <2 x 1 x 16, f32>
    %2 = grok.linear %1, %layer0_multi_head_attention_linear : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
    %sum, %normed = grok.fused_residual_norm %0, %2, %layer0_rms_norm_1_scale, %layer0_rms_norm_2_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %gates, %experts = grok.route %normed, %layer0_router : tensor<?x96xbf16>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %3 = grok.fused_gate_up %normed, %layer0_moe_linear, %layer0_moe_linear_v, %experts : tensor<?x96xbf16>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<8x96x256xi8, #grok.format<bits = 8, group_rows = 96, scale = bf16>>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %4 = grok.fused_down_combine %3, %layer0_moe_linear_1, %gates, %experts : tensor<?x2x256xf32>, tensor<8x256x96xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xbf16>
    %sum_0, %normed_1 = grok.fused_residual_norm %sum, %4, %layer0_rms_norm_3_scale, %rms_norm_scale {eps = 1.000000e-05 : f64} : tensor<?x96xbf16>, tensor<96xf32>
    %5 = grok.logit_rows %normed_1, %arg2 : tensor<?x96xbf16>
    %6 = grok.unembed %5, %in_out_embed_embeddings {multiplier = 5.000000e-01 : f64} : tensor<?x96xbf16>, tensor<512x96xf32> -> tensor<?x512xbf16>
    return %6, %updated : tensor<?x512xbf16>, !grok.cache<2 x 1 x 16, f32>
  }
}

