// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A golden model fed in chunks and at every level of fusion: always the same
// bits, for the interpreter's sums do not depend on either.
#include "compiler/interpreter/Feed.h"

#include "compiler/interpreter/CheckpointWeights.h"
#include "frontends/graph/BuildGraph.h"
#include "frontends/graph/CheckpointTensors.h"
#include "passes/fusion/Passes.h"

#include "mlir/Transforms/Passes.h"
#include "gmock/gmock.h"

using namespace mlir;
using namespace grok;
using namespace grok::interpreter;
using testing::HasSubstr;

namespace {

struct Variant {
  const char *set;
  const char *weights;
  graph::Numerics numerics;
};

class FeedTest : public testing::TestWithParam<Variant> {
protected:
  FeedTest() {
    std::string folder = std::string(GROKC_SOURCE_DIR "/tests/inputs/") + GetParam().set;
    config = graph::findModel(folder).value().config;
    checkpoint = graph::openCheckpoint(folder + "/" + GetParam().weights, config).value();
    module = graph::buildGraph(context, config, checkpoint->tensors(),
                               {.numerics = GetParam().numerics});
    plain = feedModel(7);
  }

  Tensor feedModel(int64_t chunk) {
    auto step = module->lookupSymbol<func::FuncOp>("step");
    return feed(step, {100, 3, 0, 200, 57, 3, 411}, chunk, weightsOf(*checkpoint)).value();
  }

  void runPasses(llvm::function_ref<void(OpPassManager &)> add) {
    PassManager passes(&context);
    add(passes);
    ASSERT_TRUE(succeeded(passes.run(*module)));
  }

  MLIRContext context;
  graph::ModelConfig config;
  std::unique_ptr<checkpoint::Checkpoint> checkpoint;
  OwningOpRef<ModuleOp> module;
  Tensor plain; // logits of the unfused module, in one step
};

} // namespace

TEST_P(FeedTest, GivesLogitsAfterEveryToken) {
  EXPECT_EQ(plain.shape, (std::vector<int64_t>{7, config.vocabSize}));
}

TEST_P(FeedTest, ChunksChangeNothing) {
  EXPECT_EQ(feedModel(1).values, plain.values);
  EXPECT_EQ(feedModel(3).values, plain.values);
}

TEST_P(FeedTest, FusionChangesNothing) {
  runPasses(buildFusionPipeline);
  EXPECT_EQ(feedModel(7).values, plain.values);
}

TEST_P(FeedTest, DecompositionChangesNothing) {
  runPasses([](OpPassManager &passes) {
    buildFusionPipeline(passes);
    passes.addPass(createDecomposeFused());
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
  });
  EXPECT_EQ(feedModel(2).values, plain.values);
}

TEST_P(FeedTest, RefusesAFunctionThatIsNoStep) {
  auto step = module->lookupSymbol<func::FuncOp>("step");
  step.setType(FunctionType::get(&context, {}, {}));
  EXPECT_THAT(feed(step, {1}, 1, weightsOf(*checkpoint)).error(),
              HasSubstr("function 'step' is not a step"));
}

INSTANTIATE_TEST_SUITE_P(Goldens, FeedTest,
                         testing::Values(Variant{"a6x1", "float", graph::Numerics::f32},
                                         Variant{"a6x1", "int8", graph::Numerics::bf16},
                                         Variant{"b4x2", "float", graph::Numerics::bf16},
                                         Variant{"b4x2", "int8", graph::Numerics::f32}),
                         [](const auto &info) {
                           return std::string(info.param.set) + info.param.weights +
                                  (info.param.numerics == graph::Numerics::bf16 ? "bf16" : "f32");
                         });
