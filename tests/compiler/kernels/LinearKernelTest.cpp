// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/kernels/KernelHarness.h"

#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

struct LinearCase {
  int64_t inputs, columns, groups;
  Element element;
  Numerics numerics;
};

static std::string nameOfCase(const LinearCase &c) {
  return std::to_string(c.inputs) + "x" + std::to_string(c.columns) + "g" +
         std::to_string(c.groups) + nameOf(c.element) + nameOf(c.numerics);
}

static KernelSpec linearSpec(const LinearCase &c, int64_t maxRows) {
  KernelSpec spec;
  spec.op = KernelOp::linear;
  spec.numerics = c.numerics;
  spec.maxRows = maxRows;
  spec.in = c.inputs;
  spec.out = c.columns;
  spec.weight = WeightFormat::forContraction(c.element, c.inputs, c.groups);
  return spec;
}

class LinearKernel : public ::testing::TestWithParam<std::string> {
protected:
  static int64_t tilesOf(int64_t columns) { return (columns + 63) / 64; }

  void runBoth(const LinearCase &c, int64_t rows);
  static void compare(const LinearCase &c, const TestMatrix &matrix, const Buffer &x,
                      const Buffer &y, int64_t rows);
  float documentedSum(const LinearCase &c, const TestMatrix &matrix, const float *x,
                      int64_t column) const;
  void checkOrder(const LinearCase &c);
};

// One output by docs/numerics.md, operation by operation.
float LinearKernel::documentedSum(const LinearCase &c, const TestMatrix &matrix, const float *x,
                                  int64_t column) const {
  bool hasFma = GetParam() != "x86-64-v2", isInt8 = c.element == Element::i8;
  auto multiplyAdd = [&](float a, float b, float sum) {
    volatile float product = a * b; // not to be contracted by this compiler
    return hasFma ? std::fma(a, b, sum) : product + sum;
  };
  const WeightFormat &format = matrix.format;
  std::vector<float> sums(format.slices, 0.0f);
  for (int64_t start = 0; start < c.inputs; start += format.unit) {
    float chain = 0, scale = matrix.scaleAt(start, column);
    bool scalesSum = isInt8 && c.numerics == Numerics::f32;
    for (int64_t k = start; k < start + format.unit; ++k) {
      double weight = matrix.at(k, column); // exact multiple of the scale
      chain = multiplyAdd(static_cast<float>(scalesSum ? weight / scale : weight), x[k], chain);
    }
    float &sum = sums[start / (c.inputs / format.slices)];
    sum = scalesSum ? multiplyAdd(chain, scale, sum) : sum + chain;
  }
  for (size_t count = sums.size(); count > 1; count /= 2)
    for (size_t i = 0; i < count / 2; ++i)
      sums[i] = sums[2 * i] + sums[2 * i + 1];
  return c.numerics == Numerics::bf16 ? roundedToBf16(sums[0]) : sums[0];
}

void LinearKernel::checkOrder(const LinearCase &c) {
  std::mt19937 random = reproducible(17);
  for (int64_t maxRows : {1, 512}) {
    KernelSpec spec = linearSpec(c, maxRows);
    TestMatrix matrix = randomMatrix(random, c.inputs, c.columns, spec.weight, c.numerics);
    Buffer x = randomRows(random, 1, c.inputs, c.numerics == Numerics::bf16);
    Buffer y(paddedTo16(c.columns) * 4);
    LoadedKernels({{"k", spec}}, GetParam())
        .run("k", {x.data(), matrix.packed.data(), matrix.scales.data(), y.data()}, Step::ofRows(1),
             0, tilesOf(c.columns));
    for (int64_t column = 0; column < c.columns; ++column)
      ASSERT_EQ(y.floats()[column], documentedSum(c, matrix, x.floats(), column))
          << nameOfCase(c) << " column " << column << " max rows " << maxRows;
  }
}

void LinearKernel::compare(const LinearCase &c, const TestMatrix &matrix, const Buffer &x,
                           const Buffer &y, int64_t rows) {
  int64_t xStride = paddedTo16(c.inputs), yStride = paddedTo16(c.columns);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < yStride; ++column) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < c.inputs && column < c.columns; ++k) {
        double product = double(x.floats()[row * xStride + k]) * matrix.at(k, column);
        sum += product;
        magnitude += std::fabs(product);
      }
      double tolerance = dotTolerance(matrix.format, c.inputs, magnitude);
      if (c.numerics == Numerics::bf16) // half a unit in the last place of 8 bits
        tolerance += std::ldexp(std::fabs(sum) + tolerance, -8);
      ASSERT_NEAR(y.floats()[row * yStride + column], sum, tolerance)
          << nameOfCase(c) << " row " << row << " column " << column;
    }
}

