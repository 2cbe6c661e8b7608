// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From an LLVM module to an object file for one CPU level.
#pragma once

#include "compiler/targets/cpu/CpuLevels.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>

namespace grok::compiler {

/// Optimises and emits modules for one level. Not for use by two threads at a
/// time.
class ObjectEmitter {
public:
  explicit ObjectEmitter(const CpuLevel &level);

  /// Sets the target on `module` and optimises it in place. Loops stay as
  /// generated: the tiles are chosen already.
  void optimize(llvm::Module &module);

  llvm::SmallVector<char, 0> object(llvm::Module &module);
  std::string assembly(llvm::Module &module);

private:
  CpuLevel level;
  std::unique_ptr<llvm::TargetMachine> machine;
};

/// Names that `object` expects from elsewhere; kernels must have none.
std::vector<std::string> importsOf(llvm::StringRef object);

} // namespace grok::compiler
