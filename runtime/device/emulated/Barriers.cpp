// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Barriers.h"

namespace grok::runtime::emulated {

// The lanes of a warp must come to one barrier by one instruction: bar.sync is
// aligned (PTX ISA, "bar").
static void refuseDivergence(Lane &lane, NamedBarrier &barrier, uint32_t id,
                             GrokEmulatorSite site) {
  const uint32_t warp = lane.warp->index;
  if (barrier.arrivedOfWarp[warp] && barrier.siteOfWarp[warp] != site)
    failAt(lane, site, "divergent barrier ", id, ": other lanes of warp ", warp, " came to it at (",
           barrier.siteOfWarp[warp], ")");
  if (barrier.arrivedOfWarp[warp] >> lane.lane & 1)
    failAt(lane, site, "the thread arrives twice in one phase of barrier ", id);
  barrier.siteOfWarp[warp] = site;
  barrier.arrivedOfWarp[warp] |= 1u << lane.lane;
}

// Returns whether the lane was the last of its phase.
static bool arrive(Lane &lane, uint32_t id, uint32_t threads, GrokEmulatorSite site) {
  Block &block = *lane.block;
  if (id >= block.barriers.size())
    failAt(lane, site, "barrier ", id, " does not exist: there are 16");
  if (threads % 32 != 0)
    failAt(lane, site, "barrier ", id, " for ", threads, " threads, no multiple of 32");
  const auto all = static_cast<uint32_t>(block.warps.size()) * 32;
  const uint32_t expected = threads == 0 ? all : threads;
  NamedBarrier &barrier = block.barriers[id];
  if (expected > all)
    failAt(lane, site, "barrier ", id, " for ", expected, " threads in a block of ", all);
  if (barrier.arrived > 0 && barrier.expected != expected)
    failAt(lane, site, "barrier ", id, " for ", expected, " threads, where others wait for ",
           barrier.expected);
  refuseDivergence(lane, barrier, id, site);
  barrier.expected = expected;
  return ++barrier.arrived == expected;
}

static void release(Lane &lane, NamedBarrier &barrier) {
  noteProgress(lane);
  if (barrier.arrived == lane.block->warps.size() * 32)
    passBarrier(*lane.block);
  else
    lane.block->meetsInPart = true;
  for (Lane *other : barrier.waiting) {
    other->result = barrier.reduced;
    makeReady(*other);
  }
  lane.result = barrier.reduced;
  barrier.waiting.clear();
  barrier.arrived = barrier.reduced = 0;
  barrier.arrivedOfWarp.fill(0);
}

void barrier(GrokEmulatorThread *thread, uint32_t id, uint32_t threads, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  if (arrive(lane, id, threads, site)) {
    release(lane, lane.block->barriers[id]);
    return;
  }
  lane.block->barriers[id].waiting.push_back(&lane);
  block(lane, State::barrier, site);
}

void barrierArrive(GrokEmulatorThread *thread, uint32_t id, uint32_t threads,
                   GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.block->meetsInPart = true;
  if (arrive(lane, id, threads, site))
    release(lane, lane.block->barriers[id]);
}

uint32_t barrierReduce(GrokEmulatorThread *thread, uint32_t id, uint32_t threads, uint32_t how,
                       uint32_t predicate, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  const bool isLast = arrive(lane, id, threads, site);
  NamedBarrier &barrier = lane.block->barriers[id];
  const uint32_t expected = barrier.expected;
  barrier.reduced += predicate != 0;
  if (isLast) {
    release(lane, barrier);
  } else {
    barrier.waiting.push_back(&lane);
    block(lane, State::barrier, site);
  }
  const auto count = static_cast<uint32_t>(lane.result);
  return how == 0 ? count : how == 1 ? count == expected : count != 0;
}

static uint32_t clusterThreads(const Lane &lane) {
  const auto warps = static_cast<uint32_t>(lane.block->warps.size());
  return warps * 32 * static_cast<uint32_t>(lane.block->cluster->blocks.size());
}

static void wakeCluster(Cluster &cluster) {
  for (auto &block : cluster.blocks) {
    passBarrier(*block);
    for (const Warp &warp : block->warps)
      for (uint32_t left = warp.alive; left; left &= left - 1)
        if (Lane &lane = warp.lanes[std::countr_zero(left)]; lane.state == State::clusterBarrier)
          makeReady(lane);
  }
}

void clusterArrive(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  Cluster &cluster = *lane.block->cluster;
  if (lane.clusterArrivals != lane.clusterWaits)
    failAt(lane, site, "the thread arrives twice at the cluster's barrier without a wait");
  ++lane.clusterArrivals;
  if (++cluster.arrived < clusterThreads(lane))
    return;
  cluster.arrived = 0;
  ++cluster.phase;
  noteProgress(lane);
  wakeCluster(cluster);
}

void clusterWait(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  if (lane.clusterWaits == lane.clusterArrivals)
    failAt(lane, site, "wait at the cluster's barrier without an arrival");
  ++lane.clusterWaits;
  while (lane.block->cluster->phase < lane.clusterWaits)
    block(lane, State::clusterBarrier, site);
}

} // namespace grok::runtime::emulated
