// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The programs of many ranks, run in one process.
#pragma once

#include "compiler/interpreter/Interpreter.h"

#include "mlir/IR/BuiltinOps.h"

namespace grok::interpreter {

/// Runs `function` on every rank of the grid @ranks of its module, all ranks one
/// op after the other, collectives across them. `arguments` and the results are
/// one list for each rank, in the order of the grid. `observer` sees rank 0.
Result<std::vector<std::vector<Value>>> interpretRanks(mlir::func::FuncOp function,
                                                       std::vector<std::vector<Value>> arguments,
                                                       const WeightSource &weights,
                                                       const Observer &observer = {});

/// `feed` for what `grok-shard` made of a model: the residual goes from stage to
/// stage, each of whose ranks has its own cache. Replicas do the same and are not
/// run. Fails if the ranks of a stage return different bits.
Result<Tensor> feedRanks(mlir::ModuleOp module, llvm::ArrayRef<int32_t> tokens, int64_t chunk,
                         const WeightSource &weights, const Observer &observer = {});

} // namespace grok::interpreter