// GEMV and GEMM against the reference and against each other.
void LinearKernel::runBoth(const LinearCase &c, int64_t rows) {
  std::mt19937 random = reproducible(7);
  KernelSpec gemv = linearSpec(c, 1), gemm = linearSpec(c, 512);
  TestMatrix matrix = randomMatrix(random, c.inputs, c.columns, gemv.weight, c.numerics);
  Buffer x = randomRows(random, rows, c.inputs, c.numerics == Numerics::bf16);
  size_t yBytes = rows * paddedTo16(c.columns) * 4;
  Buffer together(yBytes), alone(yBytes), triples(yBytes), split(yBytes);
  LoadedKernels kernels({{"gemv", gemv}, {"gemm", gemm}}, GetParam());
  auto run = [&](const char *symbol, Buffer &y, int64_t first, int64_t count, int64_t begin,
                 int64_t end) {
    kernels.run(symbol,
                {x.floats() + first * paddedTo16(c.inputs), matrix.packed.data(),
                 matrix.scales.data(), y.floats() + first * paddedTo16(c.columns)},
                Step::ofRows(count), begin, end);
    ASSERT_TRUE(y.isGuardIntact());
  };
  int64_t tiles = tilesOf(c.columns);
  run("gemm", together, 0, rows, 0, tiles);
  compare(c, matrix, x, together, rows);
  for (int64_t row = 0; row < rows; ++row)
    run("gemv", alone, row, 1, 0, tiles);
  EXPECT_TRUE(alone == together) << nameOfCase(c) << ": GEMV differs from GEMM";
  for (int64_t row = 0; row < rows; row += 3)
    run("gemm", triples, row, std::min<int64_t>(3, rows - row), 0, tiles);
  EXPECT_TRUE(triples == together) << nameOfCase(c) << ": 3 rows differ from all";
  for (int64_t tile = tiles; tile-- > 0;)
    run("gemm", split, 0, rows, tile, tile + 1);
  EXPECT_TRUE(split == together) << nameOfCase(c) << ": tiles alone differ";
}

TEST_P(LinearKernel, int8F32) {
  runBoth({384, 192, 1, Element::i8, Numerics::f32}, 29);
  runBoth({512, 80, 8, Element::i8, Numerics::f32}, 5);
}

TEST_P(LinearKernel, sumsInTheDocumentedOrder) {
  checkOrder({768, 64, 1, Element::i8, Numerics::f32});
  checkOrder({344, 20, 2, Element::i8, Numerics::f32});
  checkOrder({90, 16, 1, Element::i8, Numerics::f32});
  checkOrder({32768, 16, 8, Element::i8, Numerics::f32}); // units of 512
  checkOrder({768, 16, 1, Element::bf16, Numerics::f32});
  checkOrder({768, 16, 1, Element::f32, Numerics::f32});
  checkOrder({768, 16, 2, Element::i8, Numerics::bf16});
  checkOrder({768, 16, 1, Element::f32, Numerics::bf16});
}

TEST_P(LinearKernel, oddShapes) {
  runBoth({90, 24, 1, Element::i8, Numerics::f32}, 13);
  runBoth({344, 90, 2, Element::i8, Numerics::f32}, 7);
  runBoth({45, 17, 1, Element::i8, Numerics::f32}, 3);
  runBoth({90, 33, 1, Element::bf16, Numerics::f32}, 3);
  runBoth({45, 70, 1, Element::bf16, Numerics::f32}, 3);
  runBoth({7, 5, 1, Element::f32, Numerics::f32}, 2);
}

TEST_P(LinearKernel, floatWeights) {
  runBoth({256, 64, 1, Element::f32, Numerics::f32}, 6);
  runBoth({256, 144, 1, Element::bf16, Numerics::f32}, 6);
}

TEST_P(LinearKernel, manyRows) { runBoth({128, 64, 1, Element::i8, Numerics::f32}, 205); }

TEST_P(LinearKernel, bf16Numerics) {
  runBoth({192, 64, 2, Element::i8, Numerics::bf16}, 5);
  runBoth({45, 20, 1, Element::i8, Numerics::bf16}, 2);
  runBoth({128, 64, 1, Element::bf16, Numerics::bf16}, 5);
  runBoth({128, 64, 1, Element::f32, Numerics::bf16}, 5);
}

INSTANTIATE_TEST_SUITE_P(Levels, LinearKernel, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

// Levels with FMA do the same operations, so they agree to the bit.
TEST(LinearKernelLevels, agreeWithFma) {
  if (!canHostRun(*cpuLevelNamed("x86-64-v4")))
    GTEST_SKIP() << "needs AVX-512 VNNI";
  LinearCase c{384, 64, 1, Element::i8, Numerics::f32};
  std::mt19937 random = reproducible(3);
  KernelSpec spec = linearSpec(c, 1);
  TestMatrix matrix = randomMatrix(random, c.inputs, c.columns, spec.weight, c.numerics);
  Buffer x = randomRows(random, 1, c.inputs, false);
  Buffer y3 = Buffer::ofWords(64), y4 = Buffer::ofWords(64);
  for (const Buffer *y : {&y3, &y4})
    LoadedKernels({{"k", spec}}, y == &y3 ? "x86-64-v3" : "x86-64-v4")
        .run("k", {x.data(), matrix.packed.data(), matrix.scales.data(), y->data()},
             Step::ofRows(1), 0, 1);
  EXPECT_TRUE(y3 == y4);
}

} // namespace grok::compiler::testing
