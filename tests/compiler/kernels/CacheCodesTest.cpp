// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Codes of the cache, bit by bit, against their definitions.
#include "compiler/kernels/CacheCodes.h"
#include "tests/compiler/kernels/CodeDefinition.h"
#include "tests/compiler/kernels/VectorFunction.h"

#include <bit>
#include <gtest/gtest.h>
#include <limits>

namespace grok::compiler::testing {

class CacheCodes : public ::testing::TestWithParam<std::string> {
protected:
  // Words as float32 with the same bits, which no arithmetic touches.
  template <CacheElement element> static std::vector<uint8_t> codesOf(const std::vector<float> &x) {
    auto code = [](VectorBuilder &v, Value value) { return v.fromBits(codeOf(v, element, value)); };
    std::vector<uint8_t> codes;
    for (float word : applyTo(x, code, GetParam()))
      codes.push_back(static_cast<uint8_t>(std::bit_cast<uint32_t>(word)));
    return codes;
  }
  template <CacheElement element> static std::vector<float> valuesOfAllCodes() {
    auto value = [](VectorBuilder &v, Value code) {
      return valueOfCode(v, element, v.bitsOf(code));
    };
    std::vector<float> words;
    for (int code = 0; code < 256; ++code)
      words.push_back(std::bit_cast<float>(static_cast<int32_t>(static_cast<int8_t>(code))));
    return applyTo(words, value, GetParam());
  }
};

TEST_P(CacheCodes, valuesOfE4m3) {
  std::vector<float> values = valuesOfAllCodes<CacheElement::e4m3>();
  for (int code = 0; code < 256; ++code)
    if ((code & 0x7f) != 0x7f) { // NaN, which is never stored
      EXPECT_EQ(values[code], valueOfE4m3(static_cast<uint8_t>(code))) << code;
      EXPECT_EQ(std::signbit(values[code]), code >= 0x80) << code;
    }
}

TEST_P(CacheCodes, valuesOfInt8) {
  std::vector<float> values = valuesOfAllCodes<CacheElement::i8>();
  for (int code = 0; code < 256; ++code)
    EXPECT_EQ(values[code], static_cast<float>(static_cast<int8_t>(code)));
}

// Every code, every middle of two, and the float32 numbers beside the middle.
TEST_P(CacheCodes, roundsToE4m3) {
  std::vector<float> x;
  for (int code = 0; code <= 0x7e; ++code)
    for (float sign : {1.0f, -1.0f}) {
      auto value = static_cast<float>(valueOfE4m3(static_cast<uint8_t>(code)));
      auto next = static_cast<float>(valueOfE4m3(static_cast<uint8_t>(code + 1)));
      float middle = (value + next) / 2; // exact
      for (float each :
           {value, middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 500.0f)})
        x.push_back(sign * each);
    }
  std::vector<uint8_t> codes = codesOf<CacheElement::e4m3>(x);
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(codes[i], nearestE4m3(x[i])) << x[i];
}

TEST_P(CacheCodes, saturates) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<float> x = {449, 465, 1e30f, infinity, -465, -infinity, nan, -0.0f, 1e-30f};
  EXPECT_EQ(codesOf<CacheElement::e4m3>(x),
            (std::vector<uint8_t>{0x7e, 0x7e, 0x7e, 0x7e, 0xfe, 0xfe, 0xfe, 0x80, 0}));
  EXPECT_EQ(
      codesOf<CacheElement::i8>({127.5f, 128, infinity, -127.5f, -infinity, nan, 2.5f, -3.5f}),
      (std::vector<uint8_t>{127, 127, 127, 0x81, 0x81, 0x81, 2, 0xfc}));
}

INSTANTIATE_TEST_SUITE_P(Levels, CacheCodes, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
