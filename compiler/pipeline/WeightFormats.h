// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The formats that stand in the types of a module's weights, as plain data for
// what encodes and packs them.
#pragma once

#include "compiler/quantization/Format.h"
#include "frontends/checkpoint/Checkpoint.h"

#include "mlir/IR/BuiltinOps.h"

namespace grok::compiler {

/// Reads the types of `grok.weight` ops whose form is not the one in `tensors`,
/// what is stored.
quantization::WeightFormats readWeightFormats(mlir::ModuleOp module,
                                              const checkpoint::TensorList &tensors);

} // namespace grok::compiler
