// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include "compiler/targets/nvidia/emulator/CallBuilder.h"

namespace grok::compiler {

/// If `op` touches memory, emits what must happen before it. Returns what is
/// wrong, or nothing.
std::string checkMemoryOp(CallBuilder &calls, mlir::Operation *op);

} // namespace grok::compiler
