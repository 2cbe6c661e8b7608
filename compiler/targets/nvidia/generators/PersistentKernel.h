// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One kernel that does the launches of a whole step: it takes tasks from a list in
// device memory (GrokTask, runtime/plan/KernelABI.h), each of which is a launch of one
// of the kernels it is made of, and waits for the tasks that it depends on.
#pragma once

#include "compiler/targets/nvidia/generators/GpuBuilder.h"
#include "mlir/IR/OwningOpRef.h"

namespace grok::compiler {

/// A kernel that tasks may name, as NvidiaKernelCompiler::lower gives it: a module
/// with `gpu.module @kernels` and in it `llvm.func @symbol`.
struct PersistentPart {
  int64_t number; // as tasks name it
  std::string symbol;
  KernelSpec spec;
  GpuShape shape;
  mlir::OwningOpRef<mlir::ModuleOp> lowered;
};

/// The function in which a block waits for tasks.
inline constexpr const char *waitSymbol = "await_tasks";

/// Appends `gpu.module @kernels` with the kernel `symbol` and its parts, which are
/// taken out of their modules. `spec` is one of KernelOp::persistent. A part has the
/// scratch memory that it has alone, but its own.
GpuShape generatePersistentKernel(mlir::ModuleOp module, llvm::StringRef symbol,
                                  const KernelSpec &spec, const NvidiaChip &chip,
                                  llvm::MutableArrayRef<PersistentPart> parts);

} // namespace grok::compiler
