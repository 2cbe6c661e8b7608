// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/generation/StopText.h"

#include <gtest/gtest.h>

using namespace grok::runtime;

/// All that is shown of `text`, given in pieces of `size` bytes.
static std::string shown(std::vector<std::string> stops, std::string_view text, size_t size) {
  StopText stop(std::move(stops));
  std::string result;
  for (size_t i = 0; i < text.size(); i += size)
    result += stop.push(text.substr(i, size));
  return result + stop.finish();
}

TEST(StopText, PassesTextWithoutStops) {
  StopText stop({});
  EXPECT_EQ(stop.push("anything"), "anything");
  EXPECT_FALSE(stop.isFound());
}

TEST(StopText, EndsBeforeTheFirstStopInAnyPieces) {
  for (size_t size : {1, 2, 3, 5, 100}) {
    EXPECT_EQ(shown({"END"}, "one END two END", size), "one ");
    EXPECT_EQ(shown({"two", "one"}, "zero one two", size), "zero ");
    EXPECT_EQ(shown({"aab"}, "aaaab", size), "aa");
    EXPECT_EQ(shown({"never"}, "neve", size), "neve");
    EXPECT_EQ(shown({"x"}, "x", size), "");
    EXPECT_EQ(shown({"abcd", "bc"}, "abcd", size), "a") << "bc is complete first";
  }
}

TEST(StopText, HoldsBackWhatMayBecomeAStop) {
  StopText stop({"\n\n"});
  EXPECT_EQ(stop.push("a\n"), "a");
  EXPECT_EQ(stop.push("b"), "\nb");
  EXPECT_EQ(stop.push("\n"), "");
  EXPECT_EQ(stop.push("\nrest"), "");
  EXPECT_TRUE(stop.isFound());
  EXPECT_EQ(stop.push("more"), "");
  EXPECT_EQ(stop.finish(), "");
}
