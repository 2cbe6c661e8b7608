// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which inputs are rounded, once each, and which stay.
// RUN: grok-opt %s --grok-quantize-activations | FileCheck %s
// Twice changes nothing more.
// RUN: grok-opt %s --grok-quantize-activations -o %t.once
// RUN: grok-opt %t.once --grok-quantize-activations | diff %t.once -
// Two digits.
// RUN: grok-opt %s --grok-quantize-activations=bits=15 | FileCheck %s --check-prefix=WIDE
// WIDE: grok.quantize {{.*}} -> tensor<?x64xf32, #grok.format<bits = 15, group_rows = 64, scale = f32, along = last>>
// WIDE-NOT: along = last>{{.*}}bits = 8, group_rows = 64, scale = f32
// RUN: not grok-opt %s --grok-quantize-activations=bits=9 2>&1 | FileCheck %s --check-prefix=BITS
// BITS: error: expects option bits to be 8 or 15, got 9
// Other numerics change nothing.
// RUN: sed s/"fast\"}"/"f32\"}"/ %s | grok-opt -o %t.f32
// RUN: grok-opt %t.f32 --grok-quantize-activations | diff %t.f32 -

!int8 = tensor<64x32xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>
!long = tensor<16384x32xi8, #grok.format<bits = 8, group_rows = 4096, scale = bf16>>
!int4 = tensor<64x32xi4, #grok.format<bits = 4, group_rows = 64, scale = bf16, multiplier_rows = 32, zero_point = 8>>
!up = tensor<2x64x128xi3, #grok.format<bits = 3, group_rows = 64, scale = bf16, multiplier_rows = 64, zero_point = 4>>
!up32 = tensor<2x64x128xi8, #grok.format<bits = 8, group_rows = 32, scale = bf16>>
!mixed = tensor<2x128x64xi8, #grok.expert_formats<[<bits = 4, group_rows = 128, scale = bf16, multiplier_rows = 32, zero_point = 8>, <bits = 8, group_rows = 128, scale = bf16>]>>
!apart = tensor<2x128x64xi8, #grok.expert_formats<[<bits = 8, group_rows = 64, scale = bf16>, <bits = 8, group_rows = 128, scale = bf16>]>>
!cache = !grok.cache<1 x 1 x 32, f32>

