// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A module's sharding by search: the numbers that the search is given, and what
// of its plans is taken.
#include "passes/sharding/LayerKinds.h"
#include "passes/sharding/Passes.h"
#include "passes/sharding/SearchedModel.h"
#include "passes/sharding/search/Search.h"

#include "compiler/planning/ShapeOf.h"
#include "frontends/graph/BuildGraph.h"
#include "frontends/graph/CheckpointTensors.h"

#include "gmock/gmock.h"

using namespace mlir;
using namespace grok;
using testing::HasSubstr;

namespace {

class SelectShardingTest : public testing::Test {
protected:
  void build(const std::string &set, const std::string &weights) {
    std::string folder = std::string(GROKC_SOURCE_DIR "/tests/inputs/") + set;
    config = graph::findModel(folder).value().config;
    auto checkpoint = graph::openCheckpoint(folder + "/" + weights, config).value();
    module = graph::buildGraph(context, config, checkpoint->tensors(), {});
  }

  /// `devices` of one node with `memory` bytes each, so slow that reading weights
  /// is all that counts.
  static search::Machine machine(int64_t devices, double memory) {
    search::Machine machine;
    machine.name = "slow";
    machine.devicesPerNode = devices;
    machine.memoryBytes = memory;
    machine.bandwidth = 1e6;
    machine.peaks = {{"f32", 1e12}};
    machine.inside = machine.across = {1e-9, 1e12};
    return machine;
  }

  /// Experts by turns in 4 bits and a multiplier for 32 rows, 4.25 in all, and in 8.
  void storeByTurns() {
    module->walk([&](ExpertMatmulOp op) {
      auto weight = op.getWeight().getDefiningOp<WeightOp>();
      auto type = cast<RankedTensorType>(weight.getType());
      Type scale = BFloat16Type::get(&context);
      int64_t rows = type.getDimSize(1);
      auto low = FormatAttr::get(&context, 4, rows, scale, rows % 32 == 0 ? 32 : 4, 8, StringAttr(),
                                 false);
      auto high = FormatAttr::get(8, rows, scale);
      auto formats = ExpertFormatsAttr::get(&context, {low, high, low, high});
      weight.getResult().setType(
          RankedTensorType::get(type.getShape(), type.getElementType(), formats));
    });
  }

  LogicalResult select(const search::Machine &machine) {
    const ScopedDiagnosticHandler handler(&context, [this](Diagnostic &diagnostic) {
      error = diagnostic.str();
      return success();
    });
    PassManager passes(&context);
    passes.addPass(createSelectSharding(machine, {}));
    buildPartitionPipeline(passes);
    return passes.run(*module);
  }

  ShardingAttr chosen() { return (*module)->getAttrOfType<ShardingAttr>("grok.sharding"); }

  MLIRContext context;
  graph::ModelConfig config;
  OwningOpRef<ModuleOp> module;
  std::string error;
};

} // namespace

TEST_F(SelectShardingTest, TheSearchSeesTheModelOfTheConfig) {
  for (const char *set : {"a6x1", "b4x2"}) {
    build(set, "int8");
    auto shape = sharding::shapeOf(*module);
    ASSERT_TRUE(succeeded(shape));
    search::ModelShape actual = sharding::searchedModel(*module, *shape);
    search::ModelShape expected = planning::shapeOf(config);
    EXPECT_EQ(actual.name, expected.name);
    EXPECT_EQ(actual.vocabulary, expected.vocabulary);
    EXPECT_EQ(actual.width, expected.width);
    EXPECT_EQ(actual.layers, expected.layers);
    EXPECT_EQ(actual.queryHeads, expected.queryHeads);
    EXPECT_EQ(actual.keyValueHeads, expected.keyValueHeads);
    EXPECT_EQ(actual.headSize, expected.headSize);
    EXPECT_EQ(actual.hidden, expected.hidden);
    EXPECT_EQ(actual.experts, expected.experts);
    EXPECT_EQ(actual.selectedExperts, expected.selectedExperts);
  }
  EXPECT_EQ(sharding::searchedModel(*module, *sharding::shapeOf(*module)).rowGroups, 2);
}

