// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/graph/Nearest.h"

#include <gtest/gtest.h>

using namespace grok::graph;

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(editDistance("", ""), 0u);
  EXPECT_EQ(editDistance("abc", ""), 3u);
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("same", "same"), 0u);
}

TEST(Nearest, PrefersTheFirstOfEqualOnes) {
  EXPECT_EQ(nearestTo("bat", {"dog", "cat", "rat"}), "cat");
}
