// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// attention on caches of several sequences: the bits of the CPU kernel where sums are
// in its order, else within a derived bound; and the same bits of a row in every tile,
// launch and step.
#include "tests/compiler/kernels/CacheHarness.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

struct GpuAttentionCase {
  int64_t qHeads, kvHeads, headDim, pageTokens;
  Numerics numerics = Numerics::f32;
  CacheElement kv = CacheElement::f32;
  double softcap = 30;
  double padShare = 0.1;
  int64_t maxContext = 800;
  int64_t keySlice = 256;
};

static KernelSpec specOf(const GpuAttentionCase &c, int64_t maxRows) {
  KernelSpec spec = attentionSpec(c, c.maxContext);
  spec.maxRows = maxRows;
  spec.keySlice = c.keySlice;
  return spec;
}

static CachePool randomCache(const KernelSpec &spec, int64_t sequences, double padShare) {
  CachePool cache(spec, sequences, 1);
  std::mt19937 random = reproducible(51);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::uniform_real_distribution<double> uniform;
  std::uniform_int_distribution<int> codes(-127, 127);
  std::uniform_real_distribution<float> scales(0.005f, 0.03f);
  const bool isCode = hasCodes(spec.kv);
  auto draw = [&] { return isCode ? static_cast<float>(codes(random)) : normal(random); };
  for (int64_t sequence = 0; sequence < sequences; ++sequence)
    for (int64_t position = 0; position < spec.maxContext; ++position) {
      cache.keep(sequence, position) = uniform(random) < padShare ? 0.0f : 1.0f;
      for (int64_t head = 0; head < spec.kvHeads; ++head) {
        for (int64_t d = 0; d < spec.headDim; ++d) {
          cache.setKey(sequence, head, position, d, draw());
          cache.setValue(sequence, head, position, d, draw());
        }
        if (isCode)
          cache.setScales(sequence, head, position, scales(random), scales(random));
      }
    }
  return cache;
}

// Queries, outputs and steps of one case.
class AttentionRun {
public:
  AttentionRun(const GpuAttentionCase &c, int64_t rows, int64_t maxRows)
      : spec(specOf(c, maxRows)), cache(randomCache(spec, 3, c.padShare)), rows(rows),
        qStride(c.qHeads * paddedTo16(c.headDim)), oStride(paddedTo16(c.qHeads * c.headDim)),
        q(rows * qStride * 4) {
    std::mt19937 random = reproducible(52);
    for (int64_t row = 0; row < rows; ++row) {
      Buffer heads = randomRows(random, c.qHeads, c.headDim, false, 2.0f);
      std::memcpy(q.floats() + row * qStride, heads.data(), heads.size());
    }
  }

  Step stepOf(std::vector<int32_t> positions, std::vector<int32_t> sequences) const {
    Step step = Step::ofRows(static_cast<int64_t>(positions.size()));
    step.positions = std::move(positions);
    step.sequences = std::move(sequences);
    cache.describe(step);
    return step;
  }

  // The rows from `first` on, as many as the step has.
  Buffer onGpu(const GpuKernel &kernel, const Step &step, const GpuLaunch &launch = {},
               int64_t first = 0) const {
    const auto count = static_cast<int64_t>(step.positions.size());
    Buffer o = dirty(count);
    kernel.run({{q.floats() + first * qStride, static_cast<size_t>(count * qStride * 4)},
                {cache.operand(), cache.pool.size() - offsetOfLayer()},
                o},
               step, launch);
    EXPECT_TRUE(o.isGuardIntact());
    return o;
  }
  Buffer onCpu(const Step &step) const {
    KernelSpec whole = spec;
    whole.numerics = Numerics::f32;
    Buffer o = dirty(rows);
    LoadedKernels({{"attention", whole}}, "x86-64-v3")
        .run("attention", {q.data(), cache.operand(), o.data()}, step, 0, rows * spec.kvHeads);
    return o;
  }
  Buffer dirty(int64_t count) const {
    Buffer o(count * oStride * 4);
    std::fill_n(o.floats(), count * oStride, 1e30f); // padding must be written too
    return o;
  }
  size_t offsetOfLayer() const {
    return static_cast<uint8_t *>(cache.operand()) - cache.pool.byteData();
  }

  KernelSpec spec;
  CachePool cache;
  int64_t rows, qStride, oStride;
  Buffer q;
};

// Rows of three sequences: parts of prompts and single tokens.
static const std::vector<int32_t> manyPositions = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 250, 251, 252, 253, 254, 255, 256, 257, 258, 15, 511, 777};
static const std::vector<int32_t> manySequences = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
                                                   1, 1, 1, 1, 1, 1, 1, 2, 0, 2};
static const std::vector<int32_t> fewPositions = {300, 16, 17, 777, 0};
static const std::vector<int32_t> fewSequences = {0, 1, 1, 2, 1};

