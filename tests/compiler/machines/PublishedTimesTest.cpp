// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Known machines against published times and rates.
#include "compiler/machines/MachineFile.h"
#include "tests/passes/sharding/search/Grok1.h"

#include <gtest/gtest.h>

using namespace grok;
using namespace grok::search;

namespace {

constexpr double microsecond = 1e-6;

Machine named(const char *name) {
  const auto machine = machines::findMachine(name);
  EXPECT_TRUE(machine) << machine.error();
  return *machine;
}

/// int8 matrices and a bfloat16 table, as in the estimates below: 84.6 GB a token.
WeightFormat bytesAndHalfTable() {
  WeightFormat format = averageFormat(8, 8);
  format.table.bits = 16;
  return format;
}

Plan decode(const Machine &machine, const Sharding &sharding) {
  const ModelShape model = grok1();
  Workload workload;
  workload.context = 0;
  return CostModel(model, machine, workload).evaluate(sharding, bytesAndHalfTable(), 1);
}

} // namespace

TEST(PublishedTimes, DecodeOfOneSequenceOnEightDevices) {
  // Estimates of two digits from rounded parts, with one all-reduce time each.
  constexpr double roundedParts = 0.04;
  for (auto [name, rate] :
       {std::pair{"8xa100-80", 116.0}, {"8xh100", 180.0}, {"8xh200", 230.0}, {"8xb200", 320.0}}) {
    const Machine machine = named(name);
    EXPECT_NEAR(decode(machine, {.tp = 8, .stageLayers = {64}}).tokensPerSecond, rate,
                roundedParts * rate)
        << name;
  }
}

TEST(PublishedTimes, SixteenRanksOverTwoNodes) {
  const Machine machine = named("2x8xh100");
  const Plan wide = decode(machine, {.tp = 16, .stageLayers = {64}});
  EXPECT_NEAR(wide.tokensPerSecond, 138, 0.04 * 138) << "NCCL between the nodes";
  const Plan deep = decode(machine, {.tp = 8, .pp = 2, .stageLayers = {32, 32}});
  EXPECT_NEAR(1e3 * (wide.tokenSeconds - deep.tokenSeconds), 1.6, 0.25);
  // The all-reduce at which both would be equal: about 23 us by the weights
  // alone. Key/value weights that are on two ranks and the gather of 16 parts of
  // the logits cost 1.2 us of that.
  const double table = machine.allReduceSeconds(16, 2, 4 * 6144);
  const double equal = table - (wide.tokenSeconds - deep.tokenSeconds) / 128;
  EXPECT_NEAR(equal / microsecond, 23.4 - 1.2, 0.25);
}

TEST(PublishedTimes, AllReducesOfTheTables) {
  const Machine machine = named("8xh200");
  EXPECT_DOUBLE_EQ(machine.allReduceSeconds(8, 1, 8192), 6.0 * microsecond);
  EXPECT_DOUBLE_EQ(machine.allReduceSeconds(8, 1, 24576), 6.8 * microsecond) << "between cells";
  EXPECT_DOUBLE_EQ(machine.allReduceSeconds(8, 1, 100), 6.0 * microsecond) << "before the first";
  EXPECT_DOUBLE_EQ(machine.allReduceSeconds(1, 1, 8192), 0);
  for (double bytes = 1; bytes < 1e9; bytes *= 1.7)
    for (int64_t ranks : {2, 3, 4, 5, 8, 16})
      EXPECT_LE(machine.allReduceSeconds(ranks, 1, bytes),
                machine.allReduceSeconds(ranks, 1, 1.7 * bytes))
          << ranks << " ranks, " << bytes;
}

TEST(PublishedTimes, MoreNodesThanTheTableTakeOneStepMoreEachDoubling) {
  // NCCL over four nodes: 45.8 to 47.3 us, ten more than over two.
  Machine machine = named("2x8xh100");
  machine.nodes = 4;
  EXPECT_NEAR(machine.allReduceSeconds(32, 4, 24576) / microsecond, 46.5, 0.15 * 46.5);
  EXPECT_GT(machine.allReduceSeconds(32, 4, 24576), machine.allReduceSeconds(16, 2, 24576));
}

TEST(PublishedTimes, BitsThatOneDeviceHolds) {
  // 3.64, 3.59 and 3.49 bits an expert weight beside 2, 4 and 8 GB, with all
  // other weights in 8 bits.
  const Machine machine = named("1xh200");
  const double gigabyte = 1e9;
  for (auto [kept, bits] : {std::pair{2.0, 3.64}, {4.0, 3.59}, {8.0, 3.49}}) {
    const double all = averageFormat(bits, 8).totalBytes(grok1()) + kept * gigabyte;
    EXPECT_NEAR(all, machine.rankMemory(1), 0.01 * machine.rankMemory(1)) << kept;
  }
}
