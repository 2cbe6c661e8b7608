// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/kernels/CacheHarness.h"
#include "tests/compiler/kernels/QuantizedReference.h"

#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

struct QkvCase {
  int64_t emb, qHeads, kvHeads, headDim;
  Element element;
  Numerics numerics;
  CacheElement kv;
  int64_t digits = 1;
};

class QkvKernel : public ::testing::TestWithParam<std::string> {
protected:
  struct Setup {
    QkvCase c;
    KernelSpec spec;
    TestMatrix wq, wk, wv;
    Buffer rope;
  };
  static Setup setUpCase(const QkvCase &c);
  static void run(const LoadedKernels &kernels, const std::string &symbol, const Setup &s,
                  const void *x, float *q, const CachePool &cache, const Step &step,
                  bool oneTileAtATime);
  static void compareRow(const Setup &s, const Step &step, int64_t row, const Buffer &x,
                         const Buffer &q, const CachePool &cache);
  void check(const QkvCase &c);
  void checkCodes(CacheElement kv);
  void checkZeros(CacheElement kv);
};

QkvKernel::Setup QkvKernel::setUpCase(const QkvCase &c) {
  KernelSpec spec = qkvSpec(c);
  spec.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics);
  spec.digits = c.digits;
  std::mt19937 random = reproducible(41);
  auto matrix = [&](int64_t heads) {
    return randomMatrix(random, c.emb, heads * c.headDim, spec.weight, c.numerics, c.headDim);
  };
  Setup s{c,
          spec,
          matrix(c.qHeads),
          matrix(c.kvHeads),
          matrix(c.kvHeads),
          Buffer(spec.maxContext * c.headDim * 4)};
  for (int64_t position = 0; position < spec.maxContext; ++position)
    for (int64_t j = 0; j < c.headDim / 2; ++j) {
      double share = static_cast<double>(2 * j) / static_cast<double>(c.headDim);
      double angle = static_cast<double>(position) / std::pow(10000.0, share);
      float *row = s.rope.floats() + position * c.headDim;
      row[j] = static_cast<float>(std::cos(angle));
      row[c.headDim / 2 + j] = static_cast<float>(std::sin(angle));
    }
  return s;
}

void QkvKernel::run(const LoadedKernels &kernels, const std::string &symbol, const Setup &s,
                    const void *x, float *q, const CachePool &cache, const Step &step,
                    bool oneTileAtATime) {
  std::vector<const void *> buffers = {x,
                                       s.wq.packed.data(),
                                       s.wq.scales.data(),
                                       s.wk.packed.data(),
                                       s.wk.scales.data(),
                                       s.wv.packed.data(),
                                       s.wv.scales.data(),
                                       s.rope.data(),
                                       q,
                                       cache.operand()};
  int64_t tiles = s.c.qHeads + 2 * s.c.kvHeads;
  if (!oneTileAtATime)
    return kernels.run(symbol, buffers, step, 0, tiles);
  for (int64_t tile = tiles; tile-- > 0;)
    kernels.run(symbol, buffers, step, tile, tile + 1);
}

// One head of one projection, with the bound of its rounding error.
struct ExpectedHead {
  std::vector<double> values, bounds;

  ExpectedHead(const QkvCase &c, const TestMatrix &matrix, const float *x, int64_t head) {
    for (int64_t d = 0; d < c.headDim; ++d) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < c.emb; ++k) {
        double product = x[k] * matrix.at(k, head * c.headDim + d);
        sum += product;
        magnitude += std::fabs(product);
      }
      values.push_back(sum);
      bounds.push_back(dotTolerance(matrix.format, c.emb, magnitude));
      round(c.numerics == Numerics::bf16, d);
    }
  }
  void round(bool isBf16, int64_t d) {
    if (isBf16)
      bounds[d] += std::ldexp(std::fabs(values[d]) + bounds[d], -8);
  }
  // Half a step, and the rounding of the number of steps. Of e4m3 a step is at most an
  // eighth of the number, and at least 2^-9.
  void quantize(CacheElement kv, double scale, int64_t d) {
    double most = std::fabs(values[d]) + bounds[d];
    if (kv == CacheElement::i8)
      bounds[d] += scale * (0.5 + 127 * std::ldexp(1.0, -22));
    else if (kv == CacheElement::e4m3)
      bounds[d] += std::max(most / 16, scale * std::ldexp(1.0, -10)) + std::ldexp(most, -22);
  }
  // Two products and a sum, each rounded.
  void rotate(const QkvCase &c, const float *rope) {
    int64_t half = c.headDim / 2;
    for (int64_t j = 0; j < half; ++j) {
      double a = values[j], b = values[j + half], cosine = rope[j], sine = rope[half + j];
      double bound =
          bounds[j] + bounds[j + half] + 3 * std::ldexp(std::fabs(a) + std::fabs(b), -24);
      values[j] = a * cosine - b * sine;
      values[j + half] = b * cosine + a * sine;
      for (int64_t d : {j, j + half}) {
        bounds[d] = bound;
        round(c.numerics == Numerics::bf16, d);
      }
    }
  }
};

