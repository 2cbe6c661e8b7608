// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From an LLVM module to a processor's code: what all targets share.
#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>

namespace grok::compiler {

/// LLVM's code generator of `triple` for one processor. Products and sums that a
/// generator kept apart round apart.
std::unique_ptr<llvm::TargetMachine> machineFor(const char *triple, llvm::StringRef processor,
                                                llvm::StringRef features);

/// Sets the target on `module` and optimises it in place. Loops stay as generated:
/// none is unrolled, made of vectors or replaced by a call.
void optimizeKernels(llvm::TargetMachine &machine, llvm::Module &module);

/// What `machine` makes of an optimised module: an object file or assembly.
llvm::SmallVector<char, 0> emitKernels(llvm::TargetMachine &machine, llvm::Module &module,
                                       llvm::CodeGenFileType type);

} // namespace grok::compiler
