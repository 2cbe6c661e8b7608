// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/ObjectEmitter.h"

#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include <mutex>

namespace grok::compiler {

using namespace llvm;

static const Target &x86Target(const Triple &triple) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  std::string error;
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    report_fatal_error("LLVM was built without its X86 target");
  return *target;
}

ObjectEmitter::ObjectEmitter(const CpuLevel &level) : level(level) {
  Triple triple("x86_64-unknown-linux-gnu");
  TargetOptions options;
  // Products and sums that the generator kept apart must round apart.
  options.AllowFPOpFusion = FPOpFusion::Strict;
  machine.reset(x86Target(triple).createTargetMachine(triple, level.processor, level.attributes,
                                                      options, Reloc::PIC_, CodeModel::Small,
                                                      CodeGenOptLevel::Aggressive));
}

static void setAttributes(Function &function, const CpuLevel &level) {
  function.addFnAttr("target-cpu", level.processor);
  if (!level.attributes.empty())
    function.addFnAttr("target-features", level.attributes);
  // Without these, v4 would split every vector in two.
  function.addFnAttr("prefer-vector-width", "512");
  function.addFnAttr("min-legal-vector-width", "512");
  // Loops stay loops: nothing may become a call of memcpy or memset.
  function.addFnAttr("no-builtins");
  function.addFnAttr(Attribute::NoUnwind);
}

void ObjectEmitter::optimize(Module &module) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  for (Function &function : module)
    if (!function.isDeclaration())
      setAttributes(function, level);

  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
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
}

void ObjectEmitter::emit(Module &module, raw_pwrite_stream &to, CodeGenFileType type) {
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, to, /*DwoOut=*/nullptr, type))
    report_fatal_error("LLVM cannot emit x86 code of this type");
  passes.run(module);
}

SmallVector<char, 0> ObjectEmitter::object(Module &module) {
  SmallVector<char, 0> bytes;
  raw_svector_ostream stream(bytes);
  emit(module, stream, CodeGenFileType::ObjectFile);
  return bytes;
}

std::string ObjectEmitter::assembly(Module &module) {
  SmallString<0> text;
  raw_svector_ostream stream(text);
  emit(module, stream, CodeGenFileType::AssemblyFile);
  return text.str().str();
}

std::vector<std::string> importsOf(StringRef object) {
  auto file = object::ObjectFile::createObjectFile(MemoryBufferRef(object, "kernel"));
  if (!file) {
    consumeError(file.takeError());
    return {"(unreadable object)"};
  }
  std::vector<std::string> imports;
  for (const object::SymbolRef &symbol : (*file)->symbols()) {
    // Written by LLVM a moment ago: its symbols can be read.
    bool isDefined = !(cantFail(symbol.getFlags()) & object::SymbolRef::SF_Undefined);
    StringRef name = cantFail(symbol.getName());
    if (!isDefined && !name.empty()) // the first entry of every table is nameless
      imports.push_back(name.str());
  }
  return imports;
}

} // namespace grok::compiler
