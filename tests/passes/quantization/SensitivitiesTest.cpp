// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Measured numbers where there are some, rules elsewhere.
#include "passes/quantization/Sensitivities.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace grok::quantization;

namespace {
class SensitivitiesTest : public testing::Test {
protected:
  SensitivitiesTest() : module(mlir::ModuleOp::create(mlir::UnknownLoc::get(&context))) {
    model.layers = 4;
  }
  Sensitivities read() { return *Sensitivities::read(*module); }
  double lossOf(ItemKind kind, int64_t layer) {
    return read().lossPerError({"", kind, layer, -1, {}}, model);
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  ModelWeights model;
};
} // namespace

TEST_F(SensitivitiesTest, RulesPutDownBeforeGateAndUpAndTheEndsBeforeTheMiddle) {
  EXPECT_FALSE(read().isMeasured());
  EXPECT_GT(lossOf(ItemKind::down, 1), lossOf(ItemKind::gateUp, 1));
  EXPECT_GT(lossOf(ItemKind::attention, 1), lossOf(ItemKind::down, 1));
  EXPECT_GT(lossOf(ItemKind::table, -1), lossOf(ItemKind::attention, 0));
  EXPECT_EQ(lossOf(ItemKind::down, 0), 2 * lossOf(ItemKind::down, 1));
  EXPECT_EQ(lossOf(ItemKind::down, 3), lossOf(ItemKind::down, 0));
}

TEST_F(SensitivitiesTest, RulesOfAllLayersDoNotDependOnTheirNumber) {
  auto sum = [&](int64_t layers) {
    model.layers = layers;
    double sum = 0;
    for (int64_t layer = 0; layer < layers; ++layer)
      sum += lossOf(ItemKind::down, layer);
    return sum;
  };
  EXPECT_NEAR(sum(4), sum(64), 1e-12); // 64 roundings of numbers below 1
}

TEST_F(SensitivitiesTest, ExpertsWithoutEntriesShareTheirItems) {
  model.weights.push_back({{}, {{8, 128, 64}, {}, {}, false}});
  WeightItem expert{"layer1.down.expert5", ItemKind::down, 1, 5, {0}};
  EXPECT_EQ(read().lossPerError(expert, model), lossOf(ItemKind::down, 1) / 8);
  setSensitivities(*module, {{"layer1.down", {0.5, {{"int4g32", 0.006}}}}});
  EXPECT_EQ(read().lossPerError(expert, model), 0.5 / 8);
  EXPECT_EQ(read().errorOf(expert, {4, 32}), 0.006);
}

TEST_F(SensitivitiesTest, ReadsBackWhatWasMeasured) {
  setSensitivities(*module, {{"layer0.down", {0.5, {{"int4g32", 0.006}}}},
                             {"layer1.down.expert0", {0.25, {}}},
                             {"layer1.down.expert1", {-0.25, {}}}});
  Sensitivities measured = read();
  EXPECT_TRUE(measured.isMeasured());
  WeightItem down{"layer0.down", ItemKind::down, 0, -1, {}};
  EXPECT_EQ(measured.lossPerError(down, model), 0.5);
  EXPECT_EQ(measured.errorOf(down, {4, 32}), 0.006);
  EXPECT_EQ(measured.errorOf(down, {4, 64}), std::nullopt);
  EXPECT_FALSE(measured.areOfExperts(down));
  EXPECT_TRUE(measured.areOfExperts({"layer1.down", ItemKind::down, 1, -1, {}}));
  // Less loss by quantising is noise.
  EXPECT_EQ(measured.lossPerError({"layer1.down.expert1", ItemKind::down, 1, 1, {}}, model), 0);
  // Nothing is known of the table.
  EXPECT_EQ(measured.lossPerError({"table", ItemKind::table, -1, -1, {}}, model),
            lossOf(ItemKind::table, -1));
}
