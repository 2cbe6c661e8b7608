// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One sequence through a model's step function.
#pragma once

#include "compiler/interpreter/Interpreter.h"

namespace grok::interpreter {

/// All tokens are below the width of `logits`, a tensor type. To ranks that hold
/// parts of a table, another token is just that of another rank.
Result<void> checkTokens(llvm::ArrayRef<int32_t> tokens, mlir::Type logits);

/// Rows of one sequence from position `first`, all of whose logits are wanted.
Step consecutiveRows(int64_t first, int64_t count);

/// Feeds `tokens` to `step` (the function that frontends/graph builds, at any
/// level of fusion), `chunk` of them per step, from position 0 of an empty
/// cache. Gives the logits after every position: [tokens, vocabulary].
Result<Tensor> feed(mlir::func::FuncOp step, llvm::ArrayRef<int32_t> tokens, int64_t chunk,
                    const WeightSource &weights, const Observer &observer = {});

} // namespace grok::interpreter
