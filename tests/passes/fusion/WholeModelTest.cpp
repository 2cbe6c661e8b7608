// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fusion phase on the graph that the frontend builds for the release.
#include "frontends/graph/BuildGraph.h"
#include "frontends/graph/CheckpointTensors.h"
#include "passes/fusion/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"
#include "gtest/gtest.h"

#include <ctime>

using namespace mlir;
using namespace grok;

namespace {

constexpr int numLayers = 64;

double cpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

llvm::StringMap<int> countOps(ModuleOp module) {
  llvm::StringMap<int> counts;
  module.walk([&](Operation *op) { ++counts[op->getName().getStringRef()]; });
  return counts;
}

/// What the function returns, each value named by the op that makes it, its
/// attributes and its operands: equal for equal graphs, however they are sorted.
SmallVector<llvm::hash_code> resultsOf(ModuleOp module) {
  llvm::DenseMap<Value, llvm::hash_code> meaning;
  SmallVector<llvm::hash_code> results;
  auto func = *module.getOps<func::FuncOp>().begin();
  for (BlockArgument argument : func.getArguments())
    meaning[argument] = llvm::hash_value(argument.getArgNumber());
  for (Operation &op : func.getOps()) {
    SmallVector<llvm::hash_code> operands;
    for (Value operand : op.getOperands())
      operands.push_back(meaning.find(operand)->second);
    if (isa<func::ReturnOp>(op))
      results = operands;
    llvm::hash_code code =
        llvm::hash_combine(op.getName(), op.getAttrDictionary(),
                           llvm::hash_combine_range(operands.begin(), operands.end()));
    for (OpResult result : op.getResults())
      meaning[result] = llvm::hash_combine(code, result.getResultNumber(), result.getType());
  }
  return results;
}

class WholeModel : public testing::TestWithParam<graph::Numerics> {
protected:
  OwningOpRef<ModuleOp> build() {
    std::optional<graph::ModelConfig> config = graph::findPreset("grok-1");
    graph::GraphOptions options;
    options.numerics = GetParam();
    return graph::buildGraph(context, *config, graph::expectedTensors(*config), options);
  }

  template <typename Populate> void run(ModuleOp module, Populate populate) {
    PassManager manager(&context);
    populate(manager);
    ASSERT_TRUE(succeeded(manager.run(module)));
  }

  MLIRContext context;
};

} // namespace

TEST_P(WholeModel, FusesEveryLayer) {
  OwningOpRef<ModuleOp> module = build();
  double start = cpuSeconds();
  run(*module, buildFusionPipeline);
  RecordProperty("cpuSeconds", std::to_string(cpuSeconds() - start));

  llvm::StringMap<int> counts = countOps(*module);
  EXPECT_EQ(counts["grok.fused_qkv"], numLayers);
  EXPECT_EQ(counts["grok.fused_residual_norm"], 2 * numLayers);
  EXPECT_EQ(counts["grok.fused_gate_up"], numLayers);
  EXPECT_EQ(counts["grok.fused_down_combine"], numLayers);
  EXPECT_EQ(counts["grok.linear"], numLayers);
  EXPECT_EQ(counts["grok.route"], numLayers);
  EXPECT_EQ(counts["grok.weight"], 12 * numLayers + 2);
  bool isLiteral = GetParam() == graph::Numerics::bf16;
  EXPECT_EQ(counts["grok.flash_attention"], isLiteral ? 0 : numLayers);
  EXPECT_EQ(counts["grok.attention"], isLiteral ? numLayers : 0);
  // The norm of layer 0 went into its projections, all others into residuals.
  EXPECT_EQ(counts["grok.rms_norm"], 0);
  int withNorm = 0;
  module->walk([&](FusedQKVOp op) { withNorm += op.getNorm() ? 1 : 0; });
  EXPECT_EQ(withNorm, 1);
}

TEST_P(WholeModel, DecomposesToThePlainOps) {
  OwningOpRef<ModuleOp> plain = build();
  OwningOpRef<ModuleOp> fused(plain->clone());
  run(*fused, buildFusionPipeline);
  run(*fused, [](OpPassManager &manager) { manager.addPass(createDecomposeFused()); });
  EXPECT_TRUE(resultsOf(*fused) == resultsOf(*plain));
  EXPECT_EQ(countOps(*fused).lookup("grok.rms_norm"), 4 * numLayers + 1);
}

TEST_P(WholeModel, KeepsTheLayerInEveryLocation) {
  OwningOpRef<ModuleOp> module = build();
  run(*module, buildFusionPipeline);
  llvm::StringMap<int> perLayer;
  module->walk([&](FusedInterface op) {
    auto name = dyn_cast<NameLoc>(op->getLoc());
    ASSERT_TRUE(name);
    ++perLayer[name.getName().getValue().split('/').first];
  });
  EXPECT_EQ(perLayer.size(), static_cast<size_t>(numLayers));
  int perLayerOps = GetParam() == graph::Numerics::bf16 ? 5 : 6; // two-pass attention is plain
  for (const auto &entry : perLayer)
    EXPECT_EQ(entry.getValue(), perLayerOps) << entry.getKey().str();
}

INSTANTIATE_TEST_SUITE_P(Numerics, WholeModel,
                         testing::Values(graph::Numerics::f32, graph::Numerics::bf16),
                         [](const auto &numerics) {
                           return numerics.param == graph::Numerics::f32 ? "f32" : "bf16";
                         });
