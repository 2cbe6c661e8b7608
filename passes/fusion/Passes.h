// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fusion phase: plain grok ops become the ops that kernels implement.
#pragma once

#include "dialects/grok/GrokDialect.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace grok {

#define GEN_PASS_DECL
#include "passes/fusion/Passes.h.inc"

/// The whole phase, its verification included (`grok-fusion`).
void buildFusionPipeline(mlir::OpPassManager &pipeline);

/// Registers every pass of this folder and the pipeline `grok-fusion`.
void registerFusionPasses();

} // namespace grok
