// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-select-quantization=weights=int4 --split-input-file --verify-diagnostics

// expected-error @+1 {{expects grok.sensitivities to be a dictionary}}
module attributes {grok.sensitivities = 1.0 : f64} {}

// -----

// expected-error @+1 {{expects 'table' in grok.sensitivities to be a dictionary}}
module attributes {grok.sensitivities = {table = 1.0 : f64}} {}

// -----

// expected-error @+1 {{expects loss of 'table' in grok.sensitivities to be a number from -1.000000e+03 to 1.000000e+03}}
module attributes {grok.sensitivities = {table = {}}} {}

// -----

// expected-error @+1 {{expects loss of 'table' in grok.sensitivities to be a number from -1.000000e+03 to 1.000000e+03, found 0x7FF8000000000000 : f64}}
module attributes {grok.sensitivities = {table = {loss = 0x7FF8000000000000 : f64}}} {}

// -----

// expected-error @+1 {{expects errors of 'table' in grok.sensitivities to name formats, found 'int5'}}
module attributes {grok.sensitivities = {table = {loss = 1.0 : f64, errors = {int5 = 1.0 : f64}}}} {}

// -----

// expected-error @+1 {{expects errors of 'table' in grok.sensitivities to be a number from 0.000000e+00 to 4.000000e+00, found -1.000000e+00 : f64}}
module attributes {grok.sensitivities = {table = {loss = 1.0 : f64, errors = {int8 = -1.0 : f64}}}} {}

// -----

// expected-error @+1 {{grok.sensitivities has an entry 'layer7.down' that is no matrix of this model}}
module attributes {grok.sensitivities = {"layer7.down" = {loss = 1.0 : f64}}} {}

// -----

// expected-error @+1 {{expects grok.sensitivities of each expert of an item or of none, found none of 'layer0.down.expert0'}}
module attributes {grok.sensitivities = {"layer0.down.expert1" = {loss = 1.0 : f64}}} {
func.func @step(%y: tensor<?x1x128xf32>, %e: tensor<?x1xi32>) {
  %w = grok.weight "transformer/decoder_layer_0/moe/linear_1/w" : tensor<2x128x64xf32>
  %d = grok.expert_matmul %y, %w, %e : tensor<?x1x128xf32>, tensor<2x128x64xf32>, tensor<?x1xi32> -> tensor<?x1x64xf32>
  return
}
}

// -----

// expected-error @+1 {{has no kernels for int4 or int3 under grok.numerics = "bf16"}}
module attributes {grok.numerics = "bf16"} {}

// -----

func.func @no_layer(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{expects the layer in the name of a matrix: 'decoder_layer_3/...'}}
  %w = grok.weight "w" : tensor<64x64xf32>
  %y = grok.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return
}

// -----

!i4 = tensor<64x64xi4, #grok.format<bits = 4, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 8>>
func.func @twice(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{expects a matrix of f32, bf16 or int8 with bf16 scales, as checkpoints store it, found 'tensor<64x64xi4}}
  %w = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : !i4
  %y = grok.linear %x, %w : tensor<?x64xf32>, !i4 -> tensor<?x64xf32>
  return
}
