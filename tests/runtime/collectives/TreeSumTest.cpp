// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/TreeSum.h"
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

namespace grok::runtime {

// The definition, one value at a time.
static float definition(const std::vector<float> &values, size_t low, size_t high) {
  if (high - low == 1)
    return values[low];
  size_t half = 1;
  while (half * 2 < high - low)
    half *= 2;
  return definition(values, low, low + half) + definition(values, low + half, high);
}

static float partOf(size_t part, size_t place) {
  const size_t mixed = (part * 977 + place * 131) % 1009;
  return std::ldexp(static_cast<float>(mixed) - 504.0F, static_cast<int>(mixed % 23) - 11);
}

TEST(TreeSum, IsItsDefinition) {
  for (size_t numParts = 1; numParts <= 17; ++numParts)
    for (const size_t count : {1, 511, 512, 1500}) {
      std::vector<std::vector<float>> parts(numParts, std::vector<float>(count));
      std::vector<const float *> pointers;
      for (size_t part = 0; part < numParts; ++part) {
        for (size_t i = 0; i < count; ++i)
          parts[part][i] = partOf(part, i);
        pointers.push_back(parts[part].data());
      }
      std::vector<float> sum(count + 1, -1.0F), column(numParts);
      treeSum(pointers, sum.data(), static_cast<int64_t>(count));
      for (size_t i = 0; i < count; ++i) {
        for (size_t part = 0; part < numParts; ++part)
          column[part] = parts[part][i];
        ASSERT_EQ(sum[i], definition(column, 0, numParts)) << numParts << " parts, value " << i;
      }
      EXPECT_EQ(sum.back(), -1.0F) << "written past the end";
    }
}

// 2^24 + 1 is no float: adding ones in pairs first is what keeps them.
TEST(TreeSum, OrderMatters) {
  const float parts[4] = {16777216.0F, 0.0F, 1.0F, 1.0F};
  const float *const pointers[4] = {&parts[0], &parts[1], &parts[2], &parts[3]};
  float sum = 0;
  treeSum(pointers, &sum, 1);
  EXPECT_EQ(sum, 16777218.0F);
  EXPECT_EQ(((parts[0] + parts[1]) + parts[2]) + parts[3], 16777216.0F) << "a left fold";
}

} // namespace grok::runtime
