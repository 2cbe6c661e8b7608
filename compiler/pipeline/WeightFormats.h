// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The formats that stand in the types of a module's weights, as plain data for
// what encodes and packs them.
#pragma once

#include "compiler/quantization/Format.h"
#include "frontends/checkpoint/Checkpoint.h"

#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <string>
#include <vector>

namespace grok::compiler {

/// By parameter: the format of each expert, or of the matrix. Only parameters
/// whose form in the module is not the one in the checkpoint.
using WeightFormats = std::map<std::string, std::vector<quantization::MatrixFormat>, std::less<>>;

/// Reads the types of `grok.weight` ops; `tensors` is what is stored.
WeightFormats readWeightFormats(mlir::ModuleOp module, const checkpoint::TensorList &tensors);

} // namespace grok::compiler
