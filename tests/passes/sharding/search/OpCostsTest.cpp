// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The search's costs of ops against the CostInterface of the fused graph.
#include "passes/sharding/search/OpCosts.h"
#include "compiler/planning/ShapeOf.h"
#include "dialects/grok/GrokDialect.h"
#include "frontends/graph/BuildGraph.h"
#include "frontends/graph/CheckpointTensors.h"
#include "passes/fusion/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringMap.h"
#include "gtest/gtest.h"

using namespace grok;
using planning::shapeOf;

namespace {

using Sums = std::map<std::string, std::array<double, 4>>; // weights, activations, cache, flops

void add(Sums &sums, const search::OpCost &cost, double count) {
  std::array<double, 4> &sum = sums[std::string(cost.op)];
  sum[0] += count * cost.weightBytes;
  sum[1] += count * cost.activationBytes;
  sum[2] += count * cost.cacheBytes;
  sum[3] += count * cost.flops;
}

Sums sumsOfSearch(const graph::ModelConfig &config, const std::string &weights, int64_t rows,
                  int64_t context) {
  const search::ModelShape model = shapeOf(config);
  const search::LocalShape local(model, {});
  const search::WeightFormat format = *search::weightFormatNamed(weights);
  search::Workload workload;
  workload.cacheElementBits = 32;
  const search::OpCosts costs(local, format, workload);
  const search::Step step = {.rows = rows,
                             .cacheReads = double(rows),
                             .context = context,
                             .logitRows = rows,
                             .distinctExperts =
                                 double(std::min(model.experts, rows * model.selectedExperts)),
                             .pairs = double(rows * model.selectedExperts)};
  Sums sums;
  for (const search::OpCost &cost : costs.embed(step))
    add(sums, cost, 1);
  add(sums, costs.firstNorm(step), 1);
  for (const search::OpCost &cost : costs.layer(step))
    add(sums, cost, double(model.layers));
  for (const search::OpCost &cost : costs.head(step))
    add(sums, cost, 1);
  return sums;
}

Sums sumsOfGraph(const graph::ModelConfig &config, graph::WeightForm form, int64_t rows,
                 int64_t context) {
  mlir::MLIRContext context_;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      graph::buildGraph(context_, config, graph::expectedTensors(config, form), {});
  mlir::PassManager manager(&context_);
  buildFusionPipeline(manager);
  EXPECT_TRUE(succeeded(manager.run(*module)));
  Sums sums;
  module->walk([&](CostInterface op) {
    const Cost cost = op.getCost(rows, context);
    if (!mlir::isa<WeightOp>(op))
      add(sums,
          {.op = op->getName().getStringRef(),
           .weightBytes = double(cost.weightBytes),
           .activationBytes = double(cost.activationBytes),
           .cacheBytes = double(cost.cacheBytes),
           .flops = double(cost.flops)},
          1);
  });
  return sums;
}

void expectEqual(const graph::ModelConfig &config, const std::string &weights,
                 graph::WeightForm form) {
  for (auto [rows, context] : {std::pair<int64_t, int64_t>{1, 1}, {3, 100}, {512, 8192}})
    EXPECT_EQ(sumsOfSearch(config, weights, rows, context),
              sumsOfGraph(config, form, rows, context))
        << config.name << ", " << weights << ", " << rows << " rows";
}

/// A small model whose sizes are all different.
graph::ModelConfig smallModel() {
  graph::ModelConfig config = *graph::findPreset("grok-1");
  config.name = "small";
  config.vocabSize = 320;
  config.embSize = 96;
  config.numLayers = 3;
  config.numQHeads = 6;
  config.numKvHeads = 2;
  config.keySize = 16;
  config.ffnSize = 256;
  config.modelShardsOfInt8Scales = 2;
  return config;
}

} // namespace

TEST(OpCosts, EqualThoseOfTheGraphOfGrok1) {
  expectEqual(*graph::findPreset("grok-1"), "int8", graph::WeightForm::int8);
}

TEST(OpCosts, EqualThoseOfASmallGraph) {
  expectEqual(smallModel(), "int8", graph::WeightForm::int8);
  expectEqual(smallModel(), "f32", graph::WeightForm::floating);
}

TEST(OpCosts, RanksTogetherHoldTheModelOnce) {
  const search::ModelShape model = shapeOf(*graph::findPreset("grok-1"));
  const search::WeightFormat format = *search::weightFormatNamed("int8");
  const search::Workload workload;
  const auto weightsOf = [&](const search::Sharding &sharding) {
    const search::LocalShape local(model, sharding);
    const search::OpCosts costs(local, format, workload);
    return double(model.layers) * costs.layerWeightBytes() + costs.tableBytes();
  };
  const double whole = weightsOf({});
  // Norms and router are on every rank: less than a thousandth.
  EXPECT_NEAR(8 * weightsOf({.tp = 8, .stageLayers = {}}), whole, 1e-3 * whole);
  EXPECT_GT(16 * weightsOf({.tp = 16, .stageLayers = {}}), whole + 64 * 2 * 6144 * 1024)
      << "keys and values of a head are on two ranks";
}

TEST(OpCosts, PartsThatAreNotEqualAreFilledUp) {
  search::ModelShape model = shapeOf(smallModel());
  model.queryHeads = model.keyValueHeads = 3;
  const search::LocalShape local(model, {3, 1, 1, 1, {}});
  EXPECT_EQ(local.hidden, 96) << "256 columns in three parts of whole panels";
  EXPECT_EQ(local.tokens, 112) << "320 tokens";
  EXPECT_EQ(local.queryColumns, 16);
  // Row groups of 128 rows do not lie on parts of 96: scales for every 32 rows.
  const search::WeightFormat format = *search::weightFormatNamed("int8");
  const search::Workload workload;
  const search::OpCosts costs(local, format, workload);
  for (const search::OpCost &cost : costs.layer({.rows = 1, .distinctExperts = 1, .pairs = 1}))
    if (cost.op == "grok.fused_down_combine")
      EXPECT_EQ(cost.weightBytes, 96 * 96 + 2 * 96 * 96 / 32);
}
