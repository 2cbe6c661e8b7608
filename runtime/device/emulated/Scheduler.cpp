// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which lane runs next. Lanes switch directly to the next lane of their warp;
// only when a warp can do no more does its worker choose another.
#include "runtime/device/emulated/AsyncCopies.h"
#include "runtime/device/emulated/Deadlock.h"
#include "runtime/device/emulated/MBarriers.h"
#include "runtime/device/emulated/Machine.h"
#include "runtime/device/emulated/TensorMemory.h"
#include "runtime/device/emulated/WarpCollectives.h"
#include <algorithm>
#include <chrono>
#include <thread>

namespace grok::runtime::emulated {

// A lane may be stopped after at most this many memory accesses (random schedule).
constexpr uint32_t mostFuel = 96;
// Pauses of all waiting lanes together before a launch that does nothing else
// is taken to wait forever; a fraction of a second.
constexpr uint64_t mostIdlePauses = 1'000'000;
constexpr uint64_t mostPauses = 400'000'000;
constexpr uint64_t fewIdlePauses = 1000;
constexpr uint64_t mostPausesAwake = 100'000; // of a launch that waits for another one

static bool isRandom(const Launch &launch) { return launch.what->schedule == grokScheduleRandom; }

static int64_t newFuel(Worker &worker) {
  return isRandom(*worker.launch) ? int64_t(1) + worker.random() % mostFuel : INT64_MAX;
}

static uint32_t randomBit(Worker &worker, uint32_t mask) {
  for (uint32_t skip = worker.random() % std::popcount(mask); skip > 0; --skip)
    mask &= mask - 1;
  return std::countr_zero(mask);
}

// The lane that follows `after` in its warp, or null: back to the scheduler.
static Lane *nextLane(Worker &worker, Warp &warp, uint32_t after) {
  if (warp.ready == 0)
    return nullptr;
  switch (worker.launch->what->schedule) {
  case grokScheduleRandom:
    return worker.random() % 8 == 0 ? nullptr : &warp.lanes[randomBit(worker, warp.ready)];
  case grokScheduleGreedyWarp:
    return &warp.lanes[std::countr_zero(warp.ready)];
  default: {
    const uint32_t later = after >= 31 ? 0 : warp.ready & (~0u << (after + 1));
    return later ? &warp.lanes[std::countr_zero(later)] : nullptr;
  }
  }
}

static void leaveReady(Warp &warp, uint32_t lane) {
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0)
    warp.block->readyWarps &= ~(1u << warp.index);
}

static void switchFrom(Lane &lane) {
  const Lane *next = nextLane(*lane.worker, *lane.warp, lane.lane);
  if (next != &lane)
    grokSwitchFiber(&lane.stackPointer, next ? next->stackPointer : lane.worker->stackPointer);
}

void block(Lane &lane, State state, GrokEmulatorSite site) {
  lane.state = state;
  lane.site = site;
  leaveReady(*lane.warp, lane.lane);
  switchFrom(lane);
}

void preempt(Lane &lane) {
  lane.fuel = newFuel(*lane.worker);
  switchFrom(lane);
}

void makeReady(Lane &lane) {
  lane.state = State::ready;
  lane.warp->ready |= 1u << lane.lane;
  lane.block->readyWarps |= 1u << lane.warp->index;
}

void noteProgress(Lane &lane) { lane.worker->idlePauses = 0; }

std::string placeOf(const Lane &lane) {
  std::ostringstream text;
  text << lane.worker->launch->what->name << ": block " << lane.block->index << ", thread "
       << lane.thread << ": ";
  return text.str();
}

void Launch::setError(const std::string &text) {
  const std::lock_guard guard(lock);
  if (error.empty())
    error = text;
  hasFailed = true;
}

static void leaveForever(Lane &lane) {
  void *unused = nullptr;
  grokSwitchFiber(&unused, lane.worker->stackPointer);
  __builtin_unreachable();
}

void abandon(Lane &lane, const std::string &text) {
  lane.worker->launch->setError(text);
  leaveForever(lane);
  __builtin_unreachable();
}

// The first and only call on a lane's stack.
static void runLane(void *argument) {
  Lane &lane = *static_cast<Lane *>(argument);
  const GrokEmulatorLaunch &what = *lane.worker->launch->what;
  what.kernel(&lane, what.values);
  if (!lane.copies.empty() || !lane.bulkStores.empty())
    finishCopies(lane);
  noteProgress(lane);
  lane.state = State::done;
  lane.site = "its end";
  if (--lane.block->unfinished == 0)
    if (const std::string leak = leakOf(*lane.block); !leak.empty())
      lane.worker->launch->setError(std::string(what.name) + ": " + leak);
  leaveReady(*lane.warp, lane.lane);
  lane.warp->alive &= ~(1u << lane.lane);
  leaveMeetings(*lane.warp);
  const Lane *next = nextLane(*lane.worker, *lane.warp, lane.lane);
  void *unused = nullptr;
  grokSwitchFiber(&unused, next ? next->stackPointer : lane.worker->stackPointer);
}

