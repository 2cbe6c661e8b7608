// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From an LLVM module to PTX for one chip.
#pragma once

#include "compiler/targets/nvidia/Chips.h"

#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>
#include <vector>

namespace grok::compiler {

/// On functions whose loops ptxas shall not unroll.
inline constexpr const char *keepLoopsAttribute = "grok-keep-loops";

/// Optimises and emits modules for one chip. Not for use by two threads at a
/// time.
class PtxEmitter {
public:
  explicit PtxEmitter(const NvidiaChip &chip);

  /// Sets the target on `module` and optimises it in place.
  void optimize(llvm::Module &module);

  std::string ptx(llvm::Module &module);

private:
  std::unique_ptr<llvm::TargetMachine> machine;
};

/// Functions that `module` calls and nobody defines: kernels must have none.
std::vector<std::string> importsOf(const llvm::Module &module);

} // namespace grok::compiler
