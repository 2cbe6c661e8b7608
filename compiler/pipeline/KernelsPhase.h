// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The kernels phase: specifications of the plan module to code for every target.
#pragma once

#include "compiler/artifact/PlanWriter.h"
#include "compiler/pipeline/Compile.h"

namespace grok::compiler {

/// Compiles the module's kernels for the targets of `options` and puts code, scratch
/// sizes and specification texts into `plan`. Gives a line for people: how much of
/// what was made.
Result<std::string> compileKernels(mlir::ModuleOp module, const CompileOptions &options,
                                   PlanInputs &plan);

} // namespace grok::compiler
