// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which passes make up which phase.
#include "compiler/pipeline/Phases.h"

#include "passes/fusion/Passes.h"
#include "passes/memory/Passes.h"
#include "passes/outlining/Passes.h"
#include "passes/quantization/Passes.h"
#include "passes/sharding/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

std::string_view compiler::nameOf(Phase phase) {
  static constexpr std::string_view names[] = {"import",  "quantize", "shard",   "fuse",
                                               "outline", "memory",   "kernels", "artifact"};
  return names[static_cast<int>(phase)];
}

std::optional<Phase> compiler::phaseNamed(std::string_view name) {
  for (Phase phase : allPhases)
    if (nameOf(phase) == name)
      return phase;
  return std::nullopt;
}

void compiler::addPhase(OpPassManager &passes, Phase phase, const PhaseOptions &options) {
  switch (phase) {
  case Phase::quantize: {
    SelectQuantizationOptions select;
    select.weights = options.weights;
    select.bitsPerWeight = options.bitsPerWeight;
    select.budgetBytes = options.budgetBytes;
    select.assign.assign(options.assigned.begin(), options.assigned.end());
    passes.addPass(createSelectQuantization(select));
    return;
  }
  case Phase::shard:
    if (options.sharding.machine) {
      passes.addPass(createSelectSharding(*options.sharding.machine, options.sharding.workload));
      buildPartitionPipeline(passes);
    } else if (!options.sharding.text.empty()) {
      buildShardingPipeline(passes, options.sharding.text);
    }
    return;
  case Phase::fuse:
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
    buildFusionPipeline(passes);
    passes.addPass(createQuantizeActivations({.bits = options.activationBits}));
    return;
  case Phase::outline: {
    OutlineKernelsOptions outline;
    outline.maxContext = options.maxContext;
    outline.maxStepRows = options.maxStepRows;
    outline.pageTokens = options.pageTokens;
    outline.rowAttention = options.rowAttention;
    outline.smallSteps.assign(options.smallSteps.begin(), options.smallSteps.end());
    outline.kv = options.kv;
    passes.addPass(createOutlineKernels(outline));
    return;
  }
  case Phase::memory:
    passes.addPass(createAssignMemory());
    return;
  case Phase::import:
  case Phase::kernels:
  case Phase::artifact:
    return;
  }
}

namespace {
struct ToPlanOptions : PassPipelineOptions<ToPlanOptions> {
  Option<int64_t> maxContext{*this, "max-context", llvm::cl::desc("Positions of a sequence"),
                             llvm::cl::init(8192)};
  Option<int64_t> maxStepRows{*this, "max-step-rows", llvm::cl::desc("Rows of a step"),
                              llvm::cl::init(512)};
  Option<int64_t> pageTokens{*this, "page-tokens", llvm::cl::desc("Positions of a cache page"),
                             llvm::cl::init(32)};
  Option<std::string> kv{*this, "kv", llvm::cl::desc("Cache element: f32, bf16, int8 or fp8"),
                         llvm::cl::init("f32")};
  Option<int64_t> activationBits{*this, "activation-bits",
                                 llvm::cl::desc("Of inputs of integer products: 8 or 15"),
                                 llvm::cl::init(8)};
};
} // namespace

void compiler::registerPipelines() {
  registerQuantizationPasses();
  registerFusionPasses();
  registerOutliningPasses();
  registerMemoryPasses();
  registerShardingPasses();
  PassPipelineRegistration<ToPlanOptions>("grok-to-plan",
                                          "Quantize, fuse, outline kernels and assign memory",
                                          [](OpPassManager &passes, const ToPlanOptions &chosen) {
                                            PhaseOptions options;
                                            options.maxContext = chosen.maxContext;
                                            options.maxStepRows = chosen.maxStepRows;
                                            options.pageTokens = chosen.pageTokens;
                                            options.kv = chosen.kv;
                                            options.activationBits = chosen.activationBits;
                                            for (Phase phase : allPhases)
                                              addPhase(passes, phase, options);
                                          });
}
