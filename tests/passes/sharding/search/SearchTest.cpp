// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The search against trying everything, and its bounds against every plan.
#include "passes/sharding/search/Search.h"
#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/Bounds.h"
#include "passes/sharding/search/Families.h"
#include "passes/sharding/search/LayerParts.h"
#include "passes/sharding/search/StageTimes.h"
#include "tests/passes/sharding/search/Grok1.h"

#include <gmock/gmock.h>
#include <numeric>
#include <random>

using namespace grok::search;
using testing::HasSubstr;

namespace {

/// A model of few layers, so that all ways to deal them can be tried.
ModelShape smallModel(int64_t layers) {
  ModelShape model = grok1();
  model.name = "small";
  model.layers = layers;
  return model;
}

/// Every composition of `layers` into `stages` parts.
void forEachDeal(int64_t layers, int64_t stages, std::vector<int64_t> &deal,
                 const std::function<void()> &visit) {
  if (stages == 1) {
    deal.push_back(layers);
    visit();
    deal.pop_back();
    return;
  }
  for (int64_t first = 1; first <= layers - stages + 1; ++first) {
    deal.push_back(first);
    forEachDeal(layers - first, stages - 1, deal, visit);
    deal.pop_back();
  }
}

/// Every set of layers.
std::vector<std::vector<int64_t>> subsetsOf(int64_t layers) {
  std::vector<std::vector<int64_t>> subsets(size_t(1) << layers);
  for (size_t i = 0; i < subsets.size(); ++i)
    for (int64_t layer = 0; layer < layers; ++layer)
      if ((i >> layer & 1) != 0)
        subsets[i].push_back(layer);
  return subsets;
}

/// The least objective of the plans of one split that fit, layers dealt in every way.
double bruteForce(const CostModel &costs, const std::vector<WeightFormat> &formats,
                  Sharding sharding) {
  double best = infinity;
  if (!checkSharding(costs.model, sharding))
    return best;
  for (const WeightFormat &format : formats)
    for (int64_t count :
         microBatchChoices(sharding.pp, divideUp(costs.workload.batch, sharding.dp))) {
      if (!suitsFormats(costs.model, sharding, format))
        continue;
      forEachDeal(costs.model.layers, sharding.pp, sharding.stageLayers, [&] {
        const Plan plan = costs.evaluate(sharding, format, count);
        if (plan.fits())
          best = std::min(best, plan.objective);
      });
    }
  return best;
}

/// Of all splits, with every set of layers behind `hidden=`.
double bruteForce(const CostModel &costs, const std::vector<WeightFormat> &formats) {
  double best = infinity;
  const int64_t devices = costs.machine.devices();
  for (int64_t tp = 1; tp <= devices; ++tp)
    for (int64_t ep = 1; tp * ep <= devices; ++ep)
      for (int64_t pp = 1; tp * ep * pp <= devices; ++pp)
        for (int64_t dp = 1; tp * ep * pp * dp <= devices; ++dp)
          for (const std::vector<int64_t> &hidden : subsetsOf(costs.model.layers))
            best = std::min(best, bruteForce(costs, formats, {tp, ep, pp, dp, {}, hidden}));
  return best;
}

} // namespace

TEST(Search, FindsWhatTryingEverythingFinds) {
  const std::vector<WeightFormat> formats = {*weightFormatNamed("int8"),
                                             *weightFormatNamed("int4")};
  int cases = 0;
  for (Goal goal : {Goal::latency, Goal::firstToken})
    for (int64_t batch : {1, 5, 16})
      for (double memory : {3e9, 6e9, 1e12})
        for (int64_t perNode : {3, 4}) {
          const ModelShape model = smallModel(4);
          const Machine machine = realMachine(2, perNode, memory);
          Workload workload;
          workload.goal = goal;
          workload.batch = batch;
          const CostModel costs(model, machine, workload);
          Limits limits;
          limits.formats = formats;
          limits.top = 1; // prunes most
          const auto ranked = searchShardings(model, machine, workload, limits);
          ASSERT_TRUE(ranked) << ranked.error();
          const double best = bruteForce(costs, formats);
          const double found = ranked->plans.empty() ? infinity : ranked->plans.front().objective;
          EXPECT_DOUBLE_EQ(found, best) << batch << ' ' << memory << ' ' << perNode;
          cases += ranked->pruned.empty() ? 0 : 1;
        }
  EXPECT_GT(cases, 20) << "nearly all of them prune";
}

