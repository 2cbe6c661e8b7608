// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/tokenizer/Utf8.h"

#include <gtest/gtest.h>

using namespace grok::runtime;

static Utf8State stateOf(std::string_view bytes) { return readUtf8Character(bytes).state; }

TEST(Utf8, CompleteCharacters) {
  EXPECT_EQ(readUtf8Character("a").length, 1u);
  EXPECT_EQ(readUtf8Character(std::string_view("\0", 1)).length, 1u);
  EXPECT_EQ(readUtf8Character("\xc3\xa9x").length, 2u);
  EXPECT_EQ(readUtf8Character("\xe2\x96\x81").length, 3u);
  EXPECT_EQ(readUtf8Character("\xf0\x9f\x98\x80").length, 4u);
}

TEST(Utf8, PrefixesAreIncomplete) {
  for (std::string_view prefix : {"\xc3", "\xe2", "\xe2\x96", "\xf0\x9f\x98", "\xf4\x8f"})
    EXPECT_EQ(stateOf(prefix), Utf8State::incomplete);
}

TEST(Utf8, BrokenBytes) {
  // Continuation alone, overlong, surrogate, beyond U+10FFFF, cut short.
  for (std::string_view bytes : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                                 "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5", "\xff", "\xe2("})
    EXPECT_EQ(stateOf(bytes), Utf8State::broken);
}

TEST(Utf8, FindsTheFirstBrokenByte) {
  EXPECT_EQ(findBrokenUtf8("caf\xc3\xa9"), std::string_view::npos);
  EXPECT_EQ(findBrokenUtf8("caf\xc3"), 3u);
  EXPECT_EQ(findBrokenUtf8("a\xff"), 1u);
  EXPECT_EQ(findBrokenUtf8(""), std::string_view::npos);
}
