// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/KernelCompiler.h"

#include "compiler/kernels/KernelGenerators.h"
#include "compiler/targets/KernelDumps.h"
#include "compiler/targets/cpu/LowerToLLVM.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Export.h"
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

static std::string title(const std::string &symbol, const CpuLevel &level) {
  return "kernel " + symbol + " for " + level.name;
}

void KernelCompiler::dump(const Lowering &lowering, const char *extension,
                          llvm::function_ref<void(llvm::raw_ostream &)> print) {
  writeDump(dumpDir, lowering.symbol + "." + lowering.level.name + extension, print);
}

tl::expected<void, std::string> KernelCompiler::lower(Lowering &lowering, Generator generate) {
  std::string diagnostic;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &message) {
    if (diagnostic.empty() && message.getSeverity() == mlir::DiagnosticSeverity::Error)
      diagnostic = message.str();
    return mlir::success();
  });
  auto failure = [&](const char *stage) {
    return tl::unexpected(title(lowering.symbol, lowering.level) + ": " + stage +
                          " failed: " + diagnostic);
  };
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  lowering.scratchBytes = generate(*module, lowering.symbol);
  dump(lowering, ".mlir", [&](llvm::raw_ostream &os) { module->print(os); });
  if (failed(mlir::verify(*module)))
    return failure("verification");
  mlir::PassManager passes(&context);
  passes.enableVerifier(false); // verified above; the conversion is checked by its target
  addLowerKernelToLLVM(passes);
  if (failed(passes.run(*module)))
    return failure("lowering");
  lowering.module = mlir::translateModuleToLLVMIR(*module, lowering.llvmContext, lowering.symbol);
  if (!lowering.module)
    return failure("translation");
  lowering.emitter.optimize(*lowering.module);
  dump(lowering, ".ll", [&](llvm::raw_ostream &os) { lowering.module->print(os, nullptr); });
  return {};
}

tl::expected<CompiledKernel, std::string>
KernelCompiler::compile(const std::string &symbol, const CpuLevel &level, Generator generate) {
  Lowering lowering(symbol, level);
  if (auto lowered = lower(lowering, generate); !lowered)
    return tl::unexpected(lowered.error());
  dump(lowering, ".s", [&](llvm::raw_ostream &os) {
    os << lowering.emitter.assembly(*llvm::CloneModule(*lowering.module));
  });
  CompiledKernel result{lowering.emitter.object(*lowering.module), lowering.scratchBytes};
  std::vector<std::string> imports =
      importsOf(llvm::StringRef(result.object.data(), result.object.size()));
  if (!imports.empty())
    return tl::unexpected(title(symbol, level) + ": needs '" + imports.front() +
                          "', but kernels may not import anything");
  return result;
}

// Generates from a specification.
static int64_t generate(const KernelSpec &spec, const CpuLevel &level, mlir::ModuleOp module,
                        llvm::StringRef symbol) {
  return generateKernel(module, symbol, spec, level.tiles);
}

tl::expected<CompiledKernel, std::string> KernelCompiler::compile(const NamedKernelSpec &kernel,
                                                                  const CpuLevel &level) {
  return compile(kernel.symbol, level, [&](mlir::ModuleOp module, llvm::StringRef symbol) {
    return generate(kernel.spec, level, module, symbol);
  });
}

tl::expected<std::string, std::string> KernelCompiler::assemble(const NamedKernelSpec &kernel,
                                                                const CpuLevel &level) {
  Lowering lowering(kernel.symbol, level);
  auto lowered = lower(lowering, [&](mlir::ModuleOp module, llvm::StringRef symbol) {
    return generate(kernel.spec, level, module, symbol);
  });
  if (!lowered)
    return tl::unexpected(lowered.error());
  return lowering.emitter.assembly(*lowering.module);
}

} // namespace grok::compiler
