// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Options: what they change, and which values are refused.
// RUN: not grok-opt %s --grok-outline-kernels=max-step-rows=0 2>&1 | FileCheck %s --check-prefix=REFUSED0
// REFUSED0: error: expects option max-step-rows of 1..1048576, got 0
// RUN: not grok-opt %s --grok-outline-kernels=max-context=99999999 2>&1 | FileCheck %s --check-prefix=REFUSED1
// REFUSED1: error: expects option max-context of 1..16777216, got 99999999
// RUN: not grok-opt %s --grok-outline-kernels=page-tokens=48 2>&1 | FileCheck %s --check-prefix=REFUSED2
// REFUSED2: error: expects option page-tokens to be a power of two of 16..256, got 48
// RUN: not grok-opt %s --grok-outline-kernels=tile-panels=65 2>&1 | FileCheck %s --check-prefix=REFUSED3
// REFUSED3: error: expects option tile-panels of 1..64, got 65
// RUN: not grok-opt %s --grok-outline-kernels=kv=f16 2>&1 | FileCheck %s --check-prefix=REFUSED4
// REFUSED4: error: expects option kv to be f32, bf16, int8 or fp8, got 'f16'
// RUN: grok-opt %s --grok-outline-kernels="max-step-rows=1 max-context=32 page-tokens=16 tile-panels=2 kv=bf16 layout=wide" | FileCheck %s

// Two layers of 1 head x 16: 512 bytes of keys, 512 of values, 64 of visibility.
// CHECK: plan.max_context = 32 : i64, plan.max_step_rows = 1 : i64, plan.page = {bytes = 2176 : i64, kv = "bf16", layer_bytes = 1088 : i64, tokens = 16 : i64}
// RUN: grok-opt %s --grok-outline-kernels="max-step-rows=1 max-context=32 page-tokens=16 kv=int8" | FileCheck %s --check-prefix=INT8
// Codes of one byte, 256 of keys and of values, and 16 float32 scales for either.
// INT8: plan.page = {bytes = 1408 : i64, kv = "int8", layer_bytes = 704 : i64, tokens = 16 : i64}
// RUN: grok-opt %s --grok-outline-kernels="max-step-rows=1 max-context=32 page-tokens=16 kv=fp8" | FileCheck %s --check-prefix=FP8
// FP8: plan.page = {bytes = 1408 : i64, kv = "fp8", layer_bytes = 704 : i64, tokens = 16 : i64}
// RUN: grok-opt %s --grok-outline-kernels="max-step-rows=64 small-steps=8,16,64,80" | FileCheck %s --check-prefix=STEPS
// Bounds that no step reaches are left out; shared kernels stay one.
// STEPS: plan.kernel @embed_0
// STEPS-NOT: @embed_1
// STEPS: plan.bucket rows 1
// STEPS: plan.launch @linear_0
// STEPS: plan.bucket rows 8
// STEPS: plan.launch @linear_1
// STEPS: plan.bucket rows 16
// STEPS: plan.bucket rows 64
// STEPS-NOT: plan.bucket
module attributes {grok.model = {sequence_len = 64 : i64}, grok.numerics = "f32"} {
// CHECK: plan.layout @wide
// CHECK: plan.kernel @linear_0 {{.*}}tile_panels = 2
// CHECK: plan.bucket rows 1
// CHECK: plan.launch @linear_0 "linear"{{.*}} tiles <constant = 3, max = 3>
// CHECK-NOT: plan.bucket
func.func @step(%tokens: tensor<?xi32>, %cache: !grok.cache<2 x 1 x 16, f32>) {
  %table = grok.weight "table" : tensor<512x96xf32>
  %w = grok.weight "w" : tensor<96x90xf32>
  %h = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
  %y = grok.linear %h, %w : tensor<?x96xf32>, tensor<96x90xf32> -> tensor<?x90xf32>
  return
}
}
