// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One kernel from specification to object file, in one thread.
#pragma once

#include "compiler/targets/cpu/CpuKernels.h"
#include "compiler/targets/cpu/KernelCache.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <memory>

namespace grok::compiler {

/// Owns an MLIR context, so each thread needs its own.
class KernelCompiler {
public:
  explicit KernelCompiler(std::string dumpDir);

  tl::expected<CompiledKernel, std::string> compile(const NamedKernelSpec &kernel,
                                                    const CpuLevel &level);
  tl::expected<std::string, std::string> assemble(const NamedKernelSpec &kernel,
                                                  const CpuLevel &level);

private:
  // Optimised LLVM IR of `kernel`, living in `llvmContext`.
  tl::expected<std::unique_ptr<llvm::Module>, std::string>
  lower(const NamedKernelSpec &kernel, const CpuLevel &level, llvm::LLVMContext &llvmContext,
        class ObjectEmitter &emitter, int64_t &scratchBytes);
  void dump(const NamedKernelSpec &kernel, const CpuLevel &level, const char *extension,
            llvm::function_ref<void(llvm::raw_ostream &)> print);

  std::string dumpDir;
  mlir::MLIRContext context;
};

} // namespace grok::compiler
