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
};

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
  std::mt19937 random(7);
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
  std::mt19937 random(3);
  KernelSpec spec = linearSpec(c, 1);
  TestMatrix matrix = randomMatrix(random, c.inputs, c.columns, spec.weight, c.numerics);
  Buffer x = randomRows(random, 1, c.inputs, false), y3(64 * 4), y4(64 * 4);
  for (Buffer *y : {&y3, &y4})
    LoadedKernels({{"k", spec}}, y == &y3 ? "x86-64-v3" : "x86-64-v4")
        .run("k", {x.data(), matrix.packed.data(), matrix.scales.data(), y->data()},
             Step::ofRows(1), 0, 1);
  EXPECT_TRUE(y3 == y4);
}

} // namespace grok::compiler::testing
