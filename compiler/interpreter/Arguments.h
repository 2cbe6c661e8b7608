// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether run-time values are of the IR's types.
#pragma once

#include "compiler/interpreter/Values.h"

#include "mlir/IR/BuiltinTypes.h"
#include <optional>

namespace grok::interpreter {

/// One value per input, of its kind and shape, and all of as many rows.
Result<void> checkArguments(mlir::FunctionType type, llvm::ArrayRef<Value> arguments);

/// How many rows `?` is in a value of this type; nothing if it has no `?`.
std::optional<int64_t> rowCount(mlir::Type type, const Value &value);

/// The matrix of a grok.weight's type in these bytes; fails if they are not as
/// many as the type asks for.
Result<Matrix> matrixOf(mlir::RankedTensorType type, const WeightBytes &bytes);

} // namespace grok::interpreter
