// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include "llvm/IR/Function.h"

namespace grok::compiler {

/// Puts every tcgen05.ld (32x32b) and the tcgen05.wait::ld behind it into one piece of
/// assembly. LLVM does not know that the registers are not there before the wait, and
/// moves them around: PTX ISA, "tcgen05.ld", leaves such a use undefined.
void joinTensorLoads(llvm::Function &function);

} // namespace grok::compiler
