// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The order of sums: slices as many as keep whole units, units as long as fit.
#include "dialects/plan/SumOrder.h"

#include <cassert>

using namespace grok::plan;

/// Up to this length a unit may be shortened by the row groups alone, so that
/// slices stay a multiple of it.
static constexpr int64_t longestLeastUnit = 64;
static constexpr int64_t mostSlices = 16;

/// The largest power of two that is at most `limit` and divides both numbers.
static int64_t largestPower(int64_t limit, int64_t first, int64_t second) {
  int64_t power = limit;
  while (first % power != 0 || second % power != 0)
    power /= 2;
  return power;
}

SumOrder grok::plan::chooseSumOrder(int64_t length, int64_t groups, int64_t longestUnit) {
  assert(length > 0 && groups > 0 && length % groups == 0);
  int64_t group = length / groups;
  int64_t leastUnit = largestPower(longestLeastUnit, group, group);
  int64_t slices = mostSlices;
  while (length % slices != 0 || (length / slices) % leastUnit != 0)
    slices /= 2;
  return {largestPower(longestUnit, length / slices, group), slices};
}

SumOrder grok::plan::choosePartSumOrder(int64_t fullLength, int64_t fullGroups, int64_t length,
                                        int64_t groups, int64_t longestUnit) {
  SumOrder whole = chooseSumOrder(fullLength, fullGroups, longestUnit);
  const int64_t parts = fullLength / length;
  if (fullLength % length != 0 || whole.slices % parts != 0)
    return chooseSumOrder(length, groups, longestUnit);
  return {whole.unit, whole.slices / parts};
}

int64_t grok::plan::choosePackedInputs(int64_t elementBits, int64_t unit) {
  int64_t wanted = 32 / elementBits; // one 32-bit lane
  return unit % wanted == 0 ? wanted : 1;
}
