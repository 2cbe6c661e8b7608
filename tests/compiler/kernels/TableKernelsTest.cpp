// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// embed and unembed share one packed table: columns are tokens.
#include "tests/compiler/kernels/QuantizedReference.h"

#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

struct TableCase {
  int64_t emb, vocab;
  Element element;
  Numerics numerics;
};

class TableKernels : public ::testing::TestWithParam<std::string> {
protected:
  static KernelSpec specOf(const TableCase &c, KernelOp op, int64_t maxRows) {
    KernelSpec spec;
    spec.op = op;
    spec.numerics = c.numerics;
    spec.maxRows = maxRows;
    spec.emb = c.emb;
    spec.vocab = c.vocab;
    spec.multiplier = op == KernelOp::embed ? 9.75 : 0.578125; // both are bf16 values
    spec.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics);
    return spec;
  }
  static float rounded(const TableCase &c, double value) {
    return c.numerics == Numerics::bf16 ? roundedToBf16(static_cast<float>(value))
                                        : static_cast<float>(value);
  }
  void checkEmbed(const TableCase &c);
  void checkLocalEmbed(const TableCase &c);
  void checkUnembed(const TableCase &c);
  void checkFastUnembed(int64_t digits);
};

void TableKernels::checkEmbed(const TableCase &c) {
  std::mt19937 random = reproducible(11);
  KernelSpec spec = specOf(c, KernelOp::embed, 1);
  TestMatrix table = randomMatrix(random, c.emb, c.vocab, spec.weight, c.numerics);
  Step step = Step::ofRows(4);
  step.tokens = {0, 5, static_cast<int32_t>(c.vocab - 1), 17};
  int64_t stride = paddedTo16(c.emb);
  Buffer h(4 * stride * 4);
  std::fill_n(h.floats(), 4 * stride, 1e30f); // padding must be written too
  LoadedKernels({{"embed", spec}}, GetParam())
      .run("embed", {table.packed.data(), table.scales.data(), h.data()}, step, 0, 4);
  EXPECT_TRUE(h.isGuardIntact());
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t k = 0; k < stride; ++k) {
      double value = k < c.emb ? table.at(k, step.tokens[row]) : 0.0;
      ASSERT_EQ(h.floats()[row * stride + k], rounded(c, float(value) * 9.75f)) << row << "," << k;
    }
}

/// A rank that holds the tokens from 24 on: what it holds, and zeros for the rest.
void TableKernels::checkLocalEmbed(const TableCase &c) {
  std::mt19937 random = reproducible(13);
  KernelSpec spec = specOf(c, KernelOp::embed, 1);
  spec.localTokens = 1;
  const int32_t first = 24;
  TestMatrix table = randomMatrix(random, c.emb, c.vocab, spec.weight, c.numerics);
  Step step = Step::ofRows(5);
  step.tokens = {0, first - 1, first, first + 7, static_cast<int32_t>(first + c.vocab)};
  const std::vector<int64_t> local = {-1, -1, 0, 7, -1};
  int64_t stride = paddedTo16(c.emb);
  Buffer h(5 * stride * 4), firstToken(64);
  std::fill_n(h.floats(), 5 * stride, 1e30f);
  std::memcpy(firstToken.data(), &first, sizeof first);
  LoadedKernels({{"embed", spec}}, GetParam())
      .run("embed", {table.packed.data(), table.scales.data(), h.data(), firstToken.data()}, step,
           0, 5);
  EXPECT_TRUE(h.isGuardIntact());
  for (int64_t row = 0; row < 5; ++row)
    for (int64_t k = 0; k < stride; ++k) {
      double value = k < c.emb && local[row] >= 0 ? table.at(k, local[row]) : 0.0;
      ASSERT_EQ(h.floats()[row * stride + k], rounded(c, float(value) * 9.75f)) << row << "," << k;
    }
}

void TableKernels::checkUnembed(const TableCase &c) {
  std::mt19937 random = reproducible(12);
  KernelSpec gemm = specOf(c, KernelOp::unembed, 64), gemv = specOf(c, KernelOp::unembed, 1);
  TestMatrix table = randomMatrix(random, c.emb, c.vocab, gemm.weight, c.numerics);
  Buffer x = randomRows(random, 6, c.emb, c.numerics == Numerics::bf16);
  Step step = Step::ofRows(6);
  step.logitRow = {1, 4, 5};
  int64_t stride = paddedTo16(c.vocab), inputs = paddedTo16(c.emb), tiles = (c.vocab + 63) / 64;
  Buffer logits(3 * stride * 4), alone(3 * stride * 4);
  LoadedKernels kernels({{"gemm", gemm}, {"gemv", gemv}}, GetParam());
  kernels.run("gemm", {x.data(), table.packed.data(), table.scales.data(), logits.data()}, step, 0,
              tiles);
  for (int i = 0; i < 3; ++i)
    kernels.run("gemv",
                {x.floats() + step.logitRow[i] * inputs, table.packed.data(), table.scales.data(),
                 alone.floats() + i * stride},
                Step::ofRows(1), 0, tiles);
  EXPECT_TRUE(alone == logits);
  EXPECT_TRUE(logits.isGuardIntact() && alone.isGuardIntact());
  for (int i = 0; i < 3; ++i)
    for (int64_t token = 0; token < stride; ++token) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < c.emb && token < c.vocab; ++k) {
        double product = x.floats()[step.logitRow[i] * inputs + k] * table.at(k, token);
        sum += product;
        magnitude += std::fabs(product);
      }
      // The multiplier is below 1; bf16 rounds twice to 8 bits.
      double tolerance = dotTolerance(table.format, c.emb, magnitude);
      if (c.numerics == Numerics::bf16)
        tolerance += 2 * std::ldexp(std::fabs(sum) + tolerance, -8);
      ASSERT_NEAR(logits.floats()[i * stride + token], sum * 0.578125, tolerance);
    }
}

