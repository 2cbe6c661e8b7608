// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the cost model says of single plans.
#include "passes/sharding/search/CostModel.h"
#include "tests/passes/sharding/search/Grok1.h"

#include <gtest/gtest.h>

using namespace grok::search;

TEST(CostModel, HiddenColumnsOfAllRanksWaitForNone) {
  // Every rank reads an eighth of the two experts of the row, however ep and tp share.
  const ModelShape model = grok1();
  const Machine machine = bareMachine(8, 1e12);
  const Workload workload;
  const CostModel costs(model, machine, workload);
  const WeightFormat format = *weightFormatNamed("bf16"); // no scales
  const auto expertSeconds = [&](const std::string &text) {
    return costs.evaluate(*parseSharding(text, model.layers), format, 1).token[Term::experts];
  };
  const double whole = expertSeconds("tp8");
  EXPECT_DOUBLE_EQ(expertSeconds("ep8:hidden=all"), whole);
  EXPECT_DOUBLE_EQ(expertSeconds("tp2.ep4:hidden=all"), whole);
  // Layers are added up: half of them of each kind.
  EXPECT_DOUBLE_EQ(expertSeconds("tp2.ep4:hidden=0-31"), (whole + expertSeconds("tp2.ep4")) / 2);
  EXPECT_GT(expertSeconds("tp2.ep4"), 1.5 * whole) << "one rank of four has an expert of its own";
}

TEST(CostModel, ReproducibleSumsSendTheExpertsApart) {
  const ModelShape model = grok1();
  Machine machine = realMachine(1, 8, 1e12);
  machine.allReduces = {{8, 1, 1, "linear", 1e-12, ""}, {8, 1, 1e6, "linear", 1e-6, ""}};
  Workload fast, exact;
  exact.isReproducible = true;
  const auto collectives = [&](const Workload &workload) {
    return CostModel(model, machine, workload)
        .evaluate({8, 1, 1, 1, {64}}, *weightFormatNamed("int8"), 1)
        .token[Term::collectives];
  };
  EXPECT_NEAR(collectives(exact) - collectives(fast), 64 * 4 * 6144 * 1e-12, 1e-15);
}

TEST(CostModel, RanksOfANodeShareItsBandwidth) {
  const ModelShape model = grok1();
  const Workload workload;
  const WeightFormat format = *weightFormatNamed("bf16"); // no scales
  Machine machine = bareMachine(4, 10e9);
  machine.sharedCores = 2;
  const auto expertSeconds = [&](const Sharding &sharding, double nodeBandwidth) {
    machine.nodeBandwidth = nodeBandwidth;
    return CostModel(model, machine, workload).evaluate(sharding, format, 1).token[Term::experts];
  };
  // Norms and router are on every rank: less than a thousandth.
  constexpr double replicated = 1e-3;
  const double whole = expertSeconds({1, 1, 1, 1, {64}}, 20e9);
  // Where one core reaches all of the node, whose experts are read is the same.
  const double narrow = expertSeconds({1, 1, 1, 1, {64}}, 10e9);
  EXPECT_NEAR(narrow, 2 * whole, replicated * narrow);
  for (const Sharding &sharding :
       {Sharding{2, 1, 1, 1, {64}}, {1, 2, 1, 1, {64}}, {4, 1, 1, 1, {64}}, {2, 2, 1, 1, {64}}})
    EXPECT_NEAR(expertSeconds(sharding, 10e9), narrow, replicated * narrow) << sharding.text();
  // Where it does not, two ranks wait for the one that has more of two experts: both
  // with a chance of 3/7.
  EXPECT_NEAR(expertSeconds({2, 1, 1, 1, {64}}, 20e9), whole, replicated * whole);
  EXPECT_NEAR(expertSeconds({1, 2, 1, 1, {64}}, 20e9), whole * 10 / 7, replicated * whole);
  // Three ranks on two cores: one core has two thirds of it, and up to 16 columns more.
  ModelShape three = model;
  three.keyValueHeads = three.queryHeads;
  machine.nodeBandwidth = 20e9;
  EXPECT_NEAR(CostModel(three, machine, workload)
                  .evaluate({3, 1, 1, 1, {64}}, format, 1)
                  .token[Term::experts],
              whole * 4 / 3, 2 * replicated * whole);
}

TEST(CostModel, MemoryIsThatOfTheCompiledPlan) {
  // grokc grok-1 --weights-from=none --max-context=8192: bytes of all tensors;
  // arena of 512 rows 152 MiB, and their logits.
  const ModelShape model = grok1();
  const Machine machine = realMachine(1, 1, 1e12);
  const Workload workload;
  const Plan plan = CostModel(model, machine, workload)
                        .evaluate({1, 1, 1, 1, {64}}, *weightFormatNamed("int8"), 1);
  EXPECT_EQ(int64_t(plan.memory.weights), 318256472064);
  EXPECT_DOUBLE_EQ(plan.memory.arena, 152 * 0x1p20 + 512 * 131072.0 * 4);
}
