// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Row groups of parts: the scale of every row is that of its place in the whole.
#include "dialects/grok/Slices.h"

#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace grok;

TEST(SlicesTest, PartsCoverTheWhole) {
  for (int64_t extent = 1; extent < 40; ++extent)
    for (int64_t parts = 1; parts < 9; ++parts) {
      int64_t part = partExtent(extent, parts);
      EXPECT_GE(part * parts, extent);
      EXPECT_TRUE(part * parts == extent || part % 16 == 0);
      // 16 less would not do.
      EXPECT_LT(part * parts, extent + 16 * parts);
    }
  EXPECT_EQ(partExtent(ShapedType::kDynamic, 4), ShapedType::kDynamic);
}

TEST(SlicesTest, NoGroupOfAPartCrossesOneOfTheWhole) {
  MLIRContext context;
  context.loadDialect<GrokDialect>();
  Type scale = BFloat16Type::get(&context);
  for (int64_t groupRows : {4, 12, 24, 48})
    for (int64_t multiplierRows : {0, 4})
      for (int64_t parts : {1, 2, 3, 4, 5, 6, 7, 8, 16}) {
        auto whole = FormatAttr::get(&context, 4, groupRows, scale, multiplierRows, 8, StringAttr(),
                                     /*alongLast=*/false);
        int64_t length = partExtent(48, parts);
        FormatAttr part = partFormat(whole, 48, length);
        ASSERT_EQ(length % part.getGroupRows(), 0);
        for (int64_t index = 0; index < parts; ++index)
          for (int64_t row = 0; row < length && index * length + row < 48; ++row) {
            int64_t first = index * length + row / part.getGroupRows() * part.getGroupRows();
            EXPECT_EQ((index * length + row) / groupRows, first / groupRows);
            if (multiplierRows == 0)
              continue;
            ASSERT_EQ(part.getGroupRows() % part.getMultiplierRows(), 0);
            first = index * length + row / part.getMultiplierRows() * part.getMultiplierRows();
            EXPECT_EQ((index * length + row) / multiplierRows, first / multiplierRows);
          }
      }
}
