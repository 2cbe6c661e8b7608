// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a compiled model takes in memory beside its weights, from its plan alone.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>

namespace grok::compiler {

struct MemoryUse {
  int64_t cache = 0; // of one sequence at the longest context
  int64_t arena = 0; // activations and logits of the largest step
};

/// Of a module after the memory phase.
MemoryUse memoryUseOf(mlir::ModuleOp plan);

} // namespace grok::compiler
