// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/kernels/CacheHarness.h"

#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

struct AttentionCase {
  int64_t qHeads, kvHeads, headDim, pageTokens;
  Numerics numerics = Numerics::f32;
  CacheElement kv = CacheElement::f32;
  double softcap = 30;
};

// One query head's output, computed in double.
struct ExpectedOutput {
  std::vector<double> values, bounds;
};

class AttentionKernel : public ::testing::TestWithParam<std::string> {
protected:
  static KernelSpec specOf(const AttentionCase &c) { return attentionSpec(c, 800); }
  static CachePool filledCache(const KernelSpec &spec, int64_t sequences, double padShare);
  static ExpectedOutput expectedOf(const KernelSpec &spec, const CachePool &cache,
                                   const float *query, int64_t sequence, int64_t position,
                                   int64_t kvHead);
  void check(const AttentionCase &c, double padShare);
};

CachePool AttentionKernel::filledCache(const KernelSpec &spec, int64_t sequences, double padShare) {
  CachePool cache(spec, sequences, 1);
  std::mt19937 random = reproducible(51);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::uniform_real_distribution<double> uniform;
  std::uniform_int_distribution<int> codes(-127, 127);
  std::uniform_real_distribution<float> scales(0.005f, 0.03f);
  bool isRounded = spec.kv == CacheElement::bf16 || spec.numerics == Numerics::bf16;
  auto draw = [&] {
    if (hasCodes(spec.kv))
      return static_cast<float>(codes(random));
    return isRounded ? roundedToBf16(normal(random)) : normal(random);
  };
  for (int64_t sequence = 0; sequence < sequences; ++sequence)
    for (int64_t position = 0; position < spec.maxContext; ++position) {
      cache.keep(sequence, position) = uniform(random) < padShare ? 0.0f : 1.0f;
      for (int64_t head = 0; head < spec.kvHeads; ++head) {
        float keyFactor = hasCodes(spec.kv) ? 1 : 2;
        for (int64_t d = 0; d < spec.headDim; ++d) {
          cache.setKey(sequence, head, position, d, keyFactor * draw());
          cache.setValue(sequence, head, position, d, draw());
        }
        if (hasCodes(spec.kv))
          cache.setScales(sequence, head, position, 2 * scales(random), scales(random));
      }
    }
  return cache;
}

// A score is a dot product, two products, a quotient, tanh (3 ulp) and a product;
// an error of at most `shift` in every score changes a weight by a factor of at
// most e^(2 shift). Weighted sums then round once per key of a slice, per slice
// and in the softmax's own steps. bf16 numerics round dot products, weights and
// outputs to 8 bits.
ExpectedOutput AttentionKernel::expectedOf(const KernelSpec &spec, const CachePool &cache,
                                           const float *query, int64_t sequence, int64_t position,
                                           int64_t kvHead) {
  const bool isBf16 = spec.numerics == Numerics::bf16;
  std::vector<double> scores;
  double highest = -1e300, shift = 0;
  for (int64_t key = 0; key <= position; ++key) {
    double dot = 0, magnitude = 0;
    for (int64_t d = 0; d < spec.headDim; ++d) {
      double product = query[d] * cache.key(sequence, kvHead, key, d);
      dot += product, magnitude += std::fabs(product);
    }
    double error = std::ldexp(magnitude * static_cast<double>(spec.headDim + 3), -24) +
                   (isBf16 ? std::ldexp(std::fabs(dot), -8) : 0);
    shift = std::max(shift, error * spec.multiplier + std::ldexp(6 * 30.0, -24));
    double score = dot * spec.multiplier;
    if (spec.softcap != 0)
      score = spec.softcap * std::tanh(score / spec.softcap);
    scores.push_back(cache.keep(sequence, key) == 0 ? -1e30 : score);
    highest = std::max(highest, scores.back());
  }
  double total = 0;
  for (double &score : scores)
    total += score = std::exp(score - highest);
  const int64_t roundings = spec.keySlice + position / spec.keySlice + 18;
  double relative = std::expm1(2 * shift) + std::ldexp(static_cast<double>(roundings), -24);
  if (isBf16)
    relative += std::ldexp(1.0, -8);
  ExpectedOutput expected;
  for (int64_t d = 0; d < spec.headDim; ++d) {
    double sum = 0, magnitude = 0;
    for (int64_t key = 0; key <= position; ++key) {
      double product = scores[key] / total * cache.value(sequence, kvHead, key, d);
      sum += product, magnitude += std::fabs(product);
    }
    expected.values.push_back(sum);
    expected.bounds.push_back(relative * magnitude + (isBf16 ? std::ldexp(std::fabs(sum), -8) : 0));
  }
  return expected;
}

