// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Accuracy of the polynomials, run as kernels of one operation each.
#include "compiler/kernels/VectorMath.h"
#include "tests/compiler/kernels/VectorFunction.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace grok::compiler::testing {

class VectorMath : public ::testing::TestWithParam<std::string> {
protected:
  static std::vector<float> apply(VectorFunction function, const std::vector<float> &x) {
    return applyTo(x, function, GetParam());
  }

  // Distance from `exact` in units of the last place of a float32 result.
  static double ulps(float actual, double exact) {
    int exponent;
    std::frexp(exact, &exponent);
    return std::fabs(actual - exact) / std::ldexp(1.0, std::max(exponent, -125) - 24);
  }
  static double worst(VectorFunction function, double (*reference)(double), float low, float high) {
    std::vector<float> x;
    for (int i = 0; i <= 100000; ++i)
      x.push_back(low + (high - low) * static_cast<float>(i) / 100000.0f);
    std::vector<float> y = apply(function, x);
    double largest = 0;
    for (size_t i = 0; i < x.size(); ++i)
      largest = std::max(largest, ulps(y[i], reference(x[i])));
    return largest;
  }
};

static double exactExp(double x) { return std::exp(x); }
static double exactTanh(double x) { return std::tanh(x); }

TEST_P(VectorMath, exponentialWithinTwoUlp) {
  EXPECT_LE(worst(exponential, exactExp, -87.0f, 88.0f), 2);
  EXPECT_LE(worst(exponential, exactExp, -1.0f, 1.0f), 2);
}

TEST_P(VectorMath, exponentialAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> y =
      apply(exponential, {0.0f, -0.0f, -1e30f, -3e38f, -infinity, 1e30f, infinity, std::nanf("")});
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_EQ(y[2], 0.0f);
  EXPECT_EQ(y[3], 0.0f);
  EXPECT_EQ(y[4], 0.0f);
  EXPECT_EQ(y[5], infinity);
  EXPECT_EQ(y[6], infinity);
  EXPECT_TRUE(std::isnan(y[7]));
}

TEST_P(VectorMath, tanhWithinThreeUlp) {
  EXPECT_LE(worst(hyperbolicTangent, exactTanh, -10.0f, 10.0f), 3);
  EXPECT_LE(worst(hyperbolicTangent, exactTanh, -0.7f, 0.7f), 3);
}

TEST_P(VectorMath, tanhAtTheEnds) {
  std::vector<float> y = apply(hyperbolicTangent, {0.0f, -0.0f, 1e30f, -1e30f, std::nanf("")});
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(y[2], 1.0f);
  EXPECT_EQ(y[3], -1.0f);
  EXPECT_TRUE(std::isnan(y[4]));
}

// The parts of {2, 2, 0} and x: their maxima, and exp(0) + exp(0) + exp(-2) and 1.
static Value totalWith(VectorBuilder &v, Value x) {
  return mergeSoftmax(v, v.splat(2.0f), v.splat(2.135335283f), x, v.splat(1.0f)).total;
}

static Value factorsWith(VectorBuilder &v, Value x) {
  SoftmaxMerge merged = mergeSoftmax(v, v.splat(2.0f), v.splat(2.135335283f), x, v.splat(1.0f));
  return v.add(merged.maximum, v.mul(v.sub(merged.oldFactor, merged.newFactor), v.splat(0.25f)));
}

TEST_P(VectorMath, softmaxesMerge) {
  const std::vector<float> added = {2.0f, 1.0f, 5.0f, -1e30f};
  std::vector<float> totals = apply(totalWith, added), factors = apply(factorsWith, added);
  for (size_t i = 0; i < added.size(); ++i) {
    const double x = added[i], top = std::max(x, 2.0);
    const double old = std::exp(2.0 - top), fresh = std::exp(x - top);
    // Exponentials within 2 ulp, then three roundings of values below 4.
    EXPECT_NEAR(totals[i], 2.135335283 * old + fresh, 5 * 0x1p-22) << x;
    EXPECT_NEAR(factors[i], top + (old - fresh) / 4, 5 * 0x1p-22) << x;
  }
}

TEST_P(VectorMath, geluHasNoNan) {
  std::vector<float> y = apply(geluTanh, {0.0f, 1.0f, -1.0f, 1e20f, -1e20f, 10.0f, -10.0f});
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_NEAR(y[1], 0.841191990607477, 4e-7);
  EXPECT_NEAR(y[2], -0.158808009392523, 1e-7);
  EXPECT_EQ(y[3], 1e20f);
  EXPECT_EQ(y[4], 0.0f);
  EXPECT_EQ(y[5], 10.0f);
  EXPECT_NEAR(y[6], 0.0, 1e-10);
}

TEST_P(VectorMath, bf16TiesGoToEven) {
  auto bits = [](uint32_t value) { return std::bit_cast<float>(value); };
  std::vector<float> y =
      apply(roundToBf16, {bits(0x3f808000), bits(0x3f818000), bits(0x3f808001), bits(0xbf807fff),
                          bits(0x7f7fffff), std::nanf(""), bits(0x7fffffff), 0.0f});
  EXPECT_EQ(y[0], bits(0x3f800000));
  EXPECT_EQ(y[1], bits(0x3f820000));
  EXPECT_EQ(y[2], bits(0x3f810000));
  EXPECT_EQ(y[3], bits(0xbf800000));
  EXPECT_TRUE(std::isinf(y[4]));
  EXPECT_TRUE(std::isnan(y[5]) && std::isnan(y[6]));
  EXPECT_EQ(y[7], 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Levels, VectorMath, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
