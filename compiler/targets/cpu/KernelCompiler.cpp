// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/KernelCompiler.h"

#include "compiler/kernels/KernelGenerators.h"
#include "compiler/targets/cpu/LowerToLLVM.h"
#include "compiler/targets/cpu/ObjectEmitter.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

namespace grok::compiler {

static mlir::DialectRegistry kernelDialects() {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  return registry;
}

KernelCompiler::KernelCompiler(std::string dumpDir)
    : dumpDir(std::move(dumpDir)),
      context(kernelDialects(), mlir::MLIRContext::Threading::DISABLED) {
  context.loadAllAvailableDialects();
}

static std::string title(const NamedKernelSpec &kernel, const CpuLevel &level) {
  return "kernel " + kernel.symbol + " for " + level.name;
}

void KernelCompiler::dump(const NamedKernelSpec &kernel, const CpuLevel &level,
                          const char *extension,
                          llvm::function_ref<void(llvm::raw_ostream &)> print) {
  if (dumpDir.empty())
    return;
  llvm::SmallString<128> path(dumpDir);
  llvm::sys::path::append(path, kernel.symbol + "." + level.name + extension);
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (!error)
    print(stream);
  stream.clear_error(); // a dump that cannot be written never fails a compile
}

tl::expected<std::unique_ptr<llvm::Module>, std::string>
KernelCompiler::lower(const NamedKernelSpec &kernel, const CpuLevel &level,
                      llvm::LLVMContext &llvmContext, ObjectEmitter &emitter,
                      int64_t &scratchBytes) {
  std::string diagnostic;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &message) {
    if (diagnostic.empty() && message.getSeverity() == mlir::DiagnosticSeverity::Error)
      diagnostic = message.str();
    return mlir::success();
  });
  auto failure = [&](const char *stage) {
    return tl::unexpected(title(kernel, level) + ": " + stage + " failed: " + diagnostic);
  };
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  scratchBytes = generateKernel(*module, kernel.symbol, kernel.spec, level.tiles);
  dump(kernel, level, ".mlir", [&](llvm::raw_ostream &os) { module->print(os); });
  if (failed(mlir::verify(*module)))
    return failure("verification");
  mlir::PassManager passes(&context);
  passes.enableVerifier(false); // verified above; the conversion is checked by its target
  addLowerKernelToLLVM(passes);
  if (failed(passes.run(*module)))
    return failure("lowering");
  std::unique_ptr<llvm::Module> lowered =
      mlir::translateModuleToLLVMIR(*module, llvmContext, kernel.symbol);
  if (!lowered)
    return failure("translation");
  emitter.optimize(*lowered);
  dump(kernel, level, ".ll", [&](llvm::raw_ostream &os) { lowered->print(os, nullptr); });
  return lowered;
}

tl::expected<CompiledKernel, std::string> KernelCompiler::compile(const NamedKernelSpec &kernel,
                                                                  const CpuLevel &level) {
  llvm::LLVMContext llvmContext;
  ObjectEmitter emitter(level);
  CompiledKernel result;
  auto module = lower(kernel, level, llvmContext, emitter, result.scratchBytes);
  if (!module)
    return tl::unexpected(module.error());
  if (!dumpDir.empty()) {
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(**module);
    dump(kernel, level, ".s", [&](llvm::raw_ostream &os) { os << emitter.assembly(*copy); });
  }
  result.object = emitter.object(**module);
  std::vector<std::string> imports =
      importsOf(llvm::StringRef(result.object.data(), result.object.size()));
  if (!imports.empty())
    return tl::unexpected(title(kernel, level) + ": needs '" + imports.front() +
                          "', but kernels may not import anything");
  return result;
}

tl::expected<std::string, std::string> KernelCompiler::assemble(const NamedKernelSpec &kernel,
                                                                const CpuLevel &level) {
  llvm::LLVMContext llvmContext;
  ObjectEmitter emitter(level);
  int64_t scratchBytes = 0;
  auto module = lower(kernel, level, llvmContext, emitter, scratchBytes);
  if (!module)
    return tl::unexpected(module.error());
  return emitter.assembly(**module);
}

} // namespace grok::compiler