TEST_F(SelectShardingTest, TheSearchSeesTheFormatsOfTheModule) {
  build("b4x2", "int8");
  search::WeightFormat stored = sharding::searchedFormat(*module);
  search::WeightFormat expected = search::weightFormatNamed("int8").value();
  EXPECT_EQ(stored.name, "int8");
  for (auto kind : {&search::WeightFormat::experts, &search::WeightFormat::attention,
                    &search::WeightFormat::table}) {
    EXPECT_EQ((stored.*kind).bits, (expected.*kind).bits);
    EXPECT_EQ((stored.*kind).scaleBytes, (expected.*kind).scaleBytes);
  }
  build("a6x1", "float");
  EXPECT_EQ(sharding::searchedFormat(*module).name, "f32");
}

TEST_F(SelectShardingTest, AveragesFormatsOfExperts) {
  build("b4x2", "int8");
  storeByTurns();
  const std::vector<search::ExpertGroup> groups = sharding::searchedFormat(*module).groups;
  ASSERT_EQ(groups.size(), 1U) << "the layers are alike";
  EXPECT_EQ(groups[0].period, 2);
  EXPECT_EQ(int64_t(groups[0].layers.size()), config.numLayers);
  // A third of the elements, those of down, have multipliers for 4 rows.
  EXPECT_DOUBLE_EQ(sharding::searchedFormat(*module).experts.bits, (8 + (2 * 4.25 + 6) / 3) / 2);
  EXPECT_EQ(sharding::searchedFormat(*module).name, "int4");
}

TEST_F(SelectShardingTest, TakesTheBestPlanThatCanBePartitioned) {
  build("b4x2", "int8");
  ASSERT_TRUE(succeeded(select(machine(2, 1e9)))) << error;
  EXPECT_EQ(chosen().text(), "tp2");
  // In bf16, ranks cannot share a sum; the best of what is left does without.
  build("b4x2", "int8");
  (*module)->setAttr("grok.numerics", StringAttr::get(&context, "bf16"));
  ASSERT_TRUE(succeeded(select(machine(2, 1e9)))) << error;
  EXPECT_EQ(chosen().getTp() * chosen().getEp(), 1);
  EXPECT_EQ(std::accumulate(chosen().getStages().begin(), chosen().getStages().end(), int64_t(0)),
            config.numLayers);
}

TEST_F(SelectShardingTest, HiddenColumnsWhereTheyWin) {
  // Hops and gathers take long, sums do not: ep alone has neither.
  search::Machine slow = machine(4, 1e9);
  slow.inside.seconds = 10;
  for (int64_t ranks : {2, 4})
    slow.allReduces.push_back({ranks, 1, 1, "quick", 1e-9, ""});
  for (bool isMixed : {false, true}) {
    build("b4x2", "int8");
    if (isMixed) // and ep could not split the experts at all
      storeByTurns();
    ASSERT_TRUE(succeeded(select(slow))) << error;
    EXPECT_EQ(chosen().text(), "ep4");
    std::vector<int64_t> all(size_t(config.numLayers));
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sharding::hiddenLayersOf(*module), ArrayRef<int64_t>(all));
  }
  // Nothing is left of another choice.
  build("b4x2", "int8");
  sharding::setHiddenLayers(*module, {0});
  ASSERT_TRUE(succeeded(select(machine(1, 1e9)))) << error;
  EXPECT_TRUE(sharding::hiddenLayersOf(*module).empty());
}

TEST_F(SelectShardingTest, SaysWhatIsMissing) {
  build("b4x2", "int8");
  EXPECT_TRUE(failed(select(machine(2, 1000))));
  EXPECT_THAT(error,
              HasSubstr("no sharding of the model over all 2 devices fits machine 'slow': "));
  EXPECT_THAT(error, HasSubstr("bytes on a rank of 1000"));
  EXPECT_FALSE(chosen());
}
