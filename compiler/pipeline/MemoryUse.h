// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a compiled model takes in memory beside its weights, from its plan alone.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include <string>

#include <cstdint>

namespace grok::compiler {

/// Bytes on the fullest rank, each number of the rank that has most of it.
struct MemoryUse {
  int64_t cache = 0;   // of one sequence at the longest context
  int64_t arena = 0;   // activations and logits of the largest step
  int64_t tables = 0;  // made by the compiler
  int64_t weights = 0; // of the checkpoint

  int64_t besideWeights() const { return cache + arena + tables; }
};

/// Of a module after the memory phase.
MemoryUse memoryUseOf(mlir::ModuleOp plan);

/// What is wrong if a rank of the module takes more than `budget` bytes; empty
/// if none does.
std::string problemWithBudget(mlir::ModuleOp plan, uint64_t budget);

} // namespace grok::compiler