module attributes {grok.numerics = "fast"} {
// CHECK-LABEL: func.func @equal_inputs_in_equal_units_once(
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf32>)
// CHECK-NEXT: grok.weight
// CHECK-NEXT: grok.weight
// CHECK-NEXT: %[[Q:.*]] = grok.quantize %[[X]] : tensor<?x64xf32> -> tensor<?x64xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
// CHECK-NEXT: grok.linear %[[Q]]
// CHECK-NEXT: grok.linear %[[Q]], {{.*}} -> tensor<?x32xf32>
// CHECK-NEXT: return
func.func @equal_inputs_in_equal_units_once(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %w8 = grok.weight "w8" : !int8
  %w4 = grok.weight "w4" : !int4
  %a = grok.linear %x, %w8 : tensor<?x64xf32>, !int8 -> tensor<?x32xf32>
  %b = grok.linear %x, %w4 : tensor<?x64xf32>, !int4 -> tensor<?x32xf32>
  return %a, %b : tensor<?x32xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func.func @units_of_128_at_most
// CHECK: grok.quantize {{.*}} -> tensor<?x16384xf32, #grok.format<bits = 8, group_rows = 128, scale = f32, along = last>>
func.func @units_of_128_at_most(%x: tensor<?x16384xf32>) -> tensor<?x32xf32> {
  %w = grok.weight "w" : !long
  %a = grok.linear %x, %w : tensor<?x16384xf32>, !long -> tensor<?x32xf32>
  return %a : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @keeps_products_of_floats
// CHECK-NOT: grok.quantize
func.func @keeps_products_of_floats(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %w = grok.weight "w" : tensor<64x32xbf16>
  %a = grok.linear %x, %w : tensor<?x64xf32>, tensor<64x32xbf16> -> tensor<?x32xf32>
  return %a : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @keeps_units_that_are_no_multiple_of_four
// CHECK-NOT: grok.quantize
func.func @keeps_units_that_are_no_multiple_of_four(%x: tensor<?x12xf32>) -> tensor<?x32xf32> {
  %w = grok.weight "w" : tensor<12x32xi8, #grok.format<bits = 8, group_rows = 6, scale = bf16>>
  %a = grok.linear %x, %w : tensor<?x12xf32>, tensor<12x32xi8, #grok.format<bits = 8, group_rows = 6, scale = bf16>> -> tensor<?x32xf32>
  return %a : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @takes_the_norm_out_of_qkv
// CHECK: %[[N:.*]] = grok.rms_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64}
// CHECK-NEXT: %[[Q:.*]] = grok.quantize %[[N]]
// CHECK-NEXT: grok.fused_qkv %[[Q]] weights
func.func @takes_the_norm_out_of_qkv(%x: tensor<?x64xf32>, %tokens: tensor<?xi32>, %step: !grok.step, %c: !cache) -> tensor<?x32xf32> {
  %s = grok.weight "s" : tensor<64xf32>
  %q = grok.weight "q" : !int8
  %k = grok.weight "k" : !int8
  %v = grok.weight "v" : !int8
  %r, %c1 = grok.fused_qkv %x norm %s weights %q, %k, %v cache %c, %tokens, %step
      {layer = 0 : i64, head_dim = 32 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x64xf32> norm tensor<64xf32>, !int8, !int8, !int8, !cache, tensor<?xi32> -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @keeps_the_norm_of_float_weights
// CHECK-NOT: grok.rms_norm
// CHECK-NOT: grok.quantize
// CHECK: grok.fused_qkv %{{.*}} norm
func.func @keeps_the_norm_of_float_weights(%x: tensor<?x64xf32>, %tokens: tensor<?xi32>, %step: !grok.step, %c: !cache) -> tensor<?x32xf32> {
  %s = grok.weight "s" : tensor<64xf32>
  %q = grok.weight "q" : !int8
  %k = grok.weight "k" : tensor<64x32xf32>
  %v = grok.weight "v" : !int8
  %r, %c1 = grok.fused_qkv %x norm %s weights %q, %k, %v cache %c, %tokens, %step
      {layer = 0 : i64, head_dim = 32 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x64xf32> norm tensor<64xf32>, !int8, tensor<64x32xf32>, !int8, !cache, tensor<?xi32> -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// Gate and up share one input; the rows of the selected experts have their own.
// CHECK-LABEL: func.func @experts(
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<?x64xf32>
// CHECK: %[[Q:.*]] = grok.quantize %[[X]]
// CHECK-NEXT: %[[Y:.*]] = grok.fused_gate_up %[[Q]], {{.*}} -> tensor<?x2x128xf32>
// CHECK-NEXT: %[[P:.*]] = grok.quantize %[[Y]] : tensor<?x2x128xf32> -> tensor<?x2x128xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
// CHECK-NEXT: grok.fused_down_combine %[[P]]
func.func @experts(%x: tensor<?x64xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x64xf32> {
  %g = grok.weight "g" : !up
  %u = grok.weight "u" : !up
  %d = grok.weight "d" : !mixed
  %y = grok.fused_gate_up %x, %g, %u, %e : tensor<?x64xf32>, !up, !up, tensor<?x2xi32> -> tensor<?x2x128xf32>
  %o = grok.fused_down_combine %y, %d, %gates, %e : tensor<?x2x128xf32>, !mixed, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x64xf32>
  return %o : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @keeps_weights_of_different_units
// CHECK-NOT: grok.quantize
func.func @keeps_weights_of_different_units(%x: tensor<?x64xf32>, %gates: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x64xf32> {
  %g = grok.weight "g" : !up
  %u = grok.weight "u" : !up32
  %d = grok.weight "d" : !apart
  %y = grok.fused_gate_up %x, %g, %u, %e : tensor<?x64xf32>, !up, !up32, tensor<?x2xi32> -> tensor<?x2x128xf32>
  %o = grok.fused_down_combine %y, %d, %gates, %e : tensor<?x2x128xf32>, !apart, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x64xf32>
  return %o : tensor<?x64xf32>
}

// A table's scales run along its last axis, as its contraction does.
// CHECK-LABEL: func.func @unembed
// CHECK: %[[Q:.*]] = grok.quantize
// CHECK-NEXT: grok.unembed %[[Q]]
func.func @unembed(%x: tensor<?x64xf32>) -> tensor<?x512xf32> {
  %t = grok.weight "t" : tensor<512x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>>
  %l = grok.unembed %x, %t {multiplier = 0.5 : f64} : tensor<?x64xf32>, tensor<512x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16, along = last>> -> tensor<?x512xf32>
  return %l : tensor<?x512xf32>
}
}
