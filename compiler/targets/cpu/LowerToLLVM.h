// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace grok::compiler {

/// Dialects that generated kernels use, with their translations to LLVM IR.
void registerKernelDialects(mlir::DialectRegistry &registry);

/// From func, scf, arith and vector to the llvm dialect, in two passes.
void addLowerKernelToLLVM(mlir::PassManager &passes);

} // namespace grok::compiler
