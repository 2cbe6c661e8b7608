// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// sample: the tokens of the host's sampler, for any number of blocks and in any order of
// threads.
#include "compiler/targets/nvidia/generators/SampleMemory.h"
#include "runtime/sampler/Sampler.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

#include <gtest/gtest.h>
#include <limits>

namespace grok::compiler::testing {

using runtime::Sampler;

static constexpr float infinity = std::numeric_limits<float>::infinity();

namespace {

/// Rows of logits, and how their tokens are drawn.
struct Rows {
  Rows(int64_t vocab, int64_t rows)
      : vocab(vocab), stride((vocab + 15) / 16 * 16), logits(Buffer::ofWords(rows * stride)) {
    // What stands beyond the vocabulary does not matter.
    std::fill_n(logits.floats(), rows * stride, infinity);
  }
  std::span<float> row(size_t number) const {
    return {logits.floats() + static_cast<int64_t>(number) * stride, static_cast<size_t>(vocab)};
  }
  /// Makes the next row random.
  std::span<float> add(const GrokDraw &draw, float deviation = 3) {
    std::normal_distribution<float> normal(0, deviation);
    draws.push_back(draw);
    for (float &logit : row(draws.size() - 1))
      logit = normal(random);
    return row(draws.size() - 1);
  }

  int64_t vocab, stride;
  Buffer logits;
  std::vector<GrokDraw> draws;
  std::mt19937 random = reproducible(31);
};

} // namespace

static void expectTokensOfHost(const Rows &rows) {
  const auto count = static_cast<int64_t>(rows.draws.size());
  KernelSpec spec;
  spec.op = KernelOp::sample;
  spec.vocab = rows.vocab;
  spec.out = rows.stride;
  spec.maxRows = count;
  GpuKernel kernel(spec);
  EXPECT_TRUE(kernel.shape().isCooperative);
  EXPECT_LE(kernel.shape().scratchBytes, sampleScratchBytes(rows.vocab, count));
  Step step = Step::ofRows(count);
  step.draws = rows.draws;
  for (const GpuLaunch &launch : everyLaunch()) {
    Buffer tokens = Buffer::ofWords(count);
    kernel.run({rows.logits, tokens}, step, launch);
    for (size_t i = 0; i < rows.draws.size(); ++i) {
      std::vector<float> weights;
      EXPECT_EQ(tokens.words()[i], runtime::drawToken(rows.row(i), rows.draws[i], weights))
          << "row " << i << ", " << nameOf(launch);
    }
  }
}

static GrokDraw drawOf(double temperature, double topP, uint64_t random) {
  GrokDraw draw = Sampler({.temperature = temperature, .topP = topP}).nextDraw();
  draw.random = random;
  return draw;
}

static constexpr GrokDraw greedy{grokDrawTop, 0, 0, 0};
static constexpr uint64_t ends[] = {0, ~uint64_t(0)};

TEST(GpuSample, takesTheLargestLogit) {
  Rows rows(2600, 4);
  std::ranges::fill(rows.add(greedy), -7.5f); // the lowest of all
  std::span<float> tied = rows.add(greedy);
  tied[2599] = tied[1500] = tied[1030] = 40;
  std::span<float> zeros = rows.add(greedy);
  std::ranges::fill(zeros, -1e-30f);
  zeros[1100] = -0.0f; // equal
  zeros[40] = zeros[2100] = 0;
  rows.add(greedy)[2599] = 50;
  expectTokensOfHost(rows);
}

TEST(GpuSample, drawsAtATemperature) {
  Rows rows(1500, 8);
  for (double temperature : {1e-300, 0.3, 1.0, 1e308})
    for (uint64_t random : {uint64_t(0x9e3779b97f4a7c15), ~uint64_t(0)})
      rows.add(drawOf(temperature, 1, random));
  rows.row(7)[0] = 3e38f; // differences that are not finite
  rows.row(7)[1] = -3e38f;
  expectTokensOfHost(rows);
}

TEST(GpuSample, drawsFromTheNucleus) {
  Rows rows(1500, 10);
  for (double topP : {1e-300, 0.1, 0.5, 0.9, 0.999})
    for (uint64_t random : ends)
      rows.add(drawOf(1, topP, random));
  expectTokensOfHost(rows);
}

TEST(GpuSample, keepsTies) {
  Rows rows(1100, 4);
  for (double topP : {0.3, 0.9})
    for (uint64_t random : ends) {
      std::span<float> row = rows.add(drawOf(0.8, topP, random), 1);
      row[5] = row[77] = row[1050] = 12;
      row[3] = row[1099] = 11.9f;
    }
  expectTokensOfHost(rows);
}

TEST(GpuSample, rowsDrawInTheirOwnWays) {
  Rows rows(50, 6);
  rows.add(greedy);
  rows.add(drawOf(0.7, 0.8, uint64_t(1) << 63));
  rows.add(drawOf(2, 1, uint64_t(3) << 62));
  rows.add(drawOf(2, 0.99, 12345));
  rows.add(greedy);
  rows.add(drawOf(0.01, 0.9, ~uint64_t(0)));
  expectTokensOfHost(rows);
}

TEST(GpuSample, namesTheFirstLogitThatIsNotFinite) {
  Rows rows(1027, 3);
  for (const GrokDraw &draw : {greedy, drawOf(1, 1, 7), drawOf(1, 0.9, 7)}) {
    std::span<float> row = rows.add(draw);
    row[1026] = infinity;
    row[rows.draws.size() == 1 ? 1025 : 600] = std::nanf("");
    row[700 + rows.draws.size()] = -infinity;
  }
  expectTokensOfHost(rows);
}

} // namespace grok::compiler::testing