// All launches give what the CPU gives.
static void expectCpuBits(const GpuAttentionCase &c) {
  for (bool isMany : {false, true}) {
    const auto &positions = isMany ? manyPositions : fewPositions;
    AttentionRun run(c, static_cast<int64_t>(positions.size()), 512);
    Step step = run.stepOf(positions, isMany ? manySequences : fewSequences);
    Buffer expected = run.onCpu(step);
    GpuKernel kernel(run.spec);
    for (const GpuLaunch &launch : everyLaunch())
      EXPECT_TRUE(run.onGpu(kernel, step, launch) == expected) << nameOf(launch);
  }
}

TEST(GpuAttention, sharedKeyHeads) { expectCpuBits({6, 1, 16, 32}); }
TEST(GpuAttention, padTokensAreMasked) {
  expectCpuBits({4, 2, 32, 16, Numerics::f32, CacheElement::f32, 30, 0.3});
}
TEST(GpuAttention, nothingVisibleIsUniform) {
  expectCpuBits({2, 1, 16, 32, Numerics::f32, CacheElement::f32, 30, 1.0});
}
TEST(GpuAttention, oddShapes) { expectCpuBits({3, 3, 24, 256}); }
TEST(GpuAttention, primeHeads) { expectCpuBits({7, 1, 90, 16}); }
TEST(GpuAttention, noCap) { expectCpuBits({4, 2, 32, 32, Numerics::f32, CacheElement::f32, 0}); }
TEST(GpuAttention, bf16CacheOfF32) {
  expectCpuBits({4, 2, 32, 32, Numerics::f32, CacheElement::bf16});
}
TEST(GpuAttention, int8CacheOfF32) {
  expectCpuBits({6, 1, 32, 32, Numerics::f32, CacheElement::i8});
}
TEST(GpuAttention, fp8CacheOfF32) {
  expectCpuBits({6, 1, 32, 32, Numerics::f32, CacheElement::e4m3});
}
TEST(GpuAttention, fastWithF32Cache) { expectCpuBits({4, 2, 32, 32, Numerics::fast}); }
TEST(GpuAttention, moreSlicesThanAreMergedAtATime) {
  GpuAttentionCase c{2, 1, 16, 16};
  c.keySlice = 16;
  expectCpuBits(c);
}
TEST(GpuAttention, oneSlice) {
  GpuAttentionCase c{6, 2, 16, 32};
  c.maxContext = 256;
  AttentionRun run(c, 2, 8);
  Step step = run.stepOf({3, 255}, {0, 1});
  GpuKernel kernel(run.spec);
  EXPECT_EQ(kernel.shape().scratchBytes, 0);
  EXPECT_TRUE(run.onGpu(kernel, step, {2}) == run.onCpu(step));
}

// ---- tensor cores

// Of one query and head, in double, from the query in bf16.
struct Expected {
  std::vector<double> values, bounds;
};

// Products are exact. A score's sum rounds at most once per dimension, its tanh takes
// two approximations and two roundings of an argument below 128 (together below
// cap * 2^-19), and e^x as many; an error of `shift` in all scores changes a weight by a
// factor of at most e^(2 shift). Weights are then rounded to bf16, 2^-8, and summed in
// float32.
static Expected expectedOf(const AttentionRun &run, const float *query, int64_t sequence,
                           int64_t position, int64_t kvHead) {
  const KernelSpec &spec = run.spec;
  std::vector<double> scores;
  double highest = -1e300, shift = 0;
  for (int64_t key = 0; key <= position; ++key) {
    double dot = 0, magnitude = 0;
    for (int64_t d = 0; d < spec.headDim; ++d) {
      double product = roundedToBf16(query[d]) * run.cache.key(sequence, kvHead, key, d);
      dot += product, magnitude += std::fabs(product);
    }
    shift =
        std::max(shift, std::ldexp(magnitude * double(spec.headDim + 3), -24) * spec.multiplier +
                            std::ldexp(30.0, -19));
    double score = dot * spec.multiplier;
    if (spec.softcap != 0)
      score = spec.softcap * std::tanh(score / spec.softcap);
    scores.push_back(run.cache.keep(sequence, key) == 0 ? -1e30 : score);
    highest = std::max(highest, scores.back());
  }
  double total = 0;
  for (double &score : scores)
    total += score = std::exp(score - highest);
  const double roundings = std::ldexp(double(spec.keySlice + position / spec.keySlice + 18), -24);
  const double relative = std::expm1(2 * shift) + std::ldexp(1.0, -8) + roundings;
  Expected expected;
  for (int64_t d = 0; d < spec.headDim; ++d) {
    double sum = 0, magnitude = 0;
    for (int64_t key = 0; key <= position; ++key) {
      double product = scores[key] / total * run.cache.value(sequence, kvHead, key, d);
      sum += product, magnitude += std::fabs(product);
    }
    expected.values.push_back(sum);
    expected.bounds.push_back(relative * magnitude);
  }
  return expected;
}

