// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The library's exports: checks a launch, spreads its clusters over workers.
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/AsyncCopies.h"
#include "runtime/device/emulated/Barriers.h"
#include "runtime/device/emulated/MBarriers.h"
#include "runtime/device/emulated/Machine.h"
#include "runtime/device/emulated/Matrices.h"
#include "runtime/device/emulated/TensorMemory.h"
#include "runtime/device/emulated/WarpCollectives.h"
#include "runtime/device/emulated/Wgmma.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

namespace grok::runtime::emulated {

static double evaluate(double x, uint32_t which) {
  switch (which) {
  case grokExp2:
    return std::exp2(x);
  case grokLog2:
    return std::log2(x);
  case grokSin:
    return std::sin(x);
  case grokCos:
    return std::cos(x);
  case grokTanh:
    return std::tanh(x);
  case grokExp:
    return std::exp(x);
  case grokLog:
    return std::log(x);
  case grokRcp:
    return 1 / x;
  case grokRsqrt:
    return 1 / std::sqrt(x);
  default:
    return std::sqrt(x);
  }
}

static float function(GrokEmulatorThread *, float x, uint32_t which) {
  const auto flushed = [&](float value) {
    const bool isSubnormal = std::fabs(value) < std::numeric_limits<float>::min();
    return (which & grokFlushSubnormals) && isSubnormal ? std::copysign(0.0f, value) : value;
  };
  return flushed(static_cast<float>(evaluate(flushed(x), which & ~grokFlushSubnormals)));
}

static uint32_t permute(GrokEmulatorThread *, uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = low | uint64_t(high) << 32;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t select = selector >> 4 * i & 15;
    auto byte = static_cast<uint32_t>(bytes >> 8 * (select & 7) & 0xff);
    if (select & 8)
      byte = byte & 0x80 ? 0xff : 0;
    result |= byte << 8 * i;
  }
  return result;
}

static GrokEmulatorTable makeTable(bool checkAccesses) {
  GrokEmulatorTable table{};
  table.enter = enter;
  table.access = checkAccesses ? access : allowAccess;
  table.pause = pause;
  table.trap = trap;
  table.barrier = barrier;
  table.barrierArrive = barrierArrive;
  table.barrierReduce = barrierReduce;
  table.clusterArrive = clusterArrive;
  table.clusterWait = clusterWait;
  table.mapShared = mapShared;
  table.fence = fence;
  table.syncWarp = syncWarp;
  table.shuffle = shuffle;
  table.vote = vote;
  table.match = match;
  table.redux = redux;
  table.elect = elect;
  table.loadMatrix = loadMatrix;
  table.storeMatrix = storeMatrix;
  table.mma = mma;
  table.copyAsync = copyAsync;
  table.copyCommit = copyCommit;
  table.copyWait = copyWait;
  table.copyArrive = copyArrive;
  table.mbarrierInit = mbarrierInit;
  table.mbarrierInvalidate = mbarrierInvalidate;
  table.mbarrierArrive = mbarrierArrive;
  table.mbarrierTransactions = mbarrierTransactions;
  table.mbarrierTest = mbarrierTest;
  table.mbarrierWait = mbarrierWait;
  table.bulkToShared = bulkToShared;
  table.bulkToCluster = bulkToCluster;
  table.bulkToGlobal = bulkToGlobal;
  table.tensorToShared = tensorToShared;
  table.tensorToGlobal = tensorToGlobal;
  table.bulkCommit = bulkCommit;
  table.bulkWait = bulkWait;
  table.wgmma = wgmma;
  table.wgmmaFence = wgmmaFence;
  table.wgmmaCommit = wgmmaCommit;
  table.wgmmaWait = wgmmaWait;
  table.wgmmaResult = wgmmaResult;
  table.function = function;
  table.startsEarly = startsEarly;
  table.waitForLaunches = waitForLaunches;
  table.permute = permute;
  table.awaitCounter = awaitCounter;
  table.tmemAllocate = tmemAllocate;
  table.tmemDeallocate = tmemDeallocate;
  table.tmemRelinquish = tmemRelinquish;
  table.tmemMultiply = tmemMultiply;
  table.tmemCommit = tmemCommit;
  table.tmemLoad = tmemLoad;
  table.tmemLoaded = tmemLoaded;
  table.tmemStore = tmemStore;
  table.tmemWait = tmemWait;
  table.tmemFence = tmemFence;
  return table;
}

