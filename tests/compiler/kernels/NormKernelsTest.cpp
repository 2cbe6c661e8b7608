// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/TreeSum.h"
#include "tests/compiler/kernels/KernelHarness.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace grok::compiler::testing {

class NormKernels : public ::testing::TestWithParam<std::string> {
protected:
  static constexpr double eps = 1e-5;

  static KernelSpec specOf(KernelOp op, int64_t emb, Numerics numerics) {
    KernelSpec spec;
    spec.op = op;
    spec.numerics = numerics;
    spec.emb = emb;
    spec.eps = eps;
    return spec;
  }

  // scale * x / rms(x), in double.
  static std::vector<double> normalized(const std::vector<double> &x, const Buffer &scale) {
    double sum = 0;
    for (double value : x)
      sum += value * value;
    double inverse = 1 / std::sqrt(sum / static_cast<double>(x.size()) + eps);
    std::vector<double> y;
    y.reserve(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      y.push_back(scale.floats()[i] * x[i] * inverse);
    return y;
  }
  static std::vector<double> rowOf(const Buffer &buffer, int64_t row, int64_t columns) {
    const float *from = buffer.floats() + row * paddedTo16(columns);
    return {from, from + columns};
  }
  // The mean of squares rounds columns/64 + 4 times in its chains and tree
  // (padded to 16 + 6 at most here), the square root, quotient and two products
  // once each, halved where they pass the square root.
  static double tolerance(double value, int64_t columns, Numerics numerics) {
    double bound =
        (static_cast<double>(columns) / 64 + 22) * std::ldexp(1.0, -24) * std::fabs(value);
    return numerics == Numerics::bf16 ? bound + std::ldexp(std::fabs(value), -8) : bound;
  }
};

TEST_P(NormKernels, rmsNorm) {
  for (int64_t emb : {16, 90, 96, 192, 1000})
    for (Numerics numerics : {Numerics::f32, Numerics::bf16}) {
      std::mt19937 random = reproducible(5);
      Buffer x = randomRows(random, 5, emb, numerics == Numerics::bf16, 3.0f);
      Buffer scale = randomRows(random, 1, emb, false), y(x.size());
      LoadedKernels({{"norm", specOf(KernelOp::rmsNorm, emb, numerics)}}, GetParam())
          .run("norm", {x.data(), scale.data(), y.data()}, Step::ofRows(5), 0, 5);
      EXPECT_TRUE(y.isGuardIntact());
      for (int64_t row = 0; row < 5; ++row) {
        std::vector<double> expected = normalized(rowOf(x, row, emb), scale);
        expected.resize(paddedTo16(emb)); // padding must be zero
        for (int64_t i = 0; i < paddedTo16(emb); ++i)
          ASSERT_NEAR(y.floats()[row * paddedTo16(emb) + i], expected[i],
                      tolerance(expected[i], emb, numerics));
      }
    }
}

TEST_P(NormKernels, residualNormAddsThenNormalizes) {
  const int64_t emb = 90, stride = paddedTo16(emb);
  std::mt19937 random = reproducible(6);
  Buffer h = randomRows(random, 3, emb, false), a = randomRows(random, 3, emb, false, 10.0f);
  Buffer post = randomRows(random, 1, emb, false), next = randomRows(random, 1, emb, false);
  Buffer x(h.size()), before(h.size());
  std::memcpy(before.data(), h.data(), h.size());
  LoadedKernels({{"norm", specOf(KernelOp::residualNorm, emb, Numerics::f32)}}, GetParam())
      .run("norm", {h.data(), a.data(), post.data(), next.data(), x.data()}, Step::ofRows(3), 0, 3);
  for (int64_t row = 0; row < 3; ++row) {
    std::vector<double> sum = rowOf(before, row, emb), added = normalized(rowOf(a, row, emb), post);
    for (int64_t i = 0; i < emb; ++i) {
      sum[i] += added[i];
      double bound = tolerance(added[i], emb, Numerics::f32) + std::ldexp(std::fabs(sum[i]), -24);
      ASSERT_NEAR(h.floats()[row * stride + i], sum[i], bound);
    }
    // From the stored stream, so that only this norm's rounding counts.
    std::vector<double> expected = normalized(rowOf(h, row, emb), next);
    for (int64_t i = 0; i < emb; ++i)
      ASSERT_NEAR(x.floats()[row * stride + i], expected[i],
                  tolerance(expected[i], emb, Numerics::f32));
  }
}

TEST_P(NormKernels, bf16ResidualIsRoundedTwice) {
  const int64_t emb = 32;
  std::mt19937 random = reproducible(8);
  Buffer h = randomRows(random, 1, emb, true), a = randomRows(random, 1, emb, true);
  Buffer ones(emb * 4), x(emb * 4), before(emb * 4), norm(emb * 4);
  std::fill_n(ones.floats(), emb, 1.0f);
  std::memcpy(before.data(), h.data(), h.size());
  LoadedKernels kernels({{"norm", specOf(KernelOp::rmsNorm, emb, Numerics::bf16)},
                         {"residual", specOf(KernelOp::residualNorm, emb, Numerics::bf16)}},
                        GetParam());
  kernels.run("norm", {a.data(), ones.data(), norm.data()}, Step::ofRows(1), 0, 1);
  kernels.run("residual", {h.data(), a.data(), ones.data(), ones.data(), x.data()}, Step::ofRows(1),
              0, 1);
  for (int64_t i = 0; i < emb; ++i)
    EXPECT_EQ(h.floats()[i], roundedToBf16(before.floats()[i] + norm.floats()[i]));
}

TEST_P(NormKernels, rowsAreIndependent) {
  const int64_t emb = 192;
  std::mt19937 random = reproducible(9);
  Buffer x = randomRows(random, 64, emb, false), scale = randomRows(random, 1, emb, false);
  Buffer together(x.size()), alone(x.size());
  LoadedKernels kernels({{"norm", specOf(KernelOp::rmsNorm, emb, Numerics::f32)}}, GetParam());
  kernels.run("norm", {x.data(), scale.data(), together.data()}, Step::ofRows(64), 0, 64);
  for (int64_t row = 0; row < 64; ++row)
    kernels.run("norm", {x.floats() + row * emb, scale.data(), alone.floats() + row * emb},
                Step::ofRows(1), 0, 1);
  EXPECT_TRUE(together == alone);
}

// What several ranks have summed in part is added in the order of treeSum.
TEST_P(NormKernels, residualNormSumsTheParts) {
  const int64_t emb = 90, stride = paddedTo16(emb), rows = 3;
  for (int64_t parts : {2, 3, 4, 6, 8}) {
    std::mt19937 random = reproducible(16);
    Buffer given = randomRows(random, rows * parts, emb, false), sums(rows * stride * 4);
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<const float *> rowOfPart;
      for (int64_t part = 0; part < parts; ++part)
        rowOfPart.push_back(given.floats() + (row * parts + part) * stride);
      runtime::treeSum(rowOfPart, sums.floats() + row * stride, stride);
    }
    Buffer post = randomRows(random, 1, emb, false), next = randomRows(random, 1, emb, false);
    Buffer h = randomRows(random, rows, emb, false), hOfSums(h.size());
    std::memcpy(hOfSums.data(), h.data(), h.size());
    Buffer x(h.size()), xOfSums(h.size());
    KernelSpec whole = specOf(KernelOp::residualNorm, emb, Numerics::f32), spec = whole;
    spec.parts = parts;
    LoadedKernels kernels({{"whole", whole}, {"parts", spec}}, GetParam());
    kernels.run("whole", {hOfSums.data(), sums.data(), post.data(), next.data(), xOfSums.data()},
                Step::ofRows(rows), 0, rows);
    kernels.run("parts", {h.data(), given.data(), post.data(), next.data(), x.data()},
                Step::ofRows(rows), 0, rows);
    EXPECT_TRUE(h == hOfSums) << parts;
    EXPECT_TRUE(x == xOfSums) << parts;
    EXPECT_TRUE(x.isGuardIntact());
  }
}

