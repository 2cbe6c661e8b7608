// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The factor multiplied out again.
#include "compiler/calibration/Cholesky.h"

#include "tests/compiler/quantization/Matrices.h"

#include <gmock/gmock.h>

#include <cmath>
#include <vector>

using namespace grok::calibration;

/// A A^T + 1 of a Gaussian A.
static std::vector<double> positiveMatrix(int64_t n) {
  const std::vector<float> normal = grok::quantization::gaussian(n * n, 3);
  const std::vector<double> a(normal.begin(), normal.end());
  std::vector<double> product(n * n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      product[i * n + j] = i == j;
      for (int64_t k = 0; k < n; ++k)
        product[i * n + j] += a[i * n + k] * a[j * n + k];
    }
  return product;
}

class CholeskyOfSize : public testing::TestWithParam<int64_t> {};

// |L L^T - A| <= (n + 1) eps |L| |L|^T (Higham, Accuracy and Stability, theorem
// 10.3), and a row of |L| has the square sum A[i][i].
TEST_P(CholeskyOfSize, factorGivesTheMatrixAgain) {
  const int64_t n = GetParam();
  const std::vector<double> matrix = positiveMatrix(n);
  std::vector<double> factor = matrix;
  ASSERT_TRUE(factorize(factor, n, 3));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double product = 0;
      for (int64_t k = 0; k <= j; ++k)
        product += factor[i * n + k] * factor[j * n + k];
      const double bound = 2 * static_cast<double>(n + 1) * 0x1p-52 *
                           std::sqrt(matrix[i * n + i] * matrix[j * n + j]);
      ASSERT_NEAR(product, matrix[i * n + j], bound) << i << ", " << j;
    }
}

// Less than one block of columns, whole blocks, and a rest.
INSTANTIATE_TEST_SUITE_P(Cholesky, CholeskyOfSize, testing::Values(1, 7, 48, 130));

TEST(Cholesky, givesTheSameBitsOnAnyNumberOfThreads) {
  const int64_t n = 150;
  std::vector<double> one = positiveMatrix(n), three = one;
  ASSERT_TRUE(factorize(one, n, 1) && factorize(three, n, 3));
  EXPECT_EQ(one, three);
}

TEST(Cholesky, refusesWhatIsNotPositive) {
  std::vector<double> indefinite = {1, 2, 2, 1}, singular = {1, 1, 1, 1}, broken = {NAN};
  EXPECT_FALSE(factorize(indefinite, 2, 1));
  EXPECT_FALSE(factorize(singular, 2, 1));
  EXPECT_FALSE(factorize(broken, 1, 1));
}
