// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a format costs, scales and multipliers counted.
#include "compiler/quantization/Format.h"

#include <gtest/gtest.h>

using namespace grok::quantization;
using Kind = MatrixFormat::Kind;

TEST(MatrixFormat, countsEveryByte) {
  // Grok-1's down projection of one expert: 8 row groups of 4096 rows.
  const int64_t rows = 32768, columns = 6144, weights = rows * columns;
  const int64_t scales = 8 * columns * 2;
  EXPECT_EQ(bytesOf({Kind::i8, 8}, rows, columns), weights + scales);
  EXPECT_EQ(bytesOf({Kind::i4, 8, 32}, rows, columns), weights / 2 + weights / 32 + scales);
  EXPECT_EQ(bytesOf({Kind::i3, 8, 64}, rows, columns), weights / 8 * 3 + weights / 64 + scales);
  // 4 bits, 8 bits per 32 weights, 16 bits per 4096 weights.
  EXPECT_DOUBLE_EQ(bitsPerWeight({Kind::i4, 8, 32}, rows, columns), 4 + 8. / 32 + 16. / 4096);
  EXPECT_DOUBLE_EQ(bitsPerWeight({Kind::i8, 1, 0, true}, 100, 50), 8 + 16. / 50);
}

TEST(MatrixFormat, groupsDoNotStraddle) {
  EXPECT_TRUE(isPossible({Kind::i4, 8, 32}, 768));
  EXPECT_FALSE(isPossible({Kind::i4, 8, 64}, 768)); // row groups of 96
  EXPECT_FALSE(isPossible({Kind::i4, 5, 32}, 768)); // row groups not whole
  EXPECT_FALSE(isPossible({Kind::i4, 1, 48}, 768));
  EXPECT_FALSE(isPossible({Kind::i3, 1, 32, true}, 768));
  EXPECT_TRUE(isPossible({Kind::i8, 1, 0, true}, 7));
  EXPECT_TRUE(isPossible({}, 7));
}

TEST(MatrixFormat, productsWithCodesStayInInt8) {
  for (Kind kind : {Kind::i4, Kind::i3})
    EXPECT_LE(maxMultiplierOf(kind) * zeroPointOf(kind), 127);
}

TEST(MatrixFormat, hasANameForPeople) {
  EXPECT_EQ(nameOf({Kind::i3, 8, 64}), "int3 g64");
  EXPECT_EQ(nameOf({Kind::i8, 1, 0, true}), "int8 by row");
  EXPECT_EQ(nameOf({}), "stored");
}
