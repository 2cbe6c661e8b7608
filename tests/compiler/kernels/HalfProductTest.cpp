// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// bf16 weights in fast numerics, on levels with tiles: the instructions where
// this host has AMX, plain arithmetic in their place everywhere.
#include "tests/compiler/kernels/KernelHarness.h"

#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

static KernelSpec linearSpec(int64_t inputs, int64_t columns, int64_t maxRows) {
  KernelSpec spec;
  spec.op = KernelOp::linear;
  spec.numerics = Numerics::fast;
  spec.maxRows = maxRows;
  spec.in = inputs;
  spec.out = columns;
  spec.weight =
      WeightFormat::forContraction(WeightFormat::Element::bf16, inputs, 1, Numerics::fast);
  return spec;
}

static std::vector<std::string> tileLevels() {
  std::vector<std::string> names;
  for (const std::string &name : productLevels())
    if (cpuLevelNamed(name)->tiles.hasTiles)
      names.push_back(name);
  return names;
}

// A matrix and rows for it.
struct Problem {
  Problem(int64_t inputs, int64_t columns, int64_t rows)
      : inputs(inputs), columns(columns), rows(rows) {
    std::mt19937 random = reproducible(23);
    matrix = std::make_unique<TestMatrix>(randomMatrix(
        random, inputs, columns, linearSpec(inputs, columns, 1).weight, Numerics::fast));
    x = randomRows(random, rows, inputs, /*isBf16=*/false);
  }
  int64_t tiles() const { return (columns + 63) / 64; }
  Buffer output() const { return Buffer(rows * paddedTo16(columns) * 4); }
  float documentedSum(int64_t row, int64_t column) const;

  int64_t inputs, columns, rows;
  std::unique_ptr<TestMatrix> matrix;
  Buffer x{0};
};

// docs/numerics.md, operation by operation.
float Problem::documentedSum(int64_t row, int64_t column) const {
  const float *from = x.floats() + row * paddedTo16(inputs);
  const int64_t slices = matrix->format.slices, slice = inputs / slices;
  std::vector<float> sums(slices, 0.0f);
  for (int64_t start = 0; start < inputs; start += 32) {
    float parts[2] = {0, 0}; // of even inputs, of odd ones
    for (int64_t k = start; k < start + 32; ++k)
      parts[k % 2] =
          std::fma(static_cast<float>(matrix->at(k, column)), roundedToBf16(from[k]), parts[k % 2]);
    sums[start / slice] += parts[0] + parts[1];
  }
  for (size_t count = sums.size(); count > 1; count /= 2)
    for (size_t i = 0; i < count / 2; ++i)
      sums[i] = sums[2 * i] + sums[2 * i + 1];
  return sums[0];
}

class HalfProduct : public ::testing::TestWithParam<std::string> {
protected:
  static void run(const LoadedKernels &kernels, const char *symbol, const Problem &problem,
                  Buffer &y, int64_t first, int64_t count) {
    runTiles(kernels, symbol, problem, y, first, count, 0, problem.tiles());
  }
  static void runTiles(const LoadedKernels &kernels, const char *symbol, const Problem &problem,
                       Buffer &y, int64_t first, int64_t count, int64_t begin, int64_t end) {
    kernels.run(symbol,
                {problem.x.floats() + first * paddedTo16(problem.inputs),
                 problem.matrix->packed.data(), problem.matrix->scales.data(),
                 y.floats() + first * paddedTo16(problem.columns)},
                Step::ofRows(count), begin, end);
    ASSERT_TRUE(y.isGuardIntact());
  }
  static void checkOrder(int64_t inputs, int64_t columns, int64_t rows);
  static void checkForms(int64_t inputs, int64_t columns, int64_t rows);
};

void HalfProduct::checkOrder(int64_t inputs, int64_t columns, int64_t rows) {
  Problem problem(inputs, columns, rows);
  LoadedKernels kernels({{"gemm", linearSpec(inputs, columns, 512)}}, GetParam());
  Buffer y = problem.output();
  run(kernels, "gemm", problem, y, 0, rows);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      ASSERT_EQ(y.floats()[row * paddedTo16(columns) + column], problem.documentedSum(row, column))
          << inputs << " inputs, row " << row << " column " << column;
}

// All rows together against each alone, threes, and tiles of columns alone.
void HalfProduct::checkForms(int64_t inputs, int64_t columns, int64_t rows) {
  Problem problem(inputs, columns, rows);
  LoadedKernels kernels(
      {{"gemv", linearSpec(inputs, columns, 1)}, {"gemm", linearSpec(inputs, columns, 512)}},
      GetParam());
  Buffer together = problem.output(), alone = problem.output(), triples = problem.output(),
         split = problem.output();
  run(kernels, "gemm", problem, together, 0, rows);
  for (int64_t row = 0; row < rows; ++row)
    run(kernels, "gemv", problem, alone, row, 1);
  EXPECT_TRUE(alone == together) << inputs << " inputs: GEMV differs from GEMM";
  for (int64_t row = 0; row < rows; row += 3)
    run(kernels, "gemm", problem, triples, row, std::min<int64_t>(3, rows - row));
  EXPECT_TRUE(triples == together) << inputs << " inputs: 3 rows differ from all";
  for (int64_t tile = problem.tiles(); tile-- > 0;)
    runTiles(kernels, "gemm", problem, split, 0, rows, tile, tile + 1);
  EXPECT_TRUE(split == together) << inputs << " inputs: tiles alone differ";
}

TEST_P(HalfProduct, sumsInTheDocumentedOrder) {
  checkOrder(768, 64, 3);   // 4 slices of 192
  checkOrder(6144, 20, 18); // 16 slices of 384
  checkOrder(96, 90, 33);
}

TEST_P(HalfProduct, anyRowsAnyTiles) {
  checkForms(256, 192, 29);
  checkForms(384, 70, 65);
  checkForms(96, 16, 205); // more rows than are summed together
}

// More rows than a worker keeps rounded: they are rounded chunk by chunk.
TEST_P(HalfProduct, manyInputs) { checkForms(32768, 80, 150); }

// Slices that are no whole tiles: as on other levels.
TEST_P(HalfProduct, oddInputs) {
  checkForms(90, 33, 5);
  Problem problem(90, 33, 1);
  Buffer expected = problem.output(), actual = problem.output();
  run(LoadedKernels({{"k", linearSpec(90, 33, 1)}}, "x86-64-v3"), "k", problem, expected, 0, 1);
  run(LoadedKernels({{"k", linearSpec(90, 33, 1)}}, GetParam()), "k", problem, actual, 0, 1);
  EXPECT_TRUE(actual == expected);
}

INSTANTIATE_TEST_SUITE_P(Levels, HalfProduct, ::testing::ValuesIn(tileLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
