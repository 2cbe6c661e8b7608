// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/checkpoint/ValueChecks.h"

#include <cstring>
#include <gtest/gtest.h>
#include <limits>

using namespace grok::checkpoint;

static constexpr float infinity = std::numeric_limits<float>::infinity();
static constexpr float notANumber = std::numeric_limits<float>::quiet_NaN();

/// Values at an odd address, as in a pickle.
static std::vector<std::byte> bytesOf(const std::vector<float> &values, DType dtype) {
  std::vector<std::byte> bytes(1);
  for (float value : values) {
    std::byte word[4];
    std::memcpy(word, &value, 4);
    bytes.insert(bytes.end(), dtype == DType::f32 ? word : word + 2, word + 4);
  }
  return bytes;
}

static std::optional<int64_t> nonFinite(const std::vector<float> &values, DType dtype) {
  std::vector<std::byte> bytes = bytesOf(values, dtype);
  return findNonFinite(std::span(bytes).subspan(1), dtype);
}

static std::optional<int64_t> badScale(const std::vector<float> &values) {
  std::vector<std::byte> bytes = bytesOf(values, DType::bf16);
  return findBadScale(std::span(bytes).subspan(1), DType::bf16);
}

TEST(ValueChecks, FindsNonFiniteWeights) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    std::vector<float> values(10000, -1.5f);
    values[3] = -0.0f;
    values[4] = std::numeric_limits<float>::lowest() / 2;
    EXPECT_EQ(nonFinite(values, dtype), std::nullopt);
    for (float bad : {infinity, -infinity, notANumber, -notANumber}) {
      values[9001] = bad;
      EXPECT_EQ(nonFinite(values, dtype), 9001);
    }
  }
}

TEST(ValueChecks, FindsBadScales) {
  EXPECT_EQ(badScale({1, 0, -0.0f, 1e30f}), std::nullopt);
  EXPECT_EQ(badScale({1, -1}), 1);
  EXPECT_EQ(badScale({1, 1, -1e-38f}), 2);
  EXPECT_EQ(badScale({infinity}), 0);
  EXPECT_EQ(badScale({-infinity}), 0);
  EXPECT_EQ(badScale({1, notANumber, infinity}), 1);
  EXPECT_EQ(badScale({}), std::nullopt);
}