void AttentionKernel::check(const AttentionCase &c, double padShare) {
  KernelSpec spec = specOf(c);
  CachePool cache = filledCache(spec, 2, padShare);
  Step step = Step::ofRows(7);
  step.positions = {0, 15, 255, 256, 300, 511, 777};
  step.sequences = {0, 1, 1, 0, 1, 0, 1};
  cache.describe(step);
  std::mt19937 random = reproducible(52);
  const int64_t qStride = c.qHeads * paddedTo16(c.headDim), columns = c.qHeads * c.headDim;
  Buffer q(7 * qStride * 4), o(7 * paddedTo16(columns) * 4), alone(o.size());
  for (int64_t row = 0; row < 7; ++row) {
    Buffer heads = randomRows(random, c.qHeads, c.headDim, c.numerics == Numerics::bf16, 2.0f);
    std::memcpy(q.floats() + row * qStride, heads.data(), heads.size());
  }
  std::fill_n(o.floats(), o.size() / 4, 1e30f); // padding must be written too
  LoadedKernels kernels({{"attention", spec}}, GetParam());
  kernels.run("attention", {q.data(), cache.operand(), o.data()}, step, 0, 7 * c.kvHeads);
  EXPECT_TRUE(o.isGuardIntact() && cache.pool.isGuardIntact());
  for (int64_t row = 0; row < 7; ++row) {
    const float *actual = o.floats() + row * paddedTo16(columns);
    for (int64_t head = 0; head < c.qHeads; ++head) {
      ExpectedOutput expected =
          expectedOf(spec, cache, q.floats() + row * qStride + head * paddedTo16(c.headDim),
                     step.sequences[row], step.positions[row], head / (c.qHeads / c.kvHeads));
      for (int64_t d = 0; d < c.headDim; ++d)
        ASSERT_NEAR(actual[head * c.headDim + d], expected.values[d], expected.bounds[d])
            << "row " << row << " head " << head << " dimension " << d;
    }
    for (int64_t column = columns; column < paddedTo16(columns); ++column)
      ASSERT_EQ(actual[column], 0.0f);
  }
  for (int64_t row = 7; row-- > 0;)
    for (int64_t head = c.kvHeads; head-- > 0;) {
      Step one = Step::ofRows(1);
      one.positions = {step.positions[row]};
      one.sequences = {step.sequences[row]};
      cache.describe(one);
      kernels.run(
          "attention",
          {q.floats() + row * qStride, cache.operand(), alone.floats() + row * paddedTo16(columns)},
          one, head, head + 1);
    }
  EXPECT_TRUE(alone == o) << "rows alone differ";
}

TEST_P(AttentionKernel, sharedKeyHeads) { check({6, 1, 16, 32}, 0); }
TEST_P(AttentionKernel, padTokensAreMasked) { check({4, 2, 32, 16}, 0.3); }
TEST_P(AttentionKernel, nothingVisibleIsUniform) { check({2, 1, 16, 32}, 1.0); }
TEST_P(AttentionKernel, wideHeads) { check({12, 2, 128, 64}, 0.1); }
TEST_P(AttentionKernel, oddShapes) { check({3, 3, 24, 256}, 0.1); }
TEST_P(AttentionKernel, primeHeads) { check({7, 1, 90, 16}, 0.1); }
TEST_P(AttentionKernel, noCap) {
  check({4, 2, 32, 32, Numerics::f32, CacheElement::f32, /*softcap=*/0}, 0.1);
}
TEST_P(AttentionKernel, bf16Cache) {
  check({4, 2, 32, 32, Numerics::f32, CacheElement::bf16}, 0.1);
}
TEST_P(AttentionKernel, int8Cache) { check({6, 1, 128, 32, Numerics::f32, CacheElement::i8}, 0.1); }
TEST_P(AttentionKernel, int8CacheOddShapes) {
  check({3, 3, 26, 16, Numerics::f32, CacheElement::i8}, 0.3);
}
TEST_P(AttentionKernel, fp8Cache) {
  check({6, 1, 128, 32, Numerics::f32, CacheElement::e4m3}, 0.1);
}
TEST_P(AttentionKernel, fp8CacheOddShapes) {
  check({3, 3, 26, 16, Numerics::f32, CacheElement::e4m3}, 0.3);
}
TEST_P(AttentionKernel, bf16Numerics) {
  check({4, 2, 32, 32, Numerics::bf16, CacheElement::f32}, 0.1);
}
TEST_P(AttentionKernel, bf16NumericsAndCache) {
  check({6, 1, 16, 16, Numerics::bf16, CacheElement::bf16}, 0);
}

// The literal roundings, step by step. Sums in another order flip a last bit
// now and then; a missing rounding would change far more.
TEST_P(AttentionKernel, bf16RoundingsAreLiteral) {
  KernelSpec spec = specOf({4, 2, 32, 32, Numerics::bf16});
  CachePool cache = filledCache(spec, 1, 0.1);
  Step step = Step::ofRows(1);
  step.positions = {299};
  cache.describe(step);
  std::mt19937 random = reproducible(53);
  Buffer q = randomRows(random, 4, 32, true, 2.0f), o = Buffer::ofWords(128);
  LoadedKernels({{"attention", spec}}, GetParam())
      .run("attention", {q.data(), cache.operand(), o.data()}, step, 0, 2);
  int equal = 0;
  for (int64_t head = 0; head < 4; ++head) {
    std::vector<float> weights(300);
    float highest = -1e30f;
    for (int64_t key = 0; key < 300; ++key) {
      double dot = 0;
      for (int64_t d = 0; d < 32; ++d)
        dot += q.floats()[head * 32 + d] * cache.key(0, head / 2, key, d);
      float z = roundedToBf16(static_cast<float>(dot)) * static_cast<float>(spec.multiplier);
      z = 30.0f * std::tanh(z / 30.0f);
      weights[key] = cache.keep(0, key) == 0 ? -1e30f : z;
      highest = std::max(highest, weights[key]);
    }
    double total = 0;
    for (float &weight : weights)
      total += weight = std::exp(weight - highest);
    for (float &weight : weights)
      weight = roundedToBf16(weight / static_cast<float>(total));
    for (int64_t d = 0; d < 32; ++d) {
      double sum = 0;
      for (int64_t key = 0; key < 300; ++key)
        sum += weights[key] * cache.value(0, head / 2, key, d);
      equal += o.floats()[head * 32 + d] == roundedToBf16(static_cast<float>(sum));
    }
  }
  EXPECT_GE(equal, 4 * 32 * 97 / 100);
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionKernel, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
