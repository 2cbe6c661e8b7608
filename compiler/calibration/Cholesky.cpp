// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Cholesky by blocks of columns, so that the bulk of the work is products of
// rows that threads share.
#include "compiler/calibration/Cholesky.h"

#include "compiler/calibration/Products.h"
#include "compiler/quantization/Parallel.h"

#include <algorithm>
#include <cmath>

namespace grok::calibration {

static constexpr int64_t blockColumns = 48;

/// The square of `size` rows and columns at `corner`, one column after another.
static bool factorizeCorner(double *corner, int64_t size, int64_t n) {
  for (int64_t j = 0; j < size; ++j) {
    double *pivotRow = corner + j * n;
    const double pivot = pivotRow[j] - dot(pivotRow, pivotRow, j);
    if (!(pivot > 0))
      return false;
    pivotRow[j] = std::sqrt(pivot);
    for (int64_t i = j + 1; i < size; ++i)
      corner[i * n + j] = (corner[i * n + j] - dot(corner + i * n, pivotRow, j)) / pivotRow[j];
  }
  return true;
}

bool factorize(std::span<double> matrix, int64_t n, int threads) {
  double *m = matrix.data();
  for (int64_t begin = 0; begin < n; begin += blockColumns) {
    const int64_t end = std::min(begin + blockColumns, n);
    quantization::parallel(n - begin, threads, [&](int64_t first, int64_t last) {
      for (int64_t i = begin + first; i < begin + last; ++i)
        for (int64_t j = begin; j < std::min(end, i + 1); ++j)
          m[i * n + j] -= dot(m + i * n, m + j * n, begin);
    });
    if (!factorizeCorner(m + begin * n + begin, end - begin, n))
      return false;
    quantization::parallel(n - end, threads, [&](int64_t first, int64_t last) {
      for (int64_t i = end + first; i < end + last; ++i)
        for (int64_t j = begin; j < end; ++j) {
          const double known = dot(m + i * n + begin, m + j * n + begin, j - begin);
          m[i * n + j] = (m[i * n + j] - known) / m[j * n + j];
        }
    });
  }
  return true;
}

} // namespace grok::calibration
