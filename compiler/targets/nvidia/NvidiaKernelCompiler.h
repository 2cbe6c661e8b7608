// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One GPU kernel from specification to PTX and machine code, in one thread.
#pragma once

#include "compiler/targets/nvidia/NvidiaKernels.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"

namespace grok::compiler {

/// A kernel by its number in the plan.
struct NumberedKernel {
  int64_t number;
  const NamedKernelSpec *kernel;
};

/// Owns an MLIR context, so each thread needs its own.
class NvidiaKernelCompiler {
public:
  /// Adds `gpu.module @kernels` with one kernel; returns its shape.
  using Generator = llvm::function_ref<GpuShape(mlir::ModuleOp, llvm::StringRef symbol)>;

  /// `assembler` may be null: then there is PTX alone.
  NvidiaKernelCompiler(const NvidiaOptions &options, const Ptxas *assembler);

  tl::expected<NvidiaKernel, std::string> compile(const NamedKernelSpec &kernel,
                                                  const NvidiaChip &chip);
  tl::expected<NvidiaKernel, std::string> compile(const std::string &symbol, const NvidiaChip &chip,
                                                  Generator generate);
  /// A kernel of op persistent, made of others.
  tl::expected<NvidiaKernel, std::string> compile(const NamedKernelSpec &kernel,
                                                  llvm::ArrayRef<NumberedKernel> parts,
                                                  const NvidiaChip &chip);

  /// The kernel in the llvm and nvvm dialects, still inside its gpu.module.
  tl::expected<mlir::OwningOpRef<mlir::ModuleOp>, std::string>
  lower(const std::string &symbol, const NvidiaChip &chip, Generator generate, GpuShape &shape);
  tl::expected<mlir::OwningOpRef<mlir::ModuleOp>, std::string>
  lower(const NamedKernelSpec &kernel, llvm::ArrayRef<NumberedKernel> parts, const NvidiaChip &chip,
        GpuShape &shape);

private:
  struct Naming {
    const std::string &symbol;
    const NvidiaChip &chip;
  };
  tl::expected<NvidiaKernel, std::string> finish(mlir::ModuleOp lowered, const GpuShape &shape,
                                                 const Naming &naming);
  tl::expected<std::string, std::string> emitPtx(mlir::ModuleOp lowered, const Naming &naming);
  tl::expected<void, std::string> assemble(NvidiaKernel &kernel, const Naming &naming);
  void dump(const Naming &naming, const char *extension,
            llvm::function_ref<void(llvm::raw_ostream &)> print);
  tl::expected<void, std::string> runPasses(mlir::ModuleOp module, const Naming &naming,
                                            llvm::function_ref<void(mlir::PassManager &)> add);

  NvidiaOptions options;
  const Ptxas *assembler;
  mlir::MLIRContext context;
  std::string diagnostic; // the first error of the running compilation
};

} // namespace grok::compiler