/// Two layers of int8 experts, one of int4 and one of both by turns, which ep8 would
/// part.
static WeightFormat mixedLayers() {
  WeightFormat format = *weightFormatNamed("int8");
  const MatrixFormat low = weightFormatNamed("int4")->experts;
  const MatrixFormat turns{.bits = 6, .scaleBytes = 2};
  format.groups = {{.layers = {0, 3}, .experts = format.experts},
                   {.layers = {1}, .experts = low},
                   {.layers = {2}, .experts = turns, .period = 2}};
  return format;
}

TEST(Search, FindsTheBestKindOfEveryGroupOfLayers) {
  const ModelShape model = smallModel(4);
  const std::vector<WeightFormat> formats = {mixedLayers()};
  int hidden = 0, whole = 0;
  for (int64_t batch : {1, 4, 64})
    for (int64_t ep : {0, 2, 8}) {
      const Machine machine = realMachine(1, 8, 1e12);
      Workload workload;
      workload.batch = batch;
      Limits limits{.formats = formats, .ep = ep, .hiddenLayers = {}};
      limits.top = 1;
      const CostModel costs(model, machine, workload);
      const auto ranked = searchShardings(model, machine, workload, limits);
      ASSERT_TRUE(ranked) << ranked.error();
      double best = infinity;
      for (const std::vector<int64_t> &layers : subsetsOf(model.layers))
        for (int64_t tp : {1, 2, 4, 8})
          for (int64_t experts : {1, 2, 4, 8})
            for (int64_t pp = 1; pp <= 4; ++pp)
              for (int64_t dp = 1; tp * experts * pp * dp <= 8; ++dp)
                if (isWanted(ep, experts))
                  best =
                      std::min(best, bruteForce(costs, formats, {tp, experts, pp, dp, {}, layers}));
      EXPECT_DOUBLE_EQ(ranked->plans.front().objective, best) << batch << ' ' << ep;
      (ranked->plans.front().sharding.hiddenLayers.empty() ? whole : hidden) += 1;
    }
  EXPECT_GT(hidden, 0);
  EXPECT_GT(whole, 0);
}

TEST(Search, LayersWhoseExpertsEpWouldPartAreHidden) {
  const ModelShape model = smallModel(4);
  const auto choices = hiddenChoices(model, 8, mixedLayers());
  EXPECT_EQ(choices.size(), 4U) << "two groups are free";
  for (const std::vector<int64_t> &layers : choices)
    EXPECT_TRUE(std::ranges::count(layers, 2)) << "experts in pairs";
  EXPECT_EQ(hiddenChoices(model, 4, mixedLayers()).size(), 8U) << "two experts a rank";
  EXPECT_EQ(hiddenChoices(model, 1, mixedLayers()).size(), 1U);
}

TEST(Search, NoPlanIsBelowItsBound) {
  std::mt19937 random(7);
  const auto pick = [&](auto... values) {
    const std::array choices = {double(values)...};
    return choices[random() % choices.size()];
  };
  for (int round = 0; round < 40; ++round) {
    ModelShape model = grok1();
    model.layers = int64_t(pick(3, 16, 64));
    Machine machine = realMachine(int64_t(pick(1, 2, 3)), int64_t(pick(2, 6, 8)), 80e9);
    machine.bandwidth *= pick(0.1, 1, 10);
    machine.peaks["bf16"] *= pick(0.01, 1, 10);
    machine.across.seconds *= pick(0, 1, 10);
    machine.sharedCores = int64_t(pick(0, 0, 4));
    machine.nodeBandwidth = machine.bandwidth * 3;
    Workload workload;
    workload.goal = std::array{Goal::latency, Goal::throughput, Goal::firstToken}[random() % 3];
    workload.batch = int64_t(pick(1, 7, 64, 1000));
    workload.prompt = int64_t(pick(1, 700, 5000));
    const CostModel costs(model, machine, workload);
    std::vector formats = {*weightFormatNamed(random() % 2 ? "int8" : "bf16")};
    if (model.layers == 3)
      formats.front().groups = {{.layers = {0, 2}, .experts = formats.front().experts},
                                {.layers = {1}, .experts = {.bits = 3}, .period = 4}};
    for (const Family &family : listFamilies(costs, {}, formats))
      for (const Plan &plan : plansOf(family, costs, {})) {
        EXPECT_GE(plan.objective * (1 + 1e-12), family.bound) << plan.sharding.text();
        EXPECT_GE(plan.memory.total() * (1 + 1e-12), family.leastBytes) << plan.sharding.text();
      }
  }
}

