// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/MatrixProducts.h"
#include "runtime/device/emulated/EmulatorABI.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace grok::runtime::emulated {

static float decodeByte(uint32_t code, uint32_t element) {
  float values[4];
  EXPECT_EQ(decodeFloats(code, element, values), 4u);
  return values[0];
}

// OCP 8-bit floating point specification, tables 1 and 2.
TEST(DecodeFloats, E4m3) {
  EXPECT_EQ(decodeByte(0x00, grokE4m3), 0);
  EXPECT_EQ(decodeByte(0x01, grokE4m3), std::ldexp(1.0f, -9));
  EXPECT_EQ(decodeByte(0x07, grokE4m3), std::ldexp(7.0f, -9));
  EXPECT_EQ(decodeByte(0x08, grokE4m3), std::ldexp(1.0f, -6));
  EXPECT_EQ(decodeByte(0x38, grokE4m3), 1);
  EXPECT_EQ(decodeByte(0xb8, grokE4m3), -1);
  EXPECT_EQ(decodeByte(0x7e, grokE4m3), 448);
  EXPECT_TRUE(std::isnan(decodeByte(0x7f, grokE4m3)));
}

TEST(DecodeFloats, E5m2) {
  EXPECT_EQ(decodeByte(0x01, grokE5m2), std::ldexp(1.0f, -16));
  EXPECT_EQ(decodeByte(0x04, grokE5m2), std::ldexp(1.0f, -14));
  EXPECT_EQ(decodeByte(0x3c, grokE5m2), 1);
  EXPECT_EQ(decodeByte(0x7b, grokE5m2), 57344);
  EXPECT_TRUE(std::isinf(decodeByte(0x7c, grokE5m2)));
}

TEST(DecodeFloats, WordsOfSixteenBits) {
  float values[4];
  ASSERT_EQ(decodeFloats(0xc0003f80, grokBf16, values), 2u);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], -2);
  ASSERT_EQ(decodeFloats(0xc0003c00, grokF16, values), 2u);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], -2);
  ASSERT_EQ(decodeFloats(0x3f801fff, grokTf32, values), 1u); // the low bits are not read
  EXPECT_EQ(values[0], 1);
}

TEST(AddProducts, RoundsOnce) {
  constexpr int k = 32;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  float a[16 * k], b[k * 8], sums[16 * 8], before[16 * 8];
  for (float &value : a)
    value = normal(random);
  for (float &value : b)
    value = normal(random);
  for (int i = 0; i < 128; ++i)
    before[i] = sums[i] = 1e6f * normal(random);
  addProducts(a, b, sums, k);
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      double exact = before[m * 8 + n];
      for (int i = 0; i < k; ++i)
        exact += static_cast<double>(a[m * k + i]) * b[i * 8 + n];
      // Both are float64 sums, in orders that may differ: far less than half a unit.
      EXPECT_NEAR(sums[m * 8 + n], exact, 0.501 * std::fabs(exact) * 0x1p-23);
    }
}

TEST(AddProducts, IntegersWrap) {
  int16_t a[16 * 16], b[16 * 8];
  int32_t sums[16 * 8];
  std::fill(std::begin(a), std::end(a), int16_t(255));
  std::fill(std::begin(b), std::end(b), int16_t(-128));
  std::fill(std::begin(sums), std::end(sums), INT32_MIN);
  addProducts(a, b, sums, 16);
  EXPECT_EQ(sums[17], static_cast<int32_t>(0x80000000u - 16u * 255 * 128));
}

} // namespace grok::runtime::emulated
