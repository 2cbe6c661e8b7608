// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/ObjectEmitter.h"

#include "compiler/targets/MachineCode.h"

#include "llvm/Object/ObjectFile.h"

namespace grok::compiler {

using namespace llvm;

ObjectEmitter::ObjectEmitter(const CpuLevel &level)
    : level(level),
      machine(machineFor("x86_64-unknown-linux-gnu", level.processor, level.attributes)) {}

static void setAttributes(Function &function, const CpuLevel &level) {
  function.addFnAttr("target-cpu", level.processor);
  if (!level.attributes.empty())
    function.addFnAttr("target-features", level.attributes);
  // Without these, v4 would split every vector in two.
  function.addFnAttr("prefer-vector-width", "512");
  function.addFnAttr("min-legal-vector-width", "512");
}

void ObjectEmitter::optimize(Module &module) {
  for (Function &function : module)
    if (!function.isDeclaration())
      setAttributes(function, level);
  optimizeKernels(*machine, module);
}

SmallVector<char, 0> ObjectEmitter::object(Module &module) {
  return emitKernels(*machine, module, CodeGenFileType::ObjectFile);
}

std::string ObjectEmitter::assembly(Module &module) {
  SmallVector<char, 0> text = emitKernels(*machine, module, CodeGenFileType::AssemblyFile);
  return {text.begin(), text.end()};
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
