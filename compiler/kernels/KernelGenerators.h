// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a specification to a function in the func, scf, arith, vector and llvm
// dialects.
#pragma once

#include "compiler/kernels/KernelBuilder.h"

namespace grok::compiler {

/// Appends the kernel `symbol` to `module` and returns its scratch bytes.
/// `spec` must be free of problems (problemIn).
int64_t generateKernel(mlir::ModuleOp module, llvm::StringRef symbol, const KernelSpec &spec,
                       const TileShape &tiles);

// One per op; each emits the body of a kernel whose frame exists.
void emitEmbed(KernelBuilder &kernel);
void emitRmsNorm(KernelBuilder &kernel);
void emitResidualNorm(KernelBuilder &kernel);
void emitQkv(KernelBuilder &kernel);
void emitAttention(KernelBuilder &kernel);
void emitLinear(KernelBuilder &kernel);
void emitUnembed(KernelBuilder &kernel);
void emitRoute(KernelBuilder &kernel);
void emitMapExperts(KernelBuilder &kernel);
void emitGroup(KernelBuilder &kernel);
void emitGateUp(KernelBuilder &kernel);
void emitDownCombine(KernelBuilder &kernel);
void emitCombine(KernelBuilder &kernel);
void emitQuantize(KernelBuilder &kernel);

} // namespace grok::compiler