TEST_P(TableKernels, embed) {
  checkEmbed({96, 512, Element::f32, Numerics::f32});
  checkEmbed({90, 50, Element::f32, Numerics::bf16});
  checkEmbed({90, 50, Element::bf16, Numerics::f32});
  checkEmbed({45, 50, Element::bf16, Numerics::bf16});
  checkEmbed({96, 50, Element::i8, Numerics::f32});
  checkEmbed({90, 50, Element::i8, Numerics::bf16});
  checkEmbed({45, 50, Element::i8, Numerics::fast});
  checkLocalEmbed({96, 40, Element::f32, Numerics::f32});
  checkLocalEmbed({90, 50, Element::bf16, Numerics::f32});
  checkLocalEmbed({45, 50, Element::i8, Numerics::fast});
}

TEST_P(TableKernels, unembed) {
  checkUnembed({96, 512, Element::f32, Numerics::f32});
  checkUnembed({90, 50, Element::bf16, Numerics::f32});
  checkUnembed({64, 90, Element::f32, Numerics::bf16});
  checkUnembed({96, 90, Element::i8, Numerics::f32});
  checkUnembed({96, 90, Element::i8, Numerics::bf16});
}

// Quantised rows: each logit row has the bits that it has alone.
void TableKernels::checkFastUnembed(int64_t digits) {
  TableCase c{256, 90, Element::i8, Numerics::fast};
  std::mt19937 random = reproducible(13);
  KernelSpec gemm = specOf(c, KernelOp::unembed, 64), gemv = specOf(c, KernelOp::unembed, 1);
  gemm.digits = gemv.digits = digits;
  const int64_t unit = gemm.weight.unit, rows = 40, stride = paddedTo16(c.vocab);
  TestMatrix table = randomMatrix(random, c.emb, c.vocab, gemm.weight, c.numerics);
  Buffer records =
      quantizedRows(randomRows(random, rows, c.emb, false).floats(), rows, c.emb, unit, digits);
  Buffer x = dequantizedRows(records, rows, c.emb, unit, digits);
  const int64_t recordBytes = plan::QuantizedRow::of(c.emb, unit, digits).bytes;
  Step step = Step::ofRows(rows);
  std::erase_if(step.logitRow, [](int32_t row) { return row % 3 == 1; });
  const auto wanted = static_cast<int64_t>(step.logitRow.size());
  Buffer logits(wanted * stride * 4), alone(wanted * stride * 4);
  LoadedKernels kernels({{"gemm", gemm}, {"gemv", gemv}}, GetParam());
  kernels.run("gemm", {records.data(), table.packed.data(), table.scales.data(), logits.data()},
              step, 0, 2);
  for (int64_t i = 0; i < wanted; ++i)
    kernels.run("gemv",
                {records.byteData() + step.logitRow[i] * recordBytes, table.packed.data(),
                 table.scales.data(), alone.floats() + i * stride},
                Step::ofRows(1), 0, 2);
  EXPECT_TRUE(alone == logits);
  for (int64_t i = 0; i < wanted; ++i)
    for (int64_t token = 0; token < c.vocab; ++token) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < c.emb; ++k) {
        double product = x.floats()[step.logitRow[i] * c.emb + k] * table.at(k, token);
        sum += product, magnitude += std::fabs(product);
      }
      ASSERT_NEAR(logits.floats()[i * stride + token], sum * 0.578125,
                  dotTolerance(table.format, c.emb, magnitude));
    }
}

TEST_P(TableKernels, fastUnembed) {
  checkFastUnembed(1);
  checkFastUnembed(2);
}

TEST_P(TableKernels, noLogitsWanted) {
  TableCase c{64, 64, Element::f32, Numerics::f32};
  std::mt19937 random = reproducible(1);
  for (int64_t maxRows : {1, 64}) {
    KernelSpec spec = specOf(c, KernelOp::unembed, maxRows);
    TestMatrix table = randomMatrix(random, c.emb, c.vocab, spec.weight, c.numerics);
    Buffer x = randomRows(random, 1, c.emb, false), logits(0);
    Step step = Step::ofRows(1);
    step.logitRow.clear();
    LoadedKernels({{"k", spec}}, GetParam())
        .run("k", {x.data(), table.packed.data(), table.scales.data(), logits.data()}, step, 0, 1);
    EXPECT_TRUE(logits.isGuardIntact());
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, TableKernels, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
