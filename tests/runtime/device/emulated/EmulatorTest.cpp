// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Launches of kernels that are written in C++ against the table, as translated
// ones call it.
#include "runtime/device/emulated/EmulatorABI.h"
#include <atomic>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using testing::HasSubstr;

namespace {

struct Settings {
  uint32_t blocks = 1, threads = 32, clusterBlocks = 1, sharedBytes = 0;
  uint32_t schedule = grokScheduleInOrder, osThreads = 1;
};

class Emulator : public testing::Test {
protected:
  std::string launch(GrokEmulatedKernel kernel, const Settings &settings) {
    GrokEmulatorLaunch what{};
    what.name = "kernel";
    what.kernel = kernel;
    void *values[] = {words.data()};
    what.values = values;
    what.blocks = settings.blocks;
    what.threads = settings.threads;
    what.clusterBlocks = settings.clusterBlocks;
    what.dynamicSharedBytes = settings.sharedBytes;
    GrokEmulatorRegion region = {words.data(), words.size() * sizeof(uint32_t), "words", 1};
    what.regions = &region;
    what.regionCount = 1;
    what.schedule = settings.schedule;
    what.seed = 5;
    what.osThreads = settings.osThreads;
    what.checkAccesses = 1;
    char text[1024];
    EXPECT_EQ(grokEmulatorLaunch(emulator.get(), &what, text, sizeof text) != 0, text[0] != 0);
    return text;
  }

  std::vector<uint32_t> words = std::vector<uint32_t>(4096);
  std::unique_ptr<GrokEmulator, void (*)(GrokEmulator *)> emulator{grokEmulatorCreate(nullptr, 0),
                                                                   grokEmulatorDestroy};
};

uint32_t idOf(const GrokEmulatorThread *thread) {
  const uint32_t *r = thread->registers;
  return r[grokCtaidX] * r[grokNtidX] + r[grokTidX];
}

uint32_t *wordsOf(void *const *values) { return static_cast<uint32_t *>(values[0]); }

} // namespace

TEST_F(Emulator, RunsEveryThreadOfEveryBlock) {
  for (uint32_t osThreads : {1u, 2u, 5u})
    for (uint32_t schedule : {grokScheduleInOrder, grokScheduleRandom, grokScheduleGreedyWarp}) {
      std::fill(words.begin(), words.end(), 0);
      Settings settings;
      settings.blocks = 4;
      settings.threads = 1024;
      settings.osThreads = osThreads;
      settings.schedule = schedule;
      ASSERT_EQ(launch(
                    [](GrokEmulatorThread *thread, void *const *values) {
                      thread->table->enter(thread, 0);
                      thread->table->barrier(thread, 0, 0, "barrier");
                      ++wordsOf(values)[idOf(thread)];
                    },
                    settings),
                "");
      EXPECT_EQ(words, std::vector<uint32_t>(4096, 1));
    }
}

TEST_F(Emulator, BlocksWaitForEachOtherOnAnyNumberOfOsThreads) {
  for (uint32_t osThreads : {1u, 2u}) {
    words[0] = 0;
    Settings settings;
    settings.blocks = 3;
    settings.osThreads = osThreads;
    EXPECT_EQ(launch(
                  [](GrokEmulatorThread *thread, void *const *values) {
                    thread->table->enter(thread, 0);
                    std::atomic_ref<uint32_t> count(wordsOf(values)[0]);
                    if (thread->registers[grokTidX] == 0)
                      ++count;
                    while (count < 3)
                      thread->table->pause(thread, "spin");
                  },
                  settings),
              "");
  }
}

TEST_F(Emulator, SaysWhatWaitsForever) {
  Settings settings;
  settings.blocks = 2;
  settings.osThreads = 2;
  EXPECT_THAT(launch(
                  [](GrokEmulatorThread *thread, void *const *) {
                    thread->table->enter(thread, 0);
                    while (true)
                      thread->table->pause(thread, "the spin");
                  },
                  settings),
              HasSubstr("spinning for memory to change at (the spin)"));
  EXPECT_THAT(launch(
                  [](GrokEmulatorThread *thread, void *const *) {
                    thread->table->enter(thread, 0);
                    if (thread->registers[grokTidX] != 7)
                      thread->table->barrier(thread, 3, 0, "the barrier");
                  },
                  settings),
              testing::AllOf(HasSubstr("31 threads"), HasSubstr("the barrier"),
                             HasSubstr("1 thread (first: 7 of block")));
}

TEST_F(Emulator, RunsAgainAfterAnError) {
  EXPECT_THAT(launch(
                  [](GrokEmulatorThread *thread, void *const *values) {
                    thread->table->enter(thread, 0);
                    thread->table->access(thread, wordsOf(values) - 1, 4, 4 << 8 | grokGlobal << 4,
                                          "the load");
                  },
                  {}),
              HasSubstr("read of 4 bytes at byte -4 of words, out of bounds: it has 16384 "
                        "(the load)"));
  EXPECT_EQ(
      launch([](GrokEmulatorThread *thread, void *const *) { thread->table->enter(thread, 0); },
             {}),
      "");
}