TEST(Search, TopIsTheSameHoweverManyAreKept) {
  const ModelShape model = grok1();
  const Machine machine = realMachine(2, 8, 80e9);
  Workload workload;
  workload.batch = 8;
  Limits few, many;
  few.top = 3;
  many.top = 1000;
  const auto first = searchShardings(model, machine, workload, few);
  const auto all = searchShardings(model, machine, workload, many);
  ASSERT_EQ(first->plans.size(), 3U);
  ASSERT_GT(all->plans.size(), 20U);
  EXPECT_LT(first->evaluated, all->evaluated);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(first->plans[i].sharding.text(), all->plans[i].sharding.text());
}

TEST(Search, AutoTakesTheMostBitsThatFit) {
  const ModelShape model = grok1();
  const Workload workload;
  const auto formatOn = [&](double memory) {
    const auto ranked = searchShardings(model, realMachine(1, 1, memory), workload, {});
    return ranked && !ranked->plans.empty() ? ranked->plans.front().format.name : "none";
  };
  EXPECT_EQ(formatOn(400e9), "int8");
  EXPECT_EQ(formatOn(200e9), "int4");
  EXPECT_THAT(formatOn(150e9), HasSubstr("int3+int4(3."));
  EXPECT_EQ(formatOn(100e9), "none");
}

TEST(Search, TiesGoToFewerRanks) {
  const ModelShape model = grok1();
  Workload workload;
  workload.batch = 1; // more replicas do nothing
  const auto ranked = searchShardings(model, realMachine(1, 8, 1e12), workload, {});
  for (const Plan &plan : ranked->plans)
    EXPECT_EQ(plan.sharding.dp, 1) << plan.sharding.text();
}

TEST(Search, GivenSizesHold) {
  const ModelShape model = grok1();
  Limits limits;
  limits.tp = 2;
  limits.pp = 4;
  const auto ranked = searchShardings(model, realMachine(1, 8, 80e9), {}, limits);
  ASSERT_TRUE(ranked);
  for (const Plan &plan : ranked->plans) {
    EXPECT_EQ(plan.sharding.tp, 2);
    EXPECT_EQ(plan.sharding.pp, 4);
  }
  limits.tp = 5;
  EXPECT_THAT(searchShardings(model, realMachine(1, 40, 80e9), {}, limits).error(),
              HasSubstr("tp5 does not divide"));
  limits.tp = 8;
  EXPECT_THAT(searchShardings(model, realMachine(1, 8, 80e9), {}, limits).error(),
              HasSubstr("takes 32 ranks, but bare has 8"));
}

TEST(Search, EveryDeviceIfAsked) {
  const ModelShape model = grok1();
  Limits limits;
  limits.usesAllDevices = true;
  limits.top = 1000;
  Workload workload;
  for (int64_t batch : {1, 4}) {
    workload.batch = batch;
    const auto ranked = searchShardings(model, realMachine(1, 6, 1e12), workload, limits);
    ASSERT_TRUE(ranked);
    EXPECT_FALSE(ranked->plans.empty());
    for (const Plan &plan : ranked->plans) {
      EXPECT_EQ(plan.sharding.ranks(), 6);
      EXPECT_LE(plan.sharding.dp, batch);
    }
  }
}

TEST(Search, LastStagesGetFewerLayers) {
  // The table's product takes as long as more than one layer at batch 1.
  const ModelShape model = grok1();
  Workload workload;
  workload.batch = 32;
  const Machine machine = realMachine(1, 8, 1e12);
  const CostModel costs(model, machine, workload);
  const Plan plan = costs.evaluate({1, 1, 8, 1, {}}, *weightFormatNamed("int8"), 32);
  const std::vector<int64_t> &layers = plan.sharding.stageLayers;
  ASSERT_EQ(layers.size(), 8U);
  EXPECT_LT(layers.back(), layers.front());
  EXPECT_EQ(std::accumulate(layers.begin(), layers.end(), int64_t(0)), 64);
}