static void setRegisters(Lane &lane, const Block &block, const GrokEmulatorLaunch &what) {
  uint32_t *r = lane.registers;
  const uint32_t bit = 1u << lane.lane;
  r[grokTidX] = lane.thread;
  r[grokNtidX] = what.threads;
  r[grokCtaidX] = block.index;
  r[grokNctaidX] = what.blocks;
  r[grokLaneId] = lane.lane;
  r[grokWarpId] = lane.thread / 32;
  r[grokWarpCount] = what.threads / 32;
  r[grokWarpSize] = 32;
  r[grokClusterIdX] = block.index / what.clusterBlocks;
  r[grokClusterCountX] = what.blocks / what.clusterBlocks;
  r[grokClusterCtaidX] = r[grokClusterCtarank] = block.rank;
  r[grokClusterNctaidX] = r[grokClusterNctarank] = what.clusterBlocks;
  r[grokNtidY] = r[grokNtidZ] = r[grokNctaidY] = r[grokNctaidZ] = r[grokOne] = 1;
  r[grokSmId] = block.index;
  r[grokSmCount] = what.blocks;
  r[grokLanemaskEq] = bit;
  r[grokLanemaskLt] = bit - 1;
  r[grokLanemaskLe] = bit | (bit - 1);
  r[grokLanemaskGe] = ~(bit - 1);
  r[grokLanemaskGt] = ~(bit | (bit - 1));
}

static bool beginBlock(Worker &worker, Cluster &cluster, uint32_t index, uint32_t rank) {
  const GrokEmulatorLaunch &what = *worker.launch->what;
  auto block = std::make_unique<Block>();
  block->cluster = &cluster;
  block->index = index;
  block->rank = rank;
  block->unfinished = what.threads;
  block->lanes = std::make_unique<Lane[]>(what.threads);
  block->warps.resize(what.threads / 32);
  const std::lock_guard guard(worker.launch->store->lock);
  std::vector<SharedMemory> &windows = worker.launch->store->windows;
  if (windows.empty()) {
    auto window = SharedMemory::allocate();
    if (!window) {
      worker.launch->setError(window.error());
      return false;
    }
    windows.push_back(std::move(*window));
  }
  block->shared = std::move(windows.back());
  windows.pop_back();
  for (uint32_t t = 0; t < what.threads; ++t) {
    Lane &lane = block->lanes[t];
    Warp &warp = block->warps[t / 32];
    lane.stack = worker.launch->store->stacks.take();
    if (!lane.stack.bottom) {
      worker.launch->setError(std::string(what.name) + ": cannot map a stack for every thread");
      return false;
    }
    lane.table = tableFor(what.checkAccesses);
    lane.shared = block->shared.data();
    lane.worker = &worker;
    lane.block = block.get();
    lane.warp = &warp;
    lane.thread = t;
    lane.lane = t % 32;
    lane.fuel = newFuel(worker);
    setRegisters(lane, *block, what);
    // Frames of one warp start 320 bytes apart, modulo a page.
    lane.stackPointer = prepareFiber(lane.stack, size_t(320) * (t % 32), runLane, &lane);
    warp.lanes = &block->lanes[t - t % 32];
    warp.block = block.get();
    warp.index = t / 32;
    warp.ready = warp.alive = ~0u;
  }
  const uint32_t warps = what.threads / 32;
  block->readyWarps = warps == 32 ? ~0u : (1u << warps) - 1;
  block->lastWarp = warps - 1;
  cluster.blocks.push_back(std::move(block));
  return true;
}

static bool beginCluster(Worker &worker) {
  const uint32_t size = worker.launch->what->clusterBlocks;
  const uint32_t first = worker.waiting.front() * size;
  worker.waiting.pop_front();
  worker.begun.push_back(std::make_unique<Cluster>());
  for (uint32_t rank = 0; rank < size; ++rank)
    if (!beginBlock(worker, *worker.begun.back(), first + rank, rank))
      return false;
  return true;
}

static void endCluster(Worker &worker, Cluster &cluster) {
  Store &store = *worker.launch->store;
  const std::lock_guard guard(store.lock);
  for (auto &block : cluster.blocks) {
    for (uint32_t t = 0; t < worker.launch->what->threads; ++t)
      if (block->lanes[t].stack.bottom)
        store.stacks.give(block->lanes[t].stack);
    store.windows.push_back(std::move(block->shared));
  }
}

