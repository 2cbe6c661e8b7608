// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Deadlock.h"
#include "runtime/device/emulated/MBarriers.h"
#include <algorithm>

namespace grok::runtime::emulated {

// What a lane is at: state and site, with what it needs to be named.
struct Wait {
  const Lane *first;
  uint32_t lanes;
};

static std::vector<Wait> waitsOf(const Cluster &cluster, uint32_t threads) {
  std::vector<Wait> waits;
  for (const auto &block : cluster.blocks)
    for (uint32_t t = 0; t < threads; ++t) {
      const Lane &lane = block->lanes[t];
      auto same = std::find_if(waits.begin(), waits.end(), [&](const Wait &wait) {
        return wait.first->state == lane.state && wait.first->site == lane.site &&
               wait.first->block == lane.block &&
               wait.first->counterWait.awaited == lane.counterWait.awaited;
      });
      if (same == waits.end())
        waits.push_back({&lane, 1});
      else
        ++same->lanes;
    }
  return waits;
}

static std::string textOf(const Wait &wait) {
  const Lane &lane = *wait.first;
  std::ostringstream text;
  text << wait.lanes << (wait.lanes == 1 ? " thread" : " threads") << " (first: " << lane.thread
       << " of block " << lane.block->index << ") ";
  switch (lane.state) {
  case State::collective:
    text << (wait.lanes == 1 ? "waits" : "wait") << " for the rest of a warp at (" << lane.site
         << ")";
    break;
  case State::barrier:
    text << "at the block's barrier (" << lane.site << ")";
    break;
  case State::mbarrier:
    text << "at (" << lane.site << "): " << describe(*lane.block, lane.waitedFor);
    break;
  case State::clusterBarrier:
    text << "at the cluster's barrier (" << lane.site << ")";
    break;
  case State::done:
    text << (wait.lanes == 1 ? "has ended" : "have ended");
    break;
  default: // paused, or ready to look once more
    text << "spinning for memory to change at (" << lane.site << ")";
    if (const CounterWait &counter = lane.counterWait; counter.counter)
      text << ", task " << counter.task << " for the counter of task " << counter.awaited
           << ": it is " << *counter.counter << ", " << counter.target << " are needed";
  }
  return text.str();
}

std::string explainDeadlock(const Launch &launch, const Cluster &cluster) {
  std::ostringstream text;
  text << launch.what->name << ": deadlock: ";
  const char *separator = "";
  for (const Wait &wait : waitsOf(cluster, launch.what->threads)) {
    text << separator << textOf(wait);
    separator = "; ";
  }
  return text.str();
}

} // namespace grok::runtime::emulated
