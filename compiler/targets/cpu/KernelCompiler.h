// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One kernel from specification to object file, in one thread.
#pragma once

#include "compiler/targets/cpu/CpuKernels.h"
#include "compiler/targets/cpu/KernelCache.h"
#include "compiler/targets/cpu/ObjectEmitter.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <memory>

namespace grok::compiler {

/// Owns an MLIR context, so each thread needs its own.
class KernelCompiler {
public:
  /// Adds one exported function to the module; returns its scratch bytes.
  using Generator = llvm::function_ref<int64_t(mlir::ModuleOp, llvm::StringRef symbol)>;

  explicit KernelCompiler(std::string dumpDir);

  tl::expected<CompiledKernel, std::string> compile(const NamedKernelSpec &kernel,
                                                    const CpuLevel &level);
  tl::expected<CompiledKernel, std::string> compile(const std::string &symbol,
                                                    const CpuLevel &level, Generator generate);
  tl::expected<std::string, std::string> assemble(const NamedKernelSpec &kernel,
                                                  const CpuLevel &level);

private:
  // One function on its way down.
  struct Lowering {
    std::string symbol;
    const CpuLevel &level;
    llvm::LLVMContext llvmContext;
    ObjectEmitter emitter;
    std::unique_ptr<llvm::Module> module; // optimised
    int64_t scratchBytes = 0;

    Lowering(const std::string &symbol, const CpuLevel &level)
        : symbol(symbol), level(level), emitter(level) {}
  };
  tl::expected<void, std::string> lower(Lowering &lowering, Generator generate);
  void dump(const Lowering &lowering, const char *extension,
            llvm::function_ref<void(llvm::raw_ostream &)> print);

  std::string dumpDir;
  mlir::MLIRContext context;
};

} // namespace grok::compiler
