// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The cost model against the published arithmetic of Grok-1: weights, roofs of
// batch 1, growth with the batch. Those figures have three digits, so 1 %.
#include "tests/passes/sharding/search/Grok1.h"

#include <gtest/gtest.h>

using namespace grok::search;

namespace {

constexpr double published = 0.01;

void expectNear(double value, double expected, const std::string &what) {
  EXPECT_NEAR(value, expected, published * expected) << what;
}

struct Roof {
  const char *weights;
  double experts, dense; // bits
  double totalGb, readGb;
  double a100, h100, h200; // tokens per second of eight
};

// Formats without a figure for the whole model have zero.
constexpr Roof roofs[] = {
    {"bf16", 16, 16, 631, 167.5, 96, 160, 229},
    {"int8", 8, 8, 316, 83.8, 191, 320, 458},
    {"int4 in groups of 128", 4.125, 4.125, 162.8, 43.2, 370, 620, 889},
    {"int4 experts", 4.125, 8, 165.9, 46.3, 345, 579, 829},
    {"mxfp4 experts", 4.25, 8, 171, 47.5, 337, 564, 808},
    {"nvfp4 experts", 4.5, 8, 180, 50.0, 320, 537, 769},
    {"3.5 bits", 3.5, 8, 141.8, 40.3, 397, 665, 953},
    {"3.0 bits", 3.0, 8, 122.4, 35.5, 451, 756, 1083},
    {"2.5 bits", 2.5, 8, 103.1, 30.6, 523, 875, 1254},
};

Workload emptyContext(int64_t batch) {
  Workload workload;
  workload.batch = batch;
  workload.context = 0;
  return workload;
}

double roofOf(double bandwidth, const WeightFormat &format, int64_t batch = 1) {
  const ModelShape model = grok1();
  const Machine machine = bareMachine(8, bandwidth);
  const Workload workload = emptyContext(batch);
  return double(batch) / CostModel(model, machine, workload).roofSeconds(format);
}

} // namespace

TEST(Roofline, WeightsOfGrok1) {
  EXPECT_EQ(grok1().attentionWeights(), 88080384);
  EXPECT_EQ(grok1().expertWeights(), 603979776);
  expectNear(double(grok1().matrixWeights()), 315.68e9, "all matrices");
}

TEST(Roofline, EveryFormatOnEightDevices) {
  for (const Roof &roof : roofs) {
    const WeightFormat format = averageFormat(roof.experts, roof.dense);
    expectNear(format.totalBytes(grok1()), roof.totalGb * 1e9, roof.weights);
    expectNear(2.0e12 * 8 / roofOf(2.0e12, format), roof.readGb * 1e9, roof.weights);
    expectNear(roofOf(2.0e12, format), roof.a100, roof.weights);
    expectNear(roofOf(3.35e12, format), roof.h100, roof.weights);
    expectNear(roofOf(4.8e12, format), roof.h200, roof.weights);
  }
}

TEST(Roofline, OneDeviceOfFewBits) {
  const ModelShape model = grok1();
  const Machine machine = bareMachine(1, 4.8e12);
  const Workload workload = emptyContext(1);
  const CostModel costs(model, machine, workload);
  expectNear(1 / costs.roofSeconds(averageFormat(3.5, 8)), 119, "3.5 bits");
  expectNear(1 / costs.roofSeconds(averageFormat(3.0, 8)), 135, "3.0 bits");
  expectNear(1 / costs.roofSeconds(averageFormat(2.5, 8)), 157, "2.5 bits");
}

TEST(Roofline, CollectivesOfATokenBesideTheWeights) {
  // 128 all-reduces of the given microseconds a token, nothing else.
  struct Case {
    double bandwidth, bits, microseconds, tokensPerSecond;
  };
  for (const Case &next :
       {Case{2.0e12, 8, 5, 170}, Case{3.35e12, 8, 5, 266}, Case{4.8e12, 8, 5, 354},
        Case{2.0e12, 4.125, 5, 283}, Case{3.35e12, 4.125, 5, 422}, Case{4.8e12, 4.125, 5, 542},
        Case{2.0e12, 8, 20, 128}, Case{3.35e12, 8, 20, 176}, Case{4.8e12, 8, 20, 211}}) {
    const ModelShape model = grok1();
    Machine machine = bareMachine(8, next.bandwidth);
    machine.allReduces = {{.ranks = 8,
                           .nodes = 1,
                           .bytes = 4 * 6144,
                           .algorithm = "one-shot",
                           .seconds = next.microseconds * 1e-6,
                           .source = "test"}};
    const Workload workload = emptyContext(1);
    const Plan plan = CostModel(model, machine, workload)
                          .evaluate({.tp = 8, .stageLayers = {64}}, averageFormat(next.bits, 8), 1);
    expectNear(plan.tokensPerSecond, next.tokensPerSecond,
               std::to_string(next.bandwidth) + ", " + std::to_string(next.microseconds));
  }
}

TEST(Roofline, BatchesReadMoreExperts) {
  struct Case {
    int64_t batch;
    double milliseconds;
  };
  for (const Case &next : {Case{1, 3.1}, Case{2, 5.3}, Case{4, 8.1}, Case{8, 10.6}, Case{16, 11.7}})
    // Two digits were published.
    EXPECT_NEAR(1e3 * double(next.batch) / roofOf(3.35e12, averageFormat(8, 8), next.batch),
                next.milliseconds, 0.05 + published * next.milliseconds);
  expectNear(roofOf(3.35e12, averageFormat(8, 8), 2), 378, "batch 2");
  expectNear(roofOf(3.35e12, averageFormat(8, 8), 8), 753, "batch 8");
  expectNear(roofOf(3.35e12, averageFormat(8, 8), 16), 1372, "batch 16");
  expectNear(roofOf(3.35e12, averageFormat(8, 8), 32), 2717, "batch 32");
}

TEST(Roofline, PromptsAreArithmetic) {
  // 2048 tokens are 0.34 PFLOP: 72 ms on eight H100 at 60 % of their peak.
  const ModelShape model = grok1();
  Machine machine = bareMachine(8, 1e18);
  machine.peaks = {{"bf16", 989e12}, {"f32", 67e12}};
  machine.peakShare = 0.6;
  Workload workload = emptyContext(1);
  workload.prompt = workload.stepRows = 2048;
  const Plan plan = CostModel(model, machine, workload)
                        .evaluate({.tp = 8, .stageLayers = {64}}, averageFormat(8, 8), 1);
  // We also count attention among the tokens, 4 E operations for each of a token's
  // 1024 keys on average: 1 % more. The published figure has two digits.
  EXPECT_NEAR(plan.firstTokenSeconds, 0.072 * 1.01, 0.0005 + published * 0.072);
}
