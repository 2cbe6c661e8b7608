// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/TreeSum.h"
#include <algorithm>
#include <bit>
#include <cstring>

namespace grok::runtime {

using Parts = std::span<const float *const>;

// Values that one pass through the tree adds up: their subtotals stay in the
// nearest cache at any depth.
static constexpr int64_t blockValues = 512;

static void addTwo(const float *left, const float *right, float *sum, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    sum[i] = left[i] + right[i];
}

static void addFour(Parts parts, int64_t begin, float *sum, int64_t count) {
  const float *a = parts[0] + begin;
  const float *b = parts[1] + begin;
  const float *c = parts[2] + begin;
  const float *d = parts[3] + begin;
  for (int64_t i = 0; i < count; ++i)
    sum[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

static void sumBlock(Parts parts, int64_t begin, float *sum, int64_t count) {
  if (parts.size() == 1) {
    std::memcpy(sum, parts[0] + begin, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  if (parts.size() == 2)
    return addTwo(parts[0] + begin, parts[1] + begin, sum, count);
  if (parts.size() == 4)
    return addFour(parts, begin, sum, count);
  const size_t mid = std::bit_floor(parts.size() - 1);
  alignas(64) float right[blockValues];
  sumBlock(parts.first(mid), begin, sum, count);
  sumBlock(parts.subspan(mid), begin, right, count);
  addTwo(sum, right, sum, count);
}

void treeSum(Parts parts, float *sum, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += blockValues)
    sumBlock(parts, begin, sum + begin, std::min(blockValues, count - begin));
}

} // namespace grok::runtime
