// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The shard phase from top to bottom, and its registration.
#include "passes/sharding/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace grok::generated {
#define GEN_PASS_REGISTRATION
#include "passes/sharding/Passes.h.inc"
} // namespace grok::generated

void grok::buildPartitionPipeline(OpPassManager &pipeline) {
  pipeline.addPass(createAnnotateSharding());
  pipeline.addPass(createCheckSharding());
  pipeline.addPass(createPartition());
  pipeline.addPass(createOptimizeCollectives());
  pipeline.addPass(createSplitStages());
}

void grok::buildShardingPipeline(OpPassManager &pipeline, llvm::StringRef sharding) {
  SelectShardingOptions options;
  options.sharding = sharding.str();
  pipeline.addPass(createSelectSharding(options));
  buildPartitionPipeline(pipeline);
}

namespace {
struct ShardOptions : PassPipelineOptions<ShardOptions> {
  Option<std::string> sharding{*this, "sharding", llvm::cl::desc("tpN.epN.ppN.dpN"),
                               llvm::cl::init("")};
};
} // namespace

void grok::registerShardingPasses() {
  generated::registerShardingPasses();
  PassPipelineRegistration<ShardOptions>("grok-shard",
                                         "Turn a model into the local programs of its ranks",
                                         [](OpPassManager &pipeline, const ShardOptions &options) {
                                           buildShardingPipeline(pipeline, options.sharding);
                                         });
}
