// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products with integer weights against their definition, bit for bit, in every
// form: one row, few rows, many rows; `fast` and f32 numerics.
#include "tests/compiler/kernels/IntegerMatrix.h"
#include "tests/compiler/kernels/QuantizedReference.h"

#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

struct ProductCase {
  int64_t inputs, columns, groups;
  Element element;
  int64_t group = 0;
};

class IntegerProduct : public ::testing::TestWithParam<std::string> {
protected:
  void check(const ProductCase &c, const std::vector<int64_t> &rowCounts);
  void checkDigits(const ProductCase &c, const std::vector<int64_t> &rowCounts, int64_t digits);
};

static KernelSpec specOf(const ProductCase &c, int64_t maxRows) {
  KernelSpec spec;
  spec.numerics = Numerics::fast;
  spec.maxRows = maxRows;
  spec.in = c.inputs;
  spec.out = c.columns;
  spec.weight =
      WeightFormat::forContraction(c.element, c.inputs, c.groups, Numerics::fast, c.group);
  return spec;
}

void IntegerProduct::check(const ProductCase &c, const std::vector<int64_t> &rowCounts) {
  for (int64_t digits : {1, 2})
    checkDigits(c, rowCounts, digits);
}

void IntegerProduct::checkDigits(const ProductCase &c, const std::vector<int64_t> &rowCounts,
                                 int64_t digits) {
  const std::string name = std::to_string(c.inputs) + "x" + std::to_string(c.columns) + " G" +
                           std::to_string(c.groups) + " " + nameOf(c.element) + " g" +
                           std::to_string(c.group) + " digits " + std::to_string(digits);
  SCOPED_TRACE(name);
  std::mt19937 random = reproducible(31);
  KernelSpec one = specOf(c, 1), many = specOf(c, 512);
  one.digits = many.digits = digits;
  ASSERT_EQ(problemIn(one), std::nullopt);
  const WeightFormat &format = one.weight;
  const int64_t most = *std::max_element(rowCounts.begin(), rowCounts.end());
  const int64_t recordBytes = plan::QuantizedRow::of(c.inputs, format.unit, digits).bytes;
  const int64_t stride = paddedTo16(c.columns), tiles = (c.columns + 63) / 64;
  IntegerMatrix matrix = randomIntegers(random, c.inputs, c.columns, format);
  Buffer x = randomRows(random, most, c.inputs, /*isBf16=*/false);
  // Of large inputs alike, codes come near every bound, and of two digits the
  // sums of units leave the integers that float32 holds.
  for (int64_t k = 0; k < c.inputs; ++k)
    x.floats()[(most - 1) * paddedTo16(c.inputs) + k] = 1 - 1e-5f * static_cast<float>(k % 16);
  Buffer records = quantizedRows(x.floats(), most, c.inputs, format.unit, digits);
  std::vector<float> expected(most * stride);
  for (int64_t row = 0; row < most; ++row)
    for (int64_t column = 0; column < c.columns; ++column)
      expected[row * stride + column] =
          documentedSum(matrix, records.byteData() + row * recordBytes, column,
                        GetParam() != "x86-64-v2", digits);
  LoadedKernels kernels({{"one", one}, {"many", many}}, GetParam());
  auto run = [&](const char *symbol, int64_t first, int64_t rows) {
    Buffer y(rows * stride * 4);
    kernels.run(symbol,
                {records.byteData() + first * recordBytes, matrix.packed.data(),
                 matrix.scales.data(), y.data()},
                Step::ofRows(rows), 0, tiles);
    ASSERT_TRUE(y.isGuardIntact());
    for (int64_t i = 0; i < rows * stride; ++i)
      ASSERT_EQ(y.floats()[i], expected[first * stride + i])
          << symbol << " " << rows << " rows, row " << i / stride << " column " << i % stride;
  };
  run("one", 0, 1);
  run("one", most - 1, 1);
  for (int64_t rows : rowCounts)
    run("many", most - rows, rows);
}

static const std::vector<int64_t> fewRows = {1, 2, 3, 5, 8};
static const std::vector<int64_t> allRows = {1, 2, 3, 4, 5, 16, 17, 33, 100};

TEST_P(IntegerProduct, int8) {
  check({512, 64, 1, Element::i8}, allRows);
  check({512, 80, 8, Element::i8}, {5, 17});
  check({192, 33, 2, Element::i8}, {3, 20}); // slices cross row groups
  check({2048, 16, 8, Element::i8}, {1, 12});
}

TEST_P(IntegerProduct, int8OddShapes) {
  check({96, 100, 1, Element::i8}, {2, 13}); // units of 32
  check({80, 24, 1, Element::i8}, {3, 9});   // 16
  check({88, 17, 1, Element::i8}, {3, 9});   // 8
  check({36, 40, 1, Element::i8}, {3, 9});   // 4
  check({344, 90, 2, Element::i8}, {1, 10});
}

