// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fusion phase from top to bottom, and its registration.
#include "passes/fusion/Passes.h"

#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace grok::generated {
#define GEN_PASS_REGISTRATION
#include "passes/fusion/Passes.h.inc"
} // namespace grok::generated

void grok::buildFusionPipeline(OpPassManager &pipeline) {
  // First, so that the projections find a norm of their own in layer 0 alone.
  pipeline.addPass(createFuseResidual());
  pipeline.addPass(createFuseAttention());
  pipeline.addPass(createFuseGating());
  pipeline.addPass(createFuseDownCombine());
  pipeline.addPass(createVerifyFused());
}

void grok::registerFusionPasses() {
  generated::registerFusionPasses();
  PassPipelineRegistration<>("grok-fusion", "Merge grok ops into those that kernels implement",
                             buildFusionPipeline);
}