TEST_F(Emulator, ChecksAccesses) {
  const auto error = [&](uint32_t bytes, uint32_t how, std::ptrdiff_t offset, bool isShared) {
    words[0] = bytes;
    words[1] = how;
    words[2] = static_cast<uint32_t>(offset);
    words[3] = isShared;
    Settings settings;
    settings.sharedBytes = 64;
    return launch(
        [](GrokEmulatorThread *thread, void *const *values) {
          thread->table->enter(thread, 64);
          const uint32_t *w = wordsOf(values);
          auto *base = w[3] ? thread->shared : reinterpret_cast<unsigned char *>(wordsOf(values));
          thread->table->access(thread, base + w[2], w[0], w[1], "it");
        },
        settings);
  };
  constexpr uint32_t global = grokGlobal << 4, shared = grokShared << 4, generic = grokGeneric << 4;
  EXPECT_EQ(error(16, 16 << 8 | global, 16368, false), "");
  EXPECT_THAT(error(16, 8 << 8 | global, 16376, false), HasSubstr("out of bounds"));
  EXPECT_THAT(error(4, 4 << 8 | global, 2, false), HasSubstr("not aligned to 4"));
  EXPECT_EQ(error(16, 16 << 8 | shared | grokStore, 112, true), "");
  EXPECT_EQ(error(16, 16 << 8 | generic, 112, true), "");
  EXPECT_THAT(error(4, 4 << 8 | shared, 128, true), HasSubstr("the block has 128"));
  EXPECT_THAT(error(8, 8 << 8 | shared, 4, true), HasSubstr("not aligned to 8"));
  EXPECT_THAT(error(4, 4 << 8 | shared, 0, false), HasSubstr("which is not shared memory"));
}

TEST_F(Emulator, RefusesLaunchesThatNoGpuTakes) {
  const auto nothing = [](GrokEmulatorThread *thread, void *const *) {
    thread->table->enter(thread, 0);
  };
  Settings settings;
  settings.threads = 33;
  EXPECT_THAT(launch(nothing, settings), HasSubstr("threads must be a multiple of 32"));
  settings.threads = 32;
  settings.blocks = 3;
  settings.clusterBlocks = 2;
  EXPECT_THAT(launch(nothing, settings), HasSubstr("divide the grid"));
  settings.clusterBlocks = 1;
  settings.sharedBytes = 232449;
  EXPECT_THAT(launch(nothing, settings), HasSubstr("shared memory"));
}

TEST_F(Emulator, EvaluatesApproximateFunctions) {
  EXPECT_EQ(launch(
                [](GrokEmulatorThread *thread, void *const *values) {
                  thread->table->enter(thread, 0);
                  auto *out = reinterpret_cast<float *>(wordsOf(values));
                  const auto call = [&](float x, uint32_t which) {
                    return thread->table->function(thread, x, which);
                  };
                  out[0] = call(3, grokExp2);
                  out[1] = call(8, grokLog2);
                  out[2] = call(4, grokRsqrt);
                  out[3] = call(0, grokRcp);
                  out[4] = call(1e-40f, grokExp2 | grokFlushSubnormals);
                  out[5] = call(-140, grokExp2 | grokFlushSubnormals);
                  out[6] = call(-140, grokExp2);
                  out[7] = call(20, grokTanh);
                },
                {}),
            "");
  float out[8];
  std::memcpy(out, words.data(), sizeof out);
  const float infinity = std::numeric_limits<float>::infinity();
  const float expected[] = {8, 3, 0.5f, infinity, 1, 0, 0x1p-140f, 1};
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(out[i], expected[i]) << i;
}

TEST_F(Emulator, PermutesBytes) {
  EXPECT_EQ(launch(
                [](GrokEmulatorThread *thread, void *const *values) {
                  thread->table->enter(thread, 0);
                  wordsOf(values)[0] =
                      thread->table->permute(thread, 0x33221180, 0x77665544, 0x8740);
                },
                {}),
            "");
  // Byte 0, byte 4, byte 7, and the sign of byte 0.
  EXPECT_EQ(words[0], 0xff774480u);
}

TEST_F(Emulator, RunsTheSameWayTwice) {
  // The order in which threads come is written down; it follows from the seed.
  const auto order = [&] {
    std::fill(words.begin(), words.end(), 0);
    Settings settings;
    settings.blocks = 2;
    settings.threads = 64;
    settings.schedule = grokScheduleRandom;
    EXPECT_EQ(launch(
                  [](GrokEmulatorThread *thread, void *const *values) {
                    thread->table->enter(thread, 0);
                    for (int i = 0; i < 10; ++i) {
                      thread->table->syncWarp(thread, ~0u, "sync");
                      uint32_t *w = wordsOf(values);
                      w[1 + w[0]++] = idOf(thread);
                    }
                  },
                  settings),
              "");
    return words;
  };
  const auto first = order();
  EXPECT_EQ(order(), first);
}
