// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From what generators emit to functions that PTX and the emulator both start
// from.
#pragma once

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"

namespace grok::compiler {

/// The dialects of generated kernels and the translations of what they become.
void registerGpuKernelDialects(mlir::DialectRegistry &registry);

/// gpu, scf, arith and vector to the llvm and nvvm dialects, inside the gpu.module.
/// Every nvvm operation is kept as it is.
void addLowerKernelToNVVM(mlir::PassManager &passes);

/// On top of that, nvvm operations that have no intrinsic to inline PTX, and the
/// functions out of their gpu.module: a module that translates to LLVM IR.
void addLowerNVVMToLLVM(mlir::PassManager &passes);

} // namespace grok::compiler