const GrokEmulatorTable *tableFor(bool checkAccesses) {
  static const GrokEmulatorTable checking = makeTable(true), trusting = makeTable(false);
  return checkAccesses ? &checking : &trusting;
}

static std::string checkLaunch(const GrokEmulatorLaunch &what) {
  std::ostringstream text;
  text << what.name << ": cannot launch " << what.blocks << " blocks of " << what.threads
       << " threads in clusters of " << what.clusterBlocks << ": ";
  if (what.blocks == 0)
    return text.str() + "no block";
  if (what.threads == 0 || what.threads > 1024 || what.threads % 32 != 0)
    return text.str() + "threads must be a multiple of 32, at most 1024";
  if (what.clusterBlocks == 0 || what.clusterBlocks > 16 || what.blocks % what.clusterBlocks != 0)
    return text.str() + "clusters have 1 to 16 blocks and divide the grid";
  if (what.dynamicSharedBytes > SharedMemory::largest)
    return text.str() + "too much dynamic shared memory";
  return {};
}

static void readRegions(Launch &launch) {
  for (uint32_t i = 0; i < launch.what->regionCount; ++i) {
    const GrokEmulatorRegion &region = launch.what->regions[i];
    const auto begin = reinterpret_cast<uintptr_t>(region.address);
    launch.regions.push_back({begin, begin + region.bytes, region.name, region.isWritable != 0});
  }
  std::sort(launch.regions.begin(), launch.regions.end(),
            [](const Region &a, const Region &b) { return a.begin < b.begin; });
}

static std::string run(Store &store, const GrokEmulatorLaunch &what) {
  std::string error = checkLaunch(what);
  if (!error.empty())
    return error;
  Launch launch;
  launch.what = &what;
  launch.store = &store;
  readRegions(launch);
  if (what.blocksMeet && what.checkAccesses && what.blocks > 1)
    launch.races = std::make_unique<GlobalRaces>(what.blocks);
  const uint32_t clusters = what.blocks / what.clusterBlocks;
  const uint32_t count = std::clamp(what.osThreads, 1u, clusters);
  std::vector<Worker> workers(count);
  for (uint32_t w = 0; w < count; ++w) {
    workers[w].launch = &launch;
    workers[w].random.state = uint64_t(what.seed) << 32 | w;
  }
  for (uint32_t c = 0; c < clusters; ++c)
    workers[c % count].waiting.push_back(c);
  launch.workers = &workers;
  std::vector<std::thread> threads;
  for (uint32_t w = 1; w < count; ++w)
    threads.emplace_back([&workers, w] { runWorker(workers[w]); });
  runWorker(workers[0]);
  for (std::thread &thread : threads)
    thread.join();
  return launch.error;
}

static void copyText(const std::string &from, char *to, uint64_t capacity) {
  if (capacity == 0)
    return;
  const uint64_t length = std::min<uint64_t>(from.size(), capacity - 1);
  std::memcpy(to, from.data(), length);
  to[length] = 0;
}

} // namespace grok::runtime::emulated

struct GrokEmulator {
  grok::runtime::emulated::Store store;
};

#define GROK_EXPORT extern "C" __attribute__((visibility("default")))

GROK_EXPORT GrokEmulator *grokEmulatorCreate(char *text, uint64_t capacity) {
  // Translated code is compiled for x86-64-v3.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c") || !__builtin_cpu_supports("bmi2")) {
    grok::runtime::emulated::copyText(
        "the GPU emulator needs a processor with AVX2, FMA, F16C and BMI2", text, capacity);
    return nullptr;
  }
  return new GrokEmulator;
}

GROK_EXPORT int grokEmulatorLaunch(GrokEmulator *emulator, const GrokEmulatorLaunch *what,
                                   char *text, uint64_t capacity) {
  const std::string error = grok::runtime::emulated::run(emulator->store, *what);
  grok::runtime::emulated::copyText(error, text, capacity);
  return error.empty() ? 0 : -1;
}

GROK_EXPORT void grokEmulatorDestroy(GrokEmulator *emulator) { delete emulator; }