TEST_P(IntegerProduct, int4) {
  check({512, 64, 1, Element::i4, 64}, allRows);
  check({512, 80, 2, Element::i4, 32}, {5, 17});
  check({2048, 20, 8, Element::i4, 64}, {1, 12});
}

TEST_P(IntegerProduct, int3) {
  check({512, 64, 1, Element::i3, 64}, allRows);
  check({512, 80, 2, Element::i3, 32}, {5, 17});
  check({2048, 20, 8, Element::i3, 64}, {1, 12});
}

// The last super-group of a panel holds one, two or three groups.
TEST_P(IntegerProduct, partialSuperGroups) {
  for (Element element : {Element::i4, Element::i3}) {
    check({192, 40, 1, element, 64}, fewRows);
    check({320, 40, 1, element, 64}, {2, 11});
    check({96, 33, 1, element, 32}, {3, 18});
    check({448, 17, 1, element, 32}, {1, 9});
    check({384, 64, 2, element, 64}, {4, 19}); // slices cross row groups
  }
}

// ---- f32 numerics: float rows

class CodeChains : public ::testing::TestWithParam<std::string> {
protected:
  void check(const ProductCase &c, const std::vector<int64_t> &rowCounts);
};

// One output by docs/numerics.md: a chain of x * (code - zero point) for every
// run of rows with one multiplier, times multiplier * scale.
static float documentedChains(const IntegerMatrix &matrix, const float *x, int64_t column,
                              bool hasFma) {
  const WeightFormat &format = matrix.format;
  auto multiplyAdd = [&](float a, float b, float sum) {
    volatile float product = a * b; // not to be contracted by this compiler
    return hasFma ? std::fma(a, b, sum) : product + sum;
  };
  std::vector<float> sums(format.slices, 0.0f);
  for (int64_t start = 0; start < matrix.inputs; start += format.unit) {
    const int64_t run = start / format.group * matrix.columns + column;
    float chain = 0;
    for (int64_t k = start; k < start + format.unit; ++k)
      chain =
          multiplyAdd(static_cast<float>(matrix.codes[k * matrix.columns + column]), x[k], chain);
    float scale = static_cast<float>(matrix.multipliers[run]) * matrix.scaleAt(start, column);
    float &sum = sums[start / (matrix.inputs / format.slices)];
    sum = multiplyAdd(chain, scale, sum);
  }
  for (size_t count = sums.size(); count > 1; count /= 2)
    for (size_t i = 0; i < count / 2; ++i)
      sums[i] = sums[2 * i] + sums[2 * i + 1];
  return sums[0];
}

void CodeChains::check(const ProductCase &c, const std::vector<int64_t> &rowCounts) {
  std::mt19937 random = reproducible(37);
  KernelSpec one = specOf(c, 1), many = specOf(c, 512);
  for (KernelSpec *spec : {&one, &many}) {
    spec->numerics = Numerics::f32;
    spec->weight =
        WeightFormat::forContraction(c.element, c.inputs, c.groups, Numerics::f32, c.group);
  }
  ASSERT_EQ(problemIn(one), std::nullopt);
  const int64_t most = *std::max_element(rowCounts.begin(), rowCounts.end());
  const int64_t stride = paddedTo16(c.columns), xStride = paddedTo16(c.inputs);
  IntegerMatrix matrix = randomIntegers(random, c.inputs, c.columns, one.weight);
  Buffer x = randomRows(random, most, c.inputs, /*isBf16=*/false);
  LoadedKernels kernels({{"one", one}, {"many", many}}, GetParam());
  auto run = [&](const char *symbol, int64_t rows) {
    Buffer y(rows * stride * 4);
    kernels.run(symbol, {x.data(), matrix.packed.data(), matrix.scales.data(), y.data()},
                Step::ofRows(rows), 0, (c.columns + 63) / 64);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < c.columns; ++column)
        ASSERT_EQ(
            y.floats()[row * stride + column],
            documentedChains(matrix, x.floats() + row * xStride, column, GetParam() != "x86-64-v2"))
            << symbol << " " << nameOf(c.element) << " row " << row << " column " << column;
  };
  run("one", 1);
  for (int64_t rows : rowCounts)
    run("many", rows);
}

TEST_P(CodeChains, everyFormat) {
  for (Element element : {Element::i4, Element::i3}) {
    check({512, 64, 1, element, 64}, {1, 13});
    check({320, 40, 1, element, 64}, {3});
    check({384, 17, 2, element, 32}, {2, 7});
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CodeChains, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });
INSTANTIATE_TEST_SUITE_P(Levels, IntegerProduct, ::testing::ValuesIn(productLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
