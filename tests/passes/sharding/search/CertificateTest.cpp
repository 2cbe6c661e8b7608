// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Certificates hold where they say, and the checker sees where they do not.
#include "passes/sharding/search/Checker.h"
#include "tests/passes/sharding/search/Grok1.h"

#include <gmock/gmock.h>

using namespace grok::search;
using testing::HasSubstr;

namespace {

class Certified : public testing::Test {
protected:
  Certified() {
    machine.name = "two nodes";
    machine.digest = "abc";
    machine.nodes = 2;
    machine.memoryBytes = 85e9;
    machine.bandwidthShare = 0.8;
    machine.launchSeconds = 1.5e-6;
    machine.inside = {.seconds = 2e-6, .bandwidth = 450e9};
    machine.across = {.seconds = 10e-6, .bandwidth = 47e9};
    machine.allReduces = {{4, 1, 32768, "one-shot", 5e-6, ""},
                          {8, 1, 32768, "one-shot", 8e-6, ""},
                          {16, 2, 32768, "nccl", 36e-6, ""}};
    limits.formats = {*weightFormatNamed("int8")};
  }

  Claim certifyNow() {
    const auto certificate = certify(model, machine, workload, limits);
    EXPECT_TRUE(certificate) << certificate.error();
    Claim claim{model, machine.name, machine.digest, workload, limits, {}, {}, {}};
    for (const Plan &plan : certificate->ranked.plans)
      claim.ranked.push_back({plan.sharding.text(), plan.format.name, plan.objective});
    claim.pruned = certificate->ranked.pruned;
    claim.intervals = certificate->intervals;
    return claim;
  }
  std::string errorOf(const Claim &claim) {
    const auto checked = checkClaim(claim, machine);
    return checked ? std::string() : checked.error();
  }
  static Interval &intervalOf(Claim &claim, const std::string &part) {
    return *std::ranges::find_if(claim.intervals, [&](const Interval &interval) {
      return interval.number.find(part) != std::string::npos;
    });
  }

  ModelShape model = grok1();
  Machine machine = bareMachine(8, 3.35e12);
  Workload workload;
  Limits limits;
};

} // namespace

TEST_F(Certified, HoldsForEveryGoal) {
  for (Goal goal : {Goal::latency, Goal::throughput, Goal::firstToken})
    for (int64_t batch : {1, 24}) {
      workload.goal = goal;
      workload.batch = batch;
      const Claim claim = certifyNow();
      EXPECT_FALSE(claim.pruned.empty());
      EXPECT_EQ(errorOf(claim), "") << batch;
    }
}

TEST_F(Certified, HoldsOnAllDevices) {
  limits.usesAllDevices = true;
  EXPECT_EQ(errorOf(certifyNow()), "");
}

TEST_F(Certified, HoldsWhereHiddenColumnsWin) {
  // Attention adds up inside a node, and no rank waits for the experts of another.
  Claim claim = certifyNow();
  EXPECT_EQ(claim.ranked.front().sharding, "tp8.ep2:hidden=0-63");
  EXPECT_EQ(errorOf(claim), "");
  claim.ranked.front().sharding = "tp8.ep2";
  EXPECT_THAT(errorOf(claim), HasSubstr("is none"));
  limits.hiddenLayers = std::vector<int64_t>{1, 3};
  claim = certifyNow();
  EXPECT_THAT(claim.ranked.front().sharding, HasSubstr(":hidden=1,3"));
  EXPECT_EQ(errorOf(claim), "");
  // Who claims more than was searched is caught.
  claim.limits.hiddenLayers.reset();
  EXPECT_NE(errorOf(claim), "");
}

TEST_F(Certified, AChangedCostFlipsTheChoiceWhereItSays) {
  limits.hiddenLayers = std::vector<int64_t>();
  Claim claim = certifyNow();
  EXPECT_EQ(claim.ranked.front().sharding, "tp8");
  const Interval &wide = intervalOf(claim, "16 ranks");
  ASSERT_TRUE(wide.below) << "a fast all-reduce between nodes makes wide plans the best";
  const double flip = wide.below->value / wide.value;
  const auto winnerAt = [&](double factor) {
    Machine changed = machine;
    changed.allReduces.back().seconds *= factor;
    return searchShardings(model, changed, workload, limits)->plans.front().sharding.text();
  };
  EXPECT_EQ(winnerAt(flip * 1.001), "tp8");
  EXPECT_EQ(winnerAt(flip * 0.999), wide.below->sharding);
}

TEST_F(Certified, TheCheckerRefusesWhatDoesNotHold) {
  const Claim good = certifyNow();
  Claim claim = good;
  claim.machineDigest = "abd";
  EXPECT_THAT(errorOf(claim), HasSubstr("is not the one that was searched"));

  claim = good;
  claim.ranked.erase(claim.ranked.begin());
  EXPECT_THAT(errorOf(claim), HasSubstr("is better than the choice"));

  claim = good;
  claim.ranked.front().objective *= 0.99;
  EXPECT_THAT(errorOf(claim), HasSubstr("is none"));

  claim = good;
  std::swap(claim.ranked[1], claim.ranked[3]);
  EXPECT_THAT(errorOf(claim), HasSubstr("stands behind a slower one"));

  claim = good;
  claim.pruned.front().bound *= 10;
  EXPECT_THAT(errorOf(claim), HasSubstr("less than its bound"));

  claim = good;
  Interval &moved = intervalOf(claim, "16 ranks");
  moved.below->value *= 0.98;
  EXPECT_THAT(errorOf(claim), HasSubstr("is no longer the best"));
  moved.below->value *= 1.04;
  EXPECT_THAT(errorOf(claim), HasSubstr("is still the best"));
  moved.below.reset();
  EXPECT_THAT(errorOf(claim), HasSubstr("is no longer the best"));
}

TEST_F(Certified, FlipsAreSolvedExactly) {
  // tp8 and tp16 alone: 128 all-reduces of each, and the difference of all else,
  // do not depend on the time of the 16 ranks' all-reduce.
  limits.pp = limits.ep = limits.dp = 1;
  Claim claim = certifyNow();
  const Interval &wide = intervalOf(claim, "16 ranks");
  ASSERT_TRUE(wide.below);
  EXPECT_EQ(wide.below->sharding, "tp16");
  const CostModel costs(model, machine, workload);
  const double gap = costs.evaluate({16, 1, 1, 1, {}}, limits.formats[0], 1).tokenSeconds -
                     costs.evaluate({8, 1, 1, 1, {}}, limits.formats[0], 1).tokenSeconds;
  // The first all-reduce, after the embedding, is one more.
  EXPECT_NEAR(wide.below->value, wide.value - gap / 129 / 1e-6, wide.value * 2 * flipTolerance);
}
