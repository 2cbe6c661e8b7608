// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/PtxEmitter.h"

#include "compiler/targets/nvidia/TensorLoads.h"

#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include <mutex>

namespace grok::compiler {

using namespace llvm;

static const Target &nvptxTarget(const Triple &triple) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  std::string error;
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    report_fatal_error("LLVM was built without its NVPTX target");
  return *target;
}

PtxEmitter::PtxEmitter(const NvidiaChip &chip) : chip(chip) {
  Triple triple("nvptx64-nvidia-cuda");
  TargetOptions options;
  // Products and sums that the generator kept apart must round apart.
  options.AllowFPOpFusion = FPOpFusion::Strict;
  machine.reset(nvptxTarget(triple).createTargetMachine(triple, chip.name, chip.features, options,
                                                        std::nullopt, std::nullopt,
                                                        CodeGenOptLevel::Aggressive));
}

// Tells ptxas, which unrolls loops until registers spill, to leave them.
static void keepLoops(Function &function) {
  DominatorTree dominators(function);
  LoopInfo loops(dominators);
  for (Loop *loop : loops.getLoopsInPreorder())
    loop->setLoopAlreadyUnrolled();
}

// LLVM 22 forgets the order of read-modify-writes for this target (llvm-project#179553): all
// become atom.relaxed. Fences beside them say it instead.
static void orderByFences(Function &function) {
  SmallVector<AtomicRMWInst *> ordered;
  for (Instruction &instruction : instructions(function))
    if (auto *atomic = dyn_cast<AtomicRMWInst>(&instruction))
      if (isStrongerThanMonotonic(atomic->getOrdering()))
        ordered.push_back(atomic);
  for (AtomicRMWInst *atomic : ordered) {
    const AtomicOrdering ordering = atomic->getOrdering();
    const SyncScope::ID scope = atomic->getSyncScopeID();
    atomic->setOrdering(AtomicOrdering::Monotonic);
    IRBuilder<> builder(atomic);
    if (isReleaseOrStronger(ordering))
      builder.CreateFence(AtomicOrdering::Release, scope);
    builder.SetInsertPoint(atomic->getNextNode());
    if (isAcquireOrStronger(ordering))
      builder.CreateFence(AtomicOrdering::Acquire, scope);
  }
}

void PtxEmitter::optimize(Module &module) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  for (Function &function : module)
    if (!function.isDeclaration()) {
      // Loops stay loops: nothing may become a call of memcpy or memset.
      function.addFnAttr("no-builtins");
      function.addFnAttr(Attribute::NoUnwind);
      orderByFences(function);
    }
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false; // generators unroll what they want unrolled
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  PassBuilder builder(machine.get(), tuning);
  TargetLibraryInfoImpl library(machine->getTargetTriple());
  library.disableAllFunctions();
  functions.registerPass([&] { return TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3).run(module, modules);
  for (Function &function : module) {
    if (function.hasFnAttribute(keepLoopsAttribute))
      keepLoops(function);
    joinTensorLoads(function);
  }
}

std::string PtxEmitter::ptx(Module &module) {
  SmallString<0> text;
  raw_svector_ostream stream(text);
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, /*DwoOut=*/nullptr,
                                   CodeGenFileType::AssemblyFile))
    report_fatal_error("LLVM cannot emit PTX");
  passes.run(module);
  return text.str().str();
}

std::vector<std::string> importsOf(const Module &module) {
  std::vector<std::string> imports;
  for (const Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic())
      imports.push_back(function.getName().str());
  return imports;
}

} // namespace grok::compiler
