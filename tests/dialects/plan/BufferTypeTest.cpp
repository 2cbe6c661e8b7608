// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bytes of buffers, of their parts, and of cache pages.
#include "dialects/plan/PageShape.h"
#include "dialects/plan/PlanDialect.h"

#include "dialects/grok/GrokDialect.h"
#include "mlir/AsmParser/AsmParser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace grok::plan;

namespace {
class BufferTypeTest : public testing::Test {
protected:
  BufferTypeTest() { context.loadDialect<grok::GrokDialect, PlanDialect>(); }
  BufferType parse(StringRef tensor) {
    return cast<BufferType>(parseType(("!plan.buffer<" + tensor + ">").str(), &context));
  }
  MLIRContext context;
};
} // namespace

TEST_F(BufferTypeTest, CountsRowsAndRoundsUpTo64) {
  EXPECT_TRUE(parse("tensor<?x6x16xf32>").isPerRow());
  EXPECT_EQ(parse("tensor<?x6x16xf32>").getBytes(3), 3 * 6 * 16 * 4);
  EXPECT_EQ(parse("tensor<?x2xf32>").getBytes(1), 64);
  EXPECT_EQ(parse("tensor<?x2xi32>").getBytes(9), 128);
  EXPECT_FALSE(parse("tensor<21xi32>").isPerRow());
  EXPECT_EQ(parse("tensor<21xi32>").getBytes(512), 128);
  EXPECT_EQ(parse("tensor<5x3xbf16>").getBytes(1), 64);
}

TEST_F(BufferTypeTest, PutsScalesBehindValues) {
  auto type = parse("tensor<2x96x5xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>>");
  auto parts = type.getParts(1);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].name, "values");
  EXPECT_EQ(parts[0].bytes, 2 * 96 * 5);
  EXPECT_EQ(parts[1].name, "scales");
  EXPECT_EQ(parts[1].offset, 2 * 96 * 5);
  EXPECT_EQ(parts[1].bytes, 64); // 2 experts x 2 groups x 5 columns of bf16
  EXPECT_EQ(type.getBytes(1), 2 * 96 * 5 + 64);
}

TEST_F(BufferTypeTest, SaturatesInsteadOfOverflowing) {
  int64_t bytes = parse("tensor<?x1073741824xf32>").getBytes(int64_t(1) << 31);
  EXPECT_EQ(bytes, int64_t(1) << 56);
}

TEST(PageShapeTest, AlignsEveryArray) {
  PageShape released = PageShape::of(/*kvHeads=*/8, /*headDim=*/128, /*pageTokens=*/32, 2);
  EXPECT_EQ(released.valueOffset, 8 * 128 * 32 * 2);
  EXPECT_EQ(released.keepOffset, 2 * 8 * 128 * 32 * 2);
  EXPECT_EQ(released.layerBytes, released.keepOffset + 128);
  // One byte per element, and two arrays of scales.
  PageShape quantized = PageShape::of(/*kvHeads=*/8, /*headDim=*/128, /*pageTokens=*/32, 1);
  EXPECT_EQ(quantized.keyScaleOffset, 2 * 8 * 128 * 32);
  EXPECT_EQ(quantized.valueScaleOffset, quantized.keyScaleOffset + 8 * 32 * 4);
  EXPECT_EQ(quantized.layerBytes, quantized.valueScaleOffset + 8 * 32 * 4 + 128);
  EXPECT_EQ(released.keyScaleOffset, released.keepOffset);
  // Values are padded to 16 columns, keys are not.
  PageShape odd = PageShape::of(/*kvHeads=*/1, /*headDim=*/10, /*pageTokens=*/16, 4);
  EXPECT_EQ(odd.valueOffset, 640);
  EXPECT_EQ(odd.keepOffset, 640 + 1024);
  EXPECT_EQ(odd.layerBytes, 640 + 1024 + 64);
}
