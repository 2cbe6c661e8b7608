// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cpu/ThreadPool.h"
#include <chrono>
#include <gmock/gmock.h>
#include <numeric>
#include <thread>

namespace grok::runtime {

namespace {

/// Counts how often each tile ran and who ran it.
struct Counts {
  explicit Counts(int64_t tiles) : tiles(static_cast<size_t>(tiles)) {}
  static void body(void *context, int64_t begin, int64_t end, int worker) {
    auto &counts = *static_cast<Counts *>(context);
    counts.workers |= uint64_t(1) << worker;
    for (int64_t tile = begin; tile < end; ++tile)
      counts.tiles[static_cast<size_t>(tile)].fetch_add(1, std::memory_order_relaxed);
  }
  bool allOnce() const {
    return std::all_of(tiles.begin(), tiles.end(), [](const auto &count) { return count == 1; });
  }
  std::vector<std::atomic<int>> tiles;
  std::atomic<uint64_t> workers = 0;
};

} // namespace

TEST(ThreadPool, RunsEveryTileOnce) {
  for (int threads : {1, 2, 4, 7}) {
    auto pool = ThreadPool::create(threads).value();
    EXPECT_EQ(pool->threads(), threads);
    for (int64_t tiles : {1, 2, 3, 64, 1000})
      for (int64_t grain : {1, 3, 1000, 5000}) {
        Counts counts(tiles);
        pool->run({Counts::body, &counts, tiles, grain});
        EXPECT_TRUE(counts.allOnce()) << threads << " threads, " << tiles << " tiles";
        EXPECT_LT(counts.workers.load(), uint64_t(1) << threads);
      }
  }
}

TEST(ThreadPool, NoTilesRunNothing) {
  auto pool = ThreadPool::create(2).value();
  Counts counts(1);
  pool->run({Counts::body, &counts, 0, 1});
  EXPECT_EQ(counts.tiles[0], 0);
}

// Short loops one after the other: late workers meet the next loop.
TEST(ThreadPool, ManyShortLoops) {
  auto pool = ThreadPool::create(4).value();
  for (int i = 0; i < 2000; ++i) {
    Counts counts(1 + i % 9);
    pool->run({Counts::body, &counts, 1 + i % 9, 1});
    ASSERT_TRUE(counts.allOnce()) << i;
  }
}

TEST(ThreadPool, WakesSleepingWorkers) {
  auto pool = ThreadPool::create(3).value();
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Counts counts(64);
    pool->run({Counts::body, &counts, 64, 1});
    EXPECT_TRUE(counts.allOnce());
  }
}

TEST(ThreadPool, SeveralPoolsAtOnce) {
  auto work = [] {
    auto pool = ThreadPool::create(2).value();
    for (int i = 0; i < 200; ++i) {
      Counts counts(16);
      pool->run({Counts::body, &counts, 16, 1});
      ASSERT_TRUE(counts.allOnce());
    }
  };
  std::thread other(work);
  work();
  other.join();
}

static cpu_set_t currentAffinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  return set;
}

/// Processors in the caller's reach while it is to keep off the workers' cores.
static int reachOfCaller(int threads, int nodes) {
  Topology topology = Topology::detect();
  topology.nodes = nodes;
  auto pool = ThreadPool::create(threads, topology).value();
  ThreadPool::CallerPin pin(*pool);
  cpu_set_t during = currentAffinity();
  return CPU_COUNT(&during);
}

TEST(ThreadPool, PinsWhereMemoryHasNodes) {
  cpu_set_t before = currentAffinity();
  if (Topology::detect().cores == 1)
    GTEST_SKIP() << "one core: nothing is pinned";
  EXPECT_EQ(reachOfCaller(0, /*nodes=*/2), 1);
  cpu_set_t after = currentAffinity();
  EXPECT_TRUE(CPU_EQUAL(&before, &after)) << "for a while only";
}

TEST(ThreadPool, PinsNobodyElsewhere) {
  cpu_set_t all = currentAffinity();
  EXPECT_EQ(reachOfCaller(0, /*nodes=*/1), CPU_COUNT(&all));
  EXPECT_EQ(reachOfCaller(1, /*nodes=*/2), CPU_COUNT(&all)) << "a small pool";
}

TEST(Topology, KnowsThisMachine) {
  Topology topology = Topology::detect();
  EXPECT_GE(topology.nodes, 1);
  EXPECT_LE(topology.nodes, static_cast<int>(topology.processors.size()));
}

TEST(ThreadPool, RefusesAbsurdCounts) {
  EXPECT_THAT(ThreadPool::create(-1).error(), testing::HasSubstr("threads: -1"));
  EXPECT_THAT(ThreadPool::create(1 << 20).error(), testing::HasSubstr("expected 0..4096"));
}

TEST(ThreadPool, ZeroMeansCores) { EXPECT_GE(ThreadPool::create(0).value()->threads(), 1); }

} // namespace grok::runtime