void QkvKernel::compareRow(const Setup &s, const Step &step, int64_t row, const Buffer &x,
                           const Buffer &q, const CachePool &cache) {
  const QkvCase &c = s.c;
  const float *input = x.floats() + row * paddedTo16(c.emb);
  const int64_t position = step.positions[row], sequence = step.sequences[row];
  const float *rope = s.rope.floats() + position * c.headDim;
  for (int64_t head = 0; head < c.qHeads; ++head) {
    ExpectedHead expected(c, s.wq, input, head);
    expected.rotate(c, rope);
    const float *actual = q.floats() + (row * c.qHeads + head) * paddedTo16(c.headDim);
    for (int64_t d = 0; d < paddedTo16(c.headDim); ++d)
      ASSERT_NEAR(actual[d], d < c.headDim ? expected.values[d] : 0.0,
                  d < c.headDim ? expected.bounds[d] : 0.0);
  }
  for (int64_t head = 0; head < c.kvHeads; ++head) {
    ExpectedHead key(c, s.wk, input, head), value(c, s.wv, input, head);
    key.rotate(c, rope);
    for (int64_t d = 0; d < c.headDim; ++d) {
      key.round(c.kv == CacheElement::bf16, d);
      value.round(c.kv == CacheElement::bf16, d);
      key.quantize(c.kv, cache.keyScale(sequence, head, position), d);
      value.quantize(c.kv, cache.valueScale(sequence, head, position), d);
      ASSERT_NEAR(cache.key(sequence, head, position, d), key.values[d], key.bounds[d]);
      ASSERT_NEAR(cache.value(sequence, head, position, d), value.values[d], value.bounds[d]);
    }
  }
  ASSERT_EQ(cache.keep(sequence, position), step.tokens[row] > 0 ? 1.0f : 0.0f);
}

void QkvKernel::check(const QkvCase &c) {
  Setup s = setUpCase(c);
  KernelSpec gemm = s.spec;
  gemm.maxRows = 512;
  LoadedKernels kernels({{"gemv", s.spec}, {"gemm", gemm}}, GetParam());
  // Rows of two sequences, across pages, one of them a pad token.
  Step step = Step::ofRows(7);
  step.sequences = {0, 0, 0, 1, 1, 1, 1};
  step.positions = {15, 16, 17, 0, 1, 40, 63};
  step.tokens = {3, 0, 9, 1, 2, 7, 1};
  CachePool together(s.spec, 2, 1), alone(s.spec, 2, 1), split(s.spec, 2, 1);
  together.describe(step);
  std::mt19937 random = reproducible(42);
  Buffer x = randomRows(random, 7, c.emb, c.numerics == Numerics::bf16), records(0);
  const uint8_t *inputs = x.byteData();
  int64_t inputBytes = paddedTo16(c.emb) * 4;
  if (const int64_t unit = s.spec.weight.unit; readsQuantizedRows(s.spec)) {
    records = quantizedRows(x.floats(), 7, c.emb, unit, c.digits);
    x = dequantizedRows(records, 7, c.emb, unit, c.digits);
    inputs = records.byteData();
    inputBytes = plan::QuantizedRow::of(c.emb, unit, c.digits).bytes;
  }
  int64_t qRow = c.qHeads * paddedTo16(c.headDim);
  Buffer q(7 * qRow * 4), qAlone(7 * qRow * 4), qSplit(7 * qRow * 4);
  run(kernels, "gemm", s, inputs, q.floats(), together, step, false);
  for (int64_t row = 0; row < 7; ++row)
    ASSERT_NO_FATAL_FAILURE(compareRow(s, step, row, x, q, together)) << "row " << row;
  run(kernels, "gemm", s, inputs, qSplit.floats(), split, step, true);
  EXPECT_TRUE(qSplit == q && split.pool == together.pool);
  for (int64_t row = 0; row < 7; ++row) {
    Step one = Step::ofRows(1);
    one.sequences = {step.sequences[row]};
    one.positions = {step.positions[row]};
    one.tokens = {step.tokens[row]};
    alone.describe(one);
    run(kernels, "gemv", s, inputs + row * inputBytes, qAlone.floats() + row * qRow, alone, one,
        false);
  }
  EXPECT_TRUE(qAlone == q && alone.pool == together.pool) << "GEMV differs from GEMM";
  EXPECT_TRUE(q.isGuardIntact() && together.pool.isGuardIntact());
}

