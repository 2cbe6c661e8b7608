// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/commandline/CommandLine.h"

#include <gmock/gmock.h>

using namespace grok::tools;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Values, Sizes) {
  EXPECT_EQ(parseSize("0").value(), 0u);
  EXPECT_EQ(parseSize("1536").value(), 1536u);
  EXPECT_EQ(parseSize("7B").value(), 7u);
  EXPECT_EQ(parseSize("64KiB").value(), 65536u);
  EXPECT_EQ(parseSize("1.5MiB").value(), 1572864u);
  EXPECT_EQ(parseSize("4GiB").value(), uint64_t(4) << 30);
  EXPECT_EQ(parseSize("2TiB").value(), uint64_t(2) << 40);
}

TEST(Values, BadSizes) {
  for (const char *text : {"", "GiB", "-1", "nan", "inf", "x4GiB"})
    EXPECT_THAT(parseSize(text).error(), HasSubstr("is no size")) << text;
  for (const char *text : {"4GB", "4 GiB", "4gib", "4GiB ", "0x10"})
    EXPECT_THAT(parseSize(text).error(), HasSubstr("unknown unit")) << text;
  for (const char *text : {"9223372036854775808", "8388608TiB", "99999999999999999999999999"})
    EXPECT_THAT(parseSize(text).error(), HasSubstr("too large")) << text;
}

TEST(Values, Ids) {
  EXPECT_THAT(parseIds("7").value(), ElementsAre(7));
  EXPECT_THAT(parseIds("1,2, 3 ,-4").value(), ElementsAre(1, 2, 3, -4));
}

TEST(Values, BadIds) {
  for (const char *text : {"", " ", ",", "1,", ",1", "1,,2", "x", "1,x", "99999999999"})
    EXPECT_THAT(parseIds(text).error(), HasSubstr("is no token id")) << text;
  for (const char *text : {"1 2", "1.5", "1;2", "3e5"})
    EXPECT_THAT(parseIds(text).error(), HasSubstr("separate ids by commas")) << text;
}

TEST(Values, ShowsSizes) {
  EXPECT_EQ(showSize(0), "0 B");
  EXPECT_EQ(showSize(1023), "1023 B");
  EXPECT_EQ(showSize(1536), "1.5 KiB");
  EXPECT_EQ(showSize(uint64_t(5) << 30), "5 GiB");
}