// Experts that stand in any order are added in the order of their ids, the exact
// products with one rounding where the level has FMA.
TEST_P(NormKernels, combineAddsInTheOrderOfTheIds) {
  const int64_t emb = 90, stride = paddedTo16(emb), rows = 3, selected = 4;
  std::mt19937 random = reproducible(17);
  Buffer x = randomRows(random, rows * selected, emb, false), y(rows * stride * 4);
  const std::vector<std::vector<int32_t>> ids = {{5, 0, 3, 7}, {1, 2, 3, 4}, {7, 6, 5, 4}};
  Buffer gates(rows * selected * 4), experts(rows * selected * 4);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t choice = 0; choice < selected; ++choice) {
      gates.floats()[row * selected + choice] = 0.1f + 0.07f * static_cast<float>(row + choice);
      std::memcpy(static_cast<std::byte *>(experts.data()) + (row * selected + choice) * 4,
                  &ids[row][choice], 4);
    }
  KernelSpec spec = specOf(KernelOp::combine, emb, Numerics::f32);
  spec.selected = selected;
  LoadedKernels({{"combine", spec}}, GetParam())
      .run("combine", {x.data(), gates.data(), experts.data(), y.data()}, Step::ofRows(rows), 0,
           rows);
  EXPECT_TRUE(y.isGuardIntact());
  const bool hasFma = GetParam() != "x86-64-v2";
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> order(selected);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](int64_t choice) { return ids[row][choice]; });
    for (int64_t i = 0; i < emb; ++i) {
      float sum = 0;
      for (int64_t choice : order) {
        const float gate = gates.floats()[row * selected + choice];
        const float value = x.floats()[(row * selected + choice) * stride + i];
        const float product = gate * value;
        sum = hasFma ? std::fma(gate, value, sum) : product + sum;
      }
      ASSERT_EQ(y.floats()[row * stride + i], sum) << row << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, NormKernels, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
