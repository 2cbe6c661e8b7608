// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The reference interpreter: runs functions of grok IR, plain or fused, slowly
// and exactly. A fused op is what it decomposes into.
#pragma once

#include "compiler/interpreter/Values.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <functional>
#include <string_view>

namespace grok::interpreter {

/// The bytes of the weight of this path.
using WeightSource = std::function<Result<WeightBytes>(std::string_view path)>;

/// Called after every op with its results, in the order of the function. Of a
/// fused op, the plain ops come first and then the op itself.
using Observer = std::function<void(mlir::Operation &op, llvm::ArrayRef<const Value *> results)>;

/// Name of the op's location ("layer3/moe/linear"), else the op's own name.
std::string placeOf(mlir::Operation &op);

/// Runs `function` on one value per argument and returns one per result.
/// Arguments are checked against the function's type. While it runs, nothing
/// else may change or traverse the module.
Result<std::vector<Value>> interpret(mlir::func::FuncOp function, std::vector<Value> arguments,
                                     const WeightSource &weights, const Observer &observer = {});

} // namespace grok::interpreter
