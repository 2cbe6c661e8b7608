// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"

#include "compiler/targets/KernelDumps.h"
#include "compiler/targets/nvidia/LowerToNVVM.h"
#include "compiler/targets/nvidia/PtxEmitter.h"
#include "compiler/targets/nvidia/emulator/EmulatorTranslation.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/PersistentKernel.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Support/raw_ostream.h"

namespace grok::compiler {

static mlir::DialectRegistry gpuDialects() {
  mlir::DialectRegistry registry;
  registerGpuKernelDialects(registry);
  return registry;
}

NvidiaKernelCompiler::NvidiaKernelCompiler(const NvidiaOptions &options, const Ptxas *assembler)
    : options(options), assembler(assembler),
      context(gpuDialects(), mlir::MLIRContext::Threading::DISABLED) {
  context.loadAllAvailableDialects();
  context.getDiagEngine().registerHandler([this](mlir::Diagnostic &message) {
    if (diagnostic.empty() && message.getSeverity() == mlir::DiagnosticSeverity::Error)
      diagnostic = message.str();
    return mlir::success();
  });
}

static tl::unexpected<std::string> failure(const std::string &symbol, const NvidiaChip &chip,
                                           const std::string &what) {
  return tl::unexpected("kernel " + symbol + " for " + chip.name + ": " + what);
}

void NvidiaKernelCompiler::dump(const Naming &naming, const char *extension,
                                llvm::function_ref<void(llvm::raw_ostream &)> print) {
  writeDump(options.dumpDir, naming.symbol + "." + naming.chip.name + extension, print);
}

tl::expected<void, std::string>
NvidiaKernelCompiler::runPasses(mlir::ModuleOp module, const Naming &naming,
                                llvm::function_ref<void(mlir::PassManager &)> add) {
  mlir::PassManager passes(&context);
  add(passes);
  if (failed(passes.run(module)))
    return failure(naming.symbol, naming.chip, "lowering failed: " + diagnostic);
  return {};
}

tl::expected<mlir::OwningOpRef<mlir::ModuleOp>, std::string>
NvidiaKernelCompiler::lower(const std::string &symbol, const NvidiaChip &chip, Generator generate,
                            GpuShape &shape) {
  diagnostic.clear();
  Naming naming{symbol, chip};
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  shape = generate(*module, symbol);
  dump(naming, ".mlir", [&](llvm::raw_ostream &os) { module->print(os); });
  if (failed(mlir::verify(*module)))
    return failure(symbol, chip, "verification failed: " + diagnostic);
  if (shape.sharedBytes > chip.sharedBytes)
    return failure(symbol, chip,
                   "needs " + std::to_string(shape.sharedBytes) + " bytes of shared memory of " +
                       std::to_string(chip.sharedBytes));
  if (auto done = runPasses(*module, naming, addLowerKernelToNVVM); !done)
    return tl::unexpected(done.error());
  dump(naming, ".nvvm.mlir", [&](llvm::raw_ostream &os) { module->print(os); });
  return module;
}

tl::expected<std::string, std::string> NvidiaKernelCompiler::emitPtx(mlir::ModuleOp lowered,
                                                                     const Naming &naming) {
  if (auto done = runPasses(lowered, naming, addLowerNVVMToLLVM); !done)
    return tl::unexpected(done.error());
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> module =
      mlir::translateModuleToLLVMIR(lowered, llvmContext, naming.symbol);
  if (!module)
    return failure(naming.symbol, naming.chip, "translation failed: " + diagnostic);
  PtxEmitter emitter(naming.chip);
  emitter.optimize(*module);
  dump(naming, ".ll", [&](llvm::raw_ostream &os) { module->print(os, nullptr); });
  // LLVM would leave a call of it in the PTX, and no driver could load that.
  std::vector<std::string> imports = importsOf(*module);
  if (!imports.empty())
    return failure(naming.symbol, naming.chip,
                   "needs '" + imports.front() + "', but kernels may not import anything");
  std::string ptx = emitter.ptx(*module);
  dump(naming, ".ptx", [&](llvm::raw_ostream &os) { os << ptx; });
  return ptx;
}

tl::expected<void, std::string> NvidiaKernelCompiler::assemble(NvidiaKernel &kernel,
                                                               const Naming &naming) {
  auto cubin = assembler->assemble(kernel.ptx, naming.chip);
  if (!cubin)
    return failure(naming.symbol, naming.chip, cubin.error());
  dump(naming, ".ptxas.txt", [&](llvm::raw_ostream &os) { os << cubin->report.text; });
  if (!options.dumpDir.empty())
    if (std::optional<std::string> sass = disassemble(cubin->image))
      dump(naming, ".sass", [&](llvm::raw_ostream &os) { os << *sass; });
  kernel.cubin = std::move(cubin->image);
  kernel.report = std::move(cubin->report);
  return {};
}

tl::expected<NvidiaKernel, std::string> NvidiaKernelCompiler::compile(const std::string &symbol,
                                                                      const NvidiaChip &chip,
                                                                      Generator generate) {
  GpuShape shape;
  auto lowered = lower(symbol, chip, generate, shape);
  if (!lowered)
    return tl::unexpected(lowered.error());
  return finish(**lowered, shape, {symbol, chip});
}

tl::expected<NvidiaKernel, std::string>
NvidiaKernelCompiler::finish(mlir::ModuleOp lowered, const GpuShape &shape, const Naming &naming) {
  NvidiaKernel kernel;
  kernel.shape = shape;
  if (options.emulate) {
    auto object = translateForEmulator(lowered, naming.symbol);
    if (!object)
      return failure(naming.symbol, naming.chip,
                     "translation for the emulator failed: " + object.error());
    kernel.emulation = {object->begin(), object->end()};
  }
  auto ptx = emitPtx(lowered, naming);
  if (!ptx)
    return tl::unexpected(ptx.error());
  kernel.ptx = std::move(*ptx);
  if (assembler)
    if (auto done = assemble(kernel, naming); !done)
      return tl::unexpected(done.error());
  return kernel;
}

tl::expected<NvidiaKernel, std::string> NvidiaKernelCompiler::compile(const NamedKernelSpec &kernel,
                                                                      const NvidiaChip &chip) {
  return compile(kernel.symbol, chip, [&](mlir::ModuleOp module, llvm::StringRef symbol) {
    return generateGpuKernel(module, symbol, kernel.spec, chip);
  });
}

tl::expected<mlir::OwningOpRef<mlir::ModuleOp>, std::string>
NvidiaKernelCompiler::lower(const NamedKernelSpec &kernel, llvm::ArrayRef<NumberedKernel> parts,
                            const NvidiaChip &chip, GpuShape &shape) {
  std::vector<PersistentPart> lowered;
  for (const NumberedKernel &part : parts) {
    NamedKernelSpec own = *part.kernel;
    own.spec.maxRows = kernel.spec.maxRows; // so few blocks may have tiles of it
    const std::string symbol = "part_" + own.symbol;
    GpuShape ownShape;
    auto module = lower(
        symbol, chip,
        [&](mlir::ModuleOp module, llvm::StringRef symbol) {
          return generateGpuKernel(module, symbol, own.spec, chip, /*isTask=*/true);
        },
        ownShape);
    if (!module)
      return tl::unexpected(module.error());
    lowered.push_back({part.number, symbol, own.spec, ownShape, std::move(*module)});
  }
  return lower(
      kernel.symbol, chip,
      [&](mlir::ModuleOp module, llvm::StringRef symbol) {
        return generatePersistentKernel(module, symbol, kernel.spec, chip, lowered);
      },
      shape);
}

tl::expected<NvidiaKernel, std::string>
NvidiaKernelCompiler::compile(const NamedKernelSpec &kernel, llvm::ArrayRef<NumberedKernel> parts,
                              const NvidiaChip &chip) {
  GpuShape shape;
  auto lowered = lower(kernel, parts, chip, shape);
  if (!lowered)
    return tl::unexpected(lowered.error());
  return finish(**lowered, shape, {kernel.symbol, chip});
}

} // namespace grok::compiler
