// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/PtxEmitter.h"

#include "compiler/targets/MachineCode.h"
#include "compiler/targets/nvidia/TensorLoads.h"

#include "llvm/Analysis/LoopInfo.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"

namespace grok::compiler {

using namespace llvm;

PtxEmitter::PtxEmitter(const NvidiaChip &chip)
    : machine(machineFor("nvptx64-nvidia-cuda", chip.name, chip.features)) {}

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
  for (Function &function : module)
    if (!function.isDeclaration())
      orderByFences(function);
  optimizeKernels(*machine, module);
  for (Function &function : module) {
    if (function.hasFnAttribute(keepLoopsAttribute))
      keepLoops(function);
    joinTensorLoads(function);
  }
}

std::string PtxEmitter::ptx(Module &module) {
  SmallVector<char, 0> text = emitKernels(*machine, module, CodeGenFileType::AssemblyFile);
  return {text.begin(), text.end()};
}

std::vector<std::string> importsOf(const Module &module) {
  std::vector<std::string> imports;
  for (const Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic())
      imports.push_back(function.getName().str());
  return imports;
}

} // namespace grok::compiler
