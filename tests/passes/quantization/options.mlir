// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Options and sensitivities that are refused, and those that belong together.

// RUN: not grok-opt %s --grok-select-quantization=weights=int5 2>&1 | FileCheck %s --check-prefix=WEIGHTS
// WEIGHTS: error: expects option weights to be stored, int8, int4, int3 or auto, got 'int5'
// RUN: not grok-opt %s --grok-select-quantization=weights=int4g32 2>&1 | FileCheck %s --check-prefix=SUFFIX
// SUFFIX: error: expects option weights to be stored, int8, int4, int3 or auto, got 'int4g32'
// RUN: not grok-opt %s --grok-select-quantization="weights=int4 group=128" 2>&1 | FileCheck %s --check-prefix=GROUP
// GROUP: error: expects option group of 32 or 64, got 128
// RUN: not grok-opt %s --grok-select-quantization=weights=auto 2>&1 | FileCheck %s --check-prefix=BUDGET
// BUDGET: error: expects option bits-per-weight or budget-bytes with weights=auto
// RUN: not grok-opt %s --grok-select-quantization="weights=int4 bits-per-weight=4" 2>&1 | FileCheck %s --check-prefix=FLAT
// RUN: not grok-opt %s --grok-select-quantization="weights=int4 formats=int8" 2>&1 | FileCheck %s --check-prefix=FLAT
// FLAT: error: expects weights=auto with option bits-per-weight, budget-bytes or formats
// RUN: not grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=-1" 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=nan" 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not grok-opt %s --grok-select-quantization="weights=auto budget-bytes=-1" 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// NEGATIVE: error: expects options bits-per-weight and budget-bytes to be positive
// RUN: not grok-opt %s --grok-select-quantization="weights=auto bits-per-weight=4 formats=int8,q4" 2>&1 | FileCheck %s --check-prefix=FORMATS
// FORMATS: error: expects option formats to list stored, int8, int4g32, int4g64, int3g32 or int3g64, got 'q4'

// Single items in a format of their own, whatever the others get.
// RUN: grok-opt %s --grok-select-quantization="assign=layer0.attention:int3g64" | FileCheck %s --check-prefix=ASSIGNED
// RUN: grok-opt %s --grok-select-quantization="weights=int8 assign=layer0.attention:stored" | FileCheck %s --check-prefix=KEPT
// ASSIGNED: format = "int3g64"
// ASSIGNED: query/w" : tensor<64x64xi3
// KEPT: query/w" : tensor<64x64xf32>
// RUN: not grok-opt %s --grok-select-quantization="assign=layer9.attention:int8" 2>&1 | FileCheck %s --check-prefix=NOITEM
// NOITEM: error: expects option assign to list ITEM:FORMAT, got 'layer9.attention:int8'
// RUN: not grok-opt %s --grok-select-quantization="assign=layer0.attention:int5" 2>&1 | FileCheck %s --check-prefix=NOFORMAT
// NOFORMAT: error: expects option assign to list ITEM:FORMAT, got 'layer0.attention:int5'

module attributes {grok.model = {}, grok.numerics = "fast"} {
func.func @step(%x: tensor<?x64xf32>) {
  %w = grok.weight "transformer/decoder_layer_0/multi_head_attention/query/w" : tensor<64x64xf32>
  %y = grok.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return
}
}