TEST_P(QkvKernel, int8) { check({192, 6, 2, 32, Element::i8, Numerics::f32, CacheElement::f32}); }
TEST_P(QkvKernel, fast) {
  check({192, 6, 2, 32, Element::i8, Numerics::fast, CacheElement::f32});
  check({192, 6, 2, 32, Element::i8, Numerics::fast, CacheElement::f32, 2});
}
TEST_P(QkvKernel, wideHeads) {
  check({64, 2, 1, 128, Element::i8, Numerics::f32, CacheElement::f32});
}
TEST_P(QkvKernel, smallHeads) {
  check({96, 6, 1, 16, Element::f32, Numerics::f32, CacheElement::f32});
}
TEST_P(QkvKernel, oddShapes) {
  check({90, 3, 3, 24, Element::i8, Numerics::f32, CacheElement::f32});
}
TEST_P(QkvKernel, oddPairs) {
  check({32, 2, 1, 90, Element::bf16, Numerics::f32, CacheElement::f32});
}
TEST_P(QkvKernel, bf16Cache) {
  check({64, 4, 2, 32, Element::i8, Numerics::f32, CacheElement::bf16});
}
TEST_P(QkvKernel, int8Cache) {
  check({64, 4, 2, 32, Element::i8, Numerics::f32, CacheElement::i8});
}
TEST_P(QkvKernel, int8CacheOddShapes) {
  check({90, 3, 3, 26, Element::i8, Numerics::f32, CacheElement::i8});
}

TEST_P(QkvKernel, fp8Cache) {
  check({64, 4, 2, 32, Element::i8, Numerics::f32, CacheElement::e4m3});
}
TEST_P(QkvKernel, fp8CacheOddShapes) {
  check({90, 3, 3, 26, Element::i8, Numerics::f32, CacheElement::e4m3});
}

// The definition (docs/numerics.md), applied to what a float32 cache holds.
static void expectQuantized(CacheElement kv, const std::vector<float> &exact,
                            const std::vector<double> &stored, double scale) {
  const float limit = kv == CacheElement::i8 ? 127.0f : 448.0f;
  float largest = 0;
  for (float value : exact)
    largest = std::max(largest, std::fabs(value));
  ASSERT_EQ(scale, largest / limit);
  for (size_t d = 0; d < exact.size(); ++d) {
    float steps = exact[d] * (limit / largest);
    double code = kv == CacheElement::i8 ? std::nearbyint(steps) : valueOfE4m3(nearestE4m3(steps));
    ASSERT_EQ(stored[d], scale * code) << d;
  }
}

void QkvKernel::checkCodes(CacheElement kv) {
  QkvCase c{64, 4, 2, 32, Element::i8, Numerics::f32, CacheElement::f32};
  Setup exact = setUpCase(c);
  KernelSpec quantized = exact.spec;
  quantized.kv = kv;
  LoadedKernels kernels({{"exact", exact.spec}, {"quantized", quantized}}, GetParam());
  Step step = Step::ofRows(1);
  step.positions = {21};
  CachePool floats(exact.spec, 1, 0), codes(quantized, 1, 0);
  floats.describe(step);
  std::mt19937 random = reproducible(43);
  Buffer x = randomRows(random, 1, c.emb, false),
         q = randomRows(random, c.qHeads, c.headDim, false);
  run(kernels, "exact", exact, x.floats(), q.floats(), floats, step, false);
  run(kernels, "quantized", exact, x.floats(), q.floats(), codes, step, false);
  for (int64_t head = 0; head < c.kvHeads; ++head) {
    std::vector<float> keys, values;
    std::vector<double> storedKeys, storedValues;
    for (int64_t d = 0; d < c.headDim; ++d) {
      keys.push_back(static_cast<float>(floats.key(0, head, 21, d)));
      values.push_back(static_cast<float>(floats.value(0, head, 21, d)));
      storedKeys.push_back(codes.key(0, head, 21, d));
      storedValues.push_back(codes.value(0, head, 21, d));
    }
    expectQuantized(kv, keys, storedKeys, codes.keyScale(0, head, 21));
    expectQuantized(kv, values, storedValues, codes.valueScale(0, head, 21));
  }
}

TEST_P(QkvKernel, int8CodesAreLiteral) { checkCodes(CacheElement::i8); }
TEST_P(QkvKernel, fp8CodesAreLiteral) { checkCodes(CacheElement::e4m3); }

// A head of zeros has scale 0 and codes 0.
void QkvKernel::checkZeros(CacheElement kv) {
  Setup s = setUpCase({64, 4, 2, 32, Element::i8, Numerics::f32, kv});
  Step step = Step::ofRows(1);
  CachePool cache(s.spec, 1, 0);
  cache.describe(step);
  Buffer x = Buffer::ofWords(64), q = Buffer::ofWords(128);
  run(LoadedKernels({{"qkv", s.spec}}, GetParam()), "qkv", s, x.floats(), q.floats(), cache, step,
      false);
  for (int64_t d = 0; d < 32; ++d)
    EXPECT_EQ(cache.key(0, 1, 0, d), 0.0);
  EXPECT_EQ(cache.valueScale(0, 1, 0), 0.0);
}

TEST_P(QkvKernel, int8CacheOfZeros) { checkZeros(CacheElement::i8); }
TEST_P(QkvKernel, fp8CacheOfZeros) { checkZeros(CacheElement::e4m3); }

TEST_P(QkvKernel, bf16Numerics) {
  check({64, 4, 2, 32, Element::i8, Numerics::bf16, CacheElement::bf16});
}

INSTANTIATE_TEST_SUITE_P(Levels, QkvKernel, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
