// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folds and canonicalizations, each with the case that must not change.
// RUN: grok-opt %s --canonicalize | FileCheck %s
// RUN: grok-opt %s --cse | FileCheck %s --check-prefix=CSE

!codes = tensor<8x4xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>>
!experts = tensor<4x6x8xi8, #grok.format<bits = 8, group_rows = 6, scale = bf16>>

// CHECK-LABEL: func @folds_dequantize_of_plain_values
// CHECK-SAME: (%[[W:.*]]: tensor<8x4xf32>)
// CHECK-NEXT: return %[[W]]
func.func @folds_dequantize_of_plain_values(%w: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %f = grok.dequantize %w : tensor<8x4xf32> -> tensor<8x4xf32>
  return %f : tensor<8x4xf32>
}

// CHECK-LABEL: func @keeps_dequantize_that_rounds
// CHECK: grok.dequantize
func.func @keeps_dequantize_that_rounds(%w: tensor<8x4xf32>) -> tensor<8x4xbf16> {
  %f = grok.dequantize %w : tensor<8x4xf32> -> tensor<8x4xbf16>
  return %f : tensor<8x4xbf16>
}

// CHECK-LABEL: func @linear_reads_codes
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x4xi8, {{.*}}>)
// CHECK-NEXT: grok.linear %[[X]], %[[W]]
func.func @linear_reads_codes(%x: tensor<?x8xf32>, %w: !codes) -> tensor<?x4xf32> {
  %f = grok.dequantize %w : !codes -> tensor<8x4xf32>
  %y = grok.linear %x, %f : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: func @linear_keeps_a_matrix_rounded_otherwise
// CHECK: %[[F:.*]] = grok.dequantize
// CHECK: grok.linear %{{.*}}, %[[F]]
func.func @linear_keeps_a_matrix_rounded_otherwise(%x: tensor<?x8xf32>, %w: !codes) -> tensor<?x4xf32> {
  %f = grok.dequantize %w : !codes -> tensor<8x4xbf16>
  %y = grok.linear %x, %f : tensor<?x8xf32>, tensor<8x4xbf16> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: func @experts_read_codes_rounded_by_x
// CHECK-SAME: (%[[X:.*]]: tensor<?x6xbf16>, %[[W:.*]]: tensor<4x6x8xi8, {{.*}}>, %[[E:.*]]: tensor<?x2xi32>)
// CHECK-NEXT: grok.expert_matmul %[[X]], %[[W]], %[[E]] :
func.func @experts_read_codes_rounded_by_x(%x: tensor<?x6xbf16>, %w: !experts, %e: tensor<?x2xi32>) -> tensor<?x2x8xbf16> {
  %f = grok.dequantize %w : !experts -> tensor<4x6x8xbf16>
  %y = grok.expert_matmul %x, %f, %e : tensor<?x6xbf16>, tensor<4x6x8xbf16>, tensor<?x2xi32> -> tensor<?x2x8xbf16>
  return %y : tensor<?x2x8xbf16>
}

// CHECK-LABEL: func @experts_say_that_codes_are_rounded
// CHECK-SAME: (%[[X:.*]]: tensor<?x2x6xf32>, %[[W:.*]]: tensor<4x6x8xi8, {{.*}}>, %[[E:.*]]: tensor<?x2xi32>)
// CHECK-NEXT: grok.expert_matmul %[[X]], %[[W]], %[[E]] {bf16_weight}
func.func @experts_say_that_codes_are_rounded(%x: tensor<?x2x6xf32>, %w: !experts, %e: tensor<?x2xi32>) -> tensor<?x2x8xf32> {
  %f = grok.dequantize %w : !experts -> tensor<4x6x8xbf16>
  %y = grok.expert_matmul %x, %f, %e : tensor<?x2x6xf32>, tensor<4x6x8xbf16>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  return %y : tensor<?x2x8xf32>
}

// int8 * scale rounded to float32 and then to bf16 is not the same number as
// rounded once for every scale type: left alone.
// CHECK-LABEL: func @experts_keep_a_matrix_rounded_twice
// CHECK: %[[F:.*]] = grok.dequantize
// CHECK: grok.expert_matmul %{{.*}}, %[[F]], %{{.*}} {bf16_weight}
func.func @experts_keep_a_matrix_rounded_twice(%x: tensor<?x2x6xf32>, %w: !experts, %e: tensor<?x2xi32>) -> tensor<?x2x8xf32> {
  %f = grok.dequantize %w : !experts -> tensor<4x6x8xf32>
  %y = grok.expert_matmul %x, %f, %e {bf16_weight} : tensor<?x2x6xf32>, tensor<4x6x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>
  return %y : tensor<?x2x8xf32>
}

// CSE-LABEL: func @add_commutes
// CSE: %[[S:.*]] = grok.add
// CSE-NOT: grok.add
// CSE: return %[[S]], %[[S]]
func.func @add_commutes(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %0 = grok.add %a, %b : tensor<?x8xf32>
  %1 = grok.add %b, %a : tensor<?x8xf32>
  return %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
}

// CSE-LABEL: func @one_weight_of_a_path
// CSE-COUNT-2: grok.weight
// CSE-NOT: grok.weight
// CSE: return
func.func @one_weight_of_a_path() -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = grok.weight "a/scale" : tensor<4xf32>
  %1 = grok.weight "a/scale" : tensor<4xf32>
  %2 = grok.weight "b/scale" : tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func @drops_what_nobody_reads
// CHECK-NEXT: return
func.func @drops_what_nobody_reads(%x: tensor<?x8xf32>, %s: tensor<8xf32>, %step: !grok.step) {
  %y = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %z = grok.logit_rows %y, %step : tensor<?x8xf32>
  return
}

// CHECK-LABEL: @drops_a_cut_that_keeps_everything
// CHECK-NOT: grok.cut_columns
func.func @drops_a_cut_that_keeps_everything(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = grok.cut_columns %x : tensor<?x8xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
