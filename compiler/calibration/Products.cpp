// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Four chains side by side hide the latency of additions; they are joined in one
// fixed order. Compiled without contraction of a * b + c into one rounding.
#include "compiler/calibration/Products.h"

#include <cstring>

namespace grok::calibration {

GROK_CLONES
double dot(const double *a, const double *b, int64_t count) {
  DoubleLanes sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * doubleLanes <= count; i += 4 * doubleLanes) {
    DoubleLanes left[4], right[4];
    std::memcpy(left, a + i, sizeof left);
    std::memcpy(right, b + i, sizeof right);
    for (int chain = 0; chain < 4; ++chain)
      sums[chain] += left[chain] * right[chain];
  }
  double lanes[doubleLanes], sum = 0;
  sums[0] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  std::memcpy(lanes, sums, sizeof lanes);
  for (double lane : lanes)
    sum += lane;
  for (; i < count; ++i)
    sum += a[i] * b[i];
  return sum;
}

GROK_CLONES
void combine(const float *factors, const FloatLanes *vectors, int64_t count, FloatLanes *result) {
  FloatLanes sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (int chain = 0; chain < 4; ++chain)
      sums[chain] += factors[i + chain] * vectors[i + chain];
  for (; i < count; ++i)
    sums[0] += factors[i] * vectors[i];
  *result = (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

} // namespace grok::calibration
