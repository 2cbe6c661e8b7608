// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What blocks may touch of each other's memory, and what not.
#include "runtime/device/emulated/GlobalRaces.h"
#include <gtest/gtest.h>

using grok::runtime::emulated::GlobalRaces;

static constexpr uint64_t counter = 64, other = 128, row = 8192 - 8; // across two pages
static constexpr uint64_t bytes = 16;
static constexpr bool reads = false, writes = true;

static void release(GlobalRaces &races, uint32_t block, uint64_t word = counter) {
  races.synchronize(block, word, /*acquires=*/false, /*releases=*/true);
}
static void acquire(GlobalRaces &races, uint32_t block, uint64_t word = counter) {
  races.synchronize(block, word, /*acquires=*/true, /*releases=*/false);
}

TEST(GlobalRaces, whatWasReleasedMayBeReadByWhoAcquired) {
  GlobalRaces races(3);
  EXPECT_FALSE(races.note(0, row, bytes, writes));
  EXPECT_FALSE(races.note(0, row, bytes, reads));
  release(races, 0);
  acquire(races, 1);
  EXPECT_FALSE(races.note(1, row, bytes, reads));
  const auto rival = races.note(2, row + 12, 4, reads);
  ASSERT_TRUE(rival);
  EXPECT_EQ(rival->block, 0u);
  EXPECT_EQ(rival->address, row + 12);
  EXPECT_TRUE(rival->wrote);
}

TEST(GlobalRaces, whatIsWrittenAfterTheReleaseIsNotHandedOver) {
  GlobalRaces races(2);
  release(races, 0);
  EXPECT_FALSE(races.note(0, row, bytes, writes));
  acquire(races, 1);
  EXPECT_TRUE(races.note(1, row, bytes, reads));
}

TEST(GlobalRaces, anotherCounterOrdersNothing) {
  GlobalRaces races(2);
  EXPECT_FALSE(races.note(0, row, bytes, writes));
  release(races, 0, other);
  acquire(races, 1);
  EXPECT_TRUE(races.note(1, row, bytes, writes));
}

TEST(GlobalRaces, whatOthersReadIsOverwrittenOnlyAfterAllOfThem) {
  GlobalRaces races(3);
  for (uint32_t block : {1u, 2u}) {
    EXPECT_FALSE(races.note(block, row, bytes, reads));
    release(races, block, block == 1 ? counter : other);
  }
  acquire(races, 0);
  const auto rival = races.note(0, row, bytes, writes);
  ASSERT_TRUE(rival);
  EXPECT_EQ(rival->block, 2u);
  EXPECT_FALSE(rival->wrote);
  acquire(races, 0, other);
  EXPECT_FALSE(races.note(0, row, bytes, writes));
}

TEST(GlobalRaces, orderGoesOnThroughOthers) {
  GlobalRaces races(3);
  EXPECT_FALSE(races.note(0, row, bytes, writes));
  release(races, 0);
  acquire(races, 1);
  release(races, 1, other);
  acquire(races, 2, other);
  EXPECT_FALSE(races.note(2, row, bytes, writes));
}

TEST(GlobalRaces, aReleaseBetweenLookAndAccessCounts) {
  GlobalRaces races(2);
  acquire(races, 1); // noted before it is done: the word may change before
  EXPECT_FALSE(races.note(0, row, bytes, writes));
  release(races, 0);
  EXPECT_FALSE(races.note(1, row, bytes, reads));
}

// Threads of a block that wait for a word each.
TEST(GlobalRaces, releasesBetweenLooksAndAccessesCount) {
  GlobalRaces races(3);
  acquire(races, 2, counter);
  EXPECT_FALSE(races.note(0, row, 4, writes));
  release(races, 0, counter);
  acquire(races, 2, other);
  EXPECT_FALSE(races.note(1, row + 4, 4, writes));
  release(races, 1, other);
  EXPECT_FALSE(races.note(2, row, bytes, reads));
}

// A block without a tile waits, touches nothing and counts itself in.
TEST(GlobalRaces, aReleaseBetweenLookAndReleaseCounts) {
  GlobalRaces races(3);
  acquire(races, 1, counter);
  EXPECT_FALSE(races.note(0, row, bytes, writes));
  release(races, 0, counter);
  release(races, 1, other);
  acquire(races, 2, other);
  EXPECT_FALSE(races.note(2, row, bytes, reads));
}

TEST(GlobalRaces, partsOfAWordAreNotLookedAt) {
  GlobalRaces races(2);
  EXPECT_FALSE(races.note(0, row, 2, writes));
  EXPECT_FALSE(races.note(1, row + 2, 2, writes));
  EXPECT_FALSE(races.note(1, row - 2, 8, reads)); // one whole word, and parts of two
  EXPECT_TRUE(races.note(0, row, 4, writes));
}