static Warp &nextWarp(Worker &worker, Block &block) {
  uint32_t index = 0;
  if (worker.launch->what->schedule == grokScheduleInOrder) {
    const uint32_t later =
        block.lastWarp >= 31 ? 0 : block.readyWarps & (~0u << (block.lastWarp + 1));
    index = std::countr_zero(later ? later : block.readyWarps);
  } else {
    index = randomBit(worker, block.readyWarps);
  }
  block.lastWarp = index;
  return block.warps[index];
}

// Runs lanes of the block until none is ready. Returns whether any ran.
static bool runReady(Worker &worker, Block &block) {
  bool ran = false;
  while (block.readyWarps && !worker.launch->hasFailed.load(std::memory_order_relaxed)) {
    const Warp &warp = nextWarp(worker, block);
    const uint32_t lane =
        isRandom(*worker.launch) ? randomBit(worker, warp.ready) : std::countr_zero(warp.ready);
    grokSwitchFiber(&worker.stackPointer, warp.lanes[lane].stackPointer);
    ran = true;
  }
  return ran;
}

static uint64_t wakePaused(Worker &worker, Block &block) {
  if (block.pausedLanes == 0)
    return 0;
  for (const Warp &warp : block.warps)
    for (uint32_t left = warp.alive; left; left &= left - 1)
      if (Lane &lane = warp.lanes[std::countr_zero(left)]; lane.state == State::paused)
        makeReady(lane);
  const uint64_t woken = block.pausedLanes;
  block.pausedLanes = 0;
  worker.idlePauses += woken;
  worker.pauses += woken;
  return woken;
}

// One turn of a cluster. Returns false once it has ended.
static bool advance(Worker &worker, Cluster &cluster) {
  bool ran = false, woke = false;
  uint32_t unfinished = 0;
  for (auto &block : cluster.blocks) {
    ran |= runReady(worker, *block);
    unfinished += block->unfinished;
  }
  if (worker.launch->hasFailed || unfinished == 0)
    return false;
  for (auto &block : cluster.blocks) {
    woke |= deliverToWaiters(*block);
    woke |= wakePaused(worker, *block) > 0;
    woke |= block->readyWarps != 0;
  }
  if (!ran && !woke)
    worker.launch->setError(explainDeadlock(*worker.launch, cluster));
  return ran || woke;
}

// Whether every worker has only paused for long since anybody did anything else.
// One that the host has not let run for a while has not said so, or at an older
// epoch: it may yet write what the others wait for.
static bool isStuck(const Launch &launch, uint64_t epoch) {
  return std::all_of(launch.workers->begin(), launch.workers->end(), [&](const Worker &worker) {
    const uint64_t said = worker.stuckAt.load();
    return said == Worker::ended || said == epoch;
  });
}

// A launch that waits for another one only gives it time.
static void makeWay(const Worker &worker) {
  if (worker.idlePauses > mostPausesAwake)
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  else
    std::this_thread::yield();
}

static void checkIdle(Worker &worker) {
  Launch &launch = *worker.launch;
  if (launch.what->hasPeers)
    return makeWay(worker);
  if (worker.idlePauses <= fewIdlePauses) {
    ++launch.epoch;
    return;
  }
  const uint64_t epoch = launch.epoch.load();
  if (epoch != worker.seenEpoch) {
    worker.seenEpoch = epoch;
    worker.idlePauses = fewIdlePauses + 1;
  }
  if (launch.workers->size() > 1)
    std::this_thread::yield();
  if (worker.idlePauses > mostIdlePauses)
    worker.stuckAt = epoch;
  if (isStuck(launch, epoch) || worker.pauses > mostPauses)
    for (auto &cluster : worker.begun)
      launch.setError(explainDeadlock(launch, *cluster));
}

void runWorker(Worker &worker) {
  Launch &launch = *worker.launch;
  while (!launch.hasFailed && !(worker.waiting.empty() && worker.begun.empty())) {
    // A new cluster begins when all begun ones have ended, or only wait for others.
    if (!worker.waiting.empty() && (worker.begun.empty() || worker.idlePauses > 0))
      if (!beginCluster(worker))
        break;
    for (size_t i = 0; i < worker.begun.size();) {
      if (advance(worker, *worker.begun[i])) {
        ++i;
        continue;
      }
      endCluster(worker, *worker.begun[i]);
      worker.begun.erase(worker.begun.begin() + static_cast<std::ptrdiff_t>(i));
      worker.idlePauses = 0;
    }
    checkIdle(worker);
  }
  for (auto &cluster : worker.begun)
    endCluster(worker, *cluster);
  worker.begun.clear();
  worker.stuckAt = Worker::ended;
}

} // namespace grok::runtime::emulated