// Near the exact result, and the same bits in every launch, for each row alone, and in
// the kernel for single rows.
static void expectNearAndRowwise(const GpuAttentionCase &c) {
  const auto rows = static_cast<int64_t>(manyPositions.size());
  AttentionRun run(c, rows, 512);
  Step step = run.stepOf(manyPositions, manySequences);
  GpuKernel kernel(run.spec);
  Buffer o = run.onGpu(kernel, step);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t head = 0; head < c.qHeads; ++head) {
      const float *query = run.q.floats() + row * run.qStride + head * paddedTo16(c.headDim);
      Expected expected = expectedOf(run, query, step.sequences[row], step.positions[row],
                                     head / (c.qHeads / c.kvHeads));
      for (int64_t d = 0; d < c.headDim; ++d)
        ASSERT_NEAR(o.floats()[row * run.oStride + head * c.headDim + d], expected.values[d],
                    expected.bounds[d])
            << "row " << row << " head " << head << " dimension " << d;
    }
  for (const GpuLaunch &launch : everyLaunch())
    EXPECT_TRUE(run.onGpu(kernel, step, launch) == o) << nameOf(launch);
  GpuKernel single(specOf(c, 1));
  for (int64_t row = 0; row < rows; row += 4) {
    Step alone = run.stepOf({step.positions[row]}, {step.sequences[row]});
    for (const GpuKernel *each : {&kernel, &single}) {
      Buffer own = run.onGpu(*each, alone, {3, grokScheduleGreedyWarp, 1}, row);
      EXPECT_EQ(std::memcmp(own.data(), o.floats() + row * run.oStride, own.size()), 0) << row;
    }
  }
}

TEST(GpuAttention, tensorCores) {
  expectNearAndRowwise({6, 1, 32, 32, Numerics::fast, CacheElement::bf16});
}
TEST(GpuAttention, tensorCoresHidePadTokens) {
  expectNearAndRowwise({4, 2, 16, 16, Numerics::fast, CacheElement::bf16, 30, 0.3});
}
TEST(GpuAttention, tensorCoresWithNothingVisible) {
  expectNearAndRowwise({2, 1, 16, 32, Numerics::fast, CacheElement::bf16, 30, 1.0});
}
TEST(GpuAttention, tensorCoresWithCodes) {
  expectNearAndRowwise({4, 2, 32, 32, Numerics::fast, CacheElement::i8});
}
TEST(GpuAttention, tensorCoresWithFp8) {
  expectNearAndRowwise({4, 2, 32, 32, Numerics::fast, CacheElement::e4m3});
}
TEST(GpuAttention, tensorCoresWithoutCap) {
  expectNearAndRowwise({3, 1, 48, 64, Numerics::fast, CacheElement::bf16, 0});
}
// Prompts of two sequences, whole and in parts that cut tiles elsewhere.
TEST(GpuAttention, tensorCoresAnyChunkOfAPrompt) {
  GpuAttentionCase c{6, 1, 16, 16, Numerics::fast, CacheElement::bf16};
  const int64_t rows = 70;
  AttentionRun run(c, rows, 512);
  std::vector<int32_t> positions, sequences;
  for (int32_t row = 0; row < rows; ++row) {
    positions.push_back(row < 43 ? 230 + row : row - 43);
    sequences.push_back(row < 43);
  }
  GpuKernel kernel(run.spec);
  Buffer o = run.onGpu(kernel, run.stepOf(positions, sequences), {3, grokScheduleRandom, 1});
  for (auto [first, end] : {std::pair(0, 5), std::pair(5, 34), std::pair(34, 51)}) {
    Step part = run.stepOf({positions.begin() + first, positions.begin() + end},
                           {sequences.begin() + first, sequences.begin() + end});
    Buffer own = run.onGpu(kernel, part, {2, grokScheduleGreedyWarp, 1}, first);
    EXPECT_EQ(std::memcmp(own.data(), o.floats() + first * run.oStride, own.size()), 0) << first;
  }
}
TEST(GpuAttention, tensorCoresWithWideHeads) {
  GpuAttentionCase c{12, 2, 128, 64, Numerics::fast, CacheElement::bf16};
  AttentionRun run(c, 3, 8);
  Step step = run.stepOf({298, 299, 300}, {0, 0, 0});
  GpuKernel kernel(run.spec), single(specOf(c, 1));
  Buffer o = run.onGpu(kernel, step, {2});
  Buffer last = run.onGpu(single, run.stepOf({300}, {0}), {2}, 2);
  EXPECT_EQ(std::memcmp(last.data(), o.floats() + 2 * run.oStride, last.size()), 0);
}

} // namespace grok::compiler::testing
