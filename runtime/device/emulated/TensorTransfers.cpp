// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/TensorState.h"
#include "runtime/device/emulated/WarpCollectives.h"
#include <algorithm>

namespace grok::runtime::emulated {

// Finished loads that are kept for reading; a kernel has a few at a time.
constexpr size_t mostLoads = 256;

static TensorColumns checkTransfer(Lane &lane, uint32_t address, uint32_t columns,
                                   GrokEmulatorSite site) {
  const uint32_t first = address & 0xffff, quarter = quarterOf(*lane.warp);
  if (address >> 16 != quarter * 32)
    failAt(lane, site, "warp ", lane.warp->index, " reaches lanes ", quarter * 32, " to ",
           quarter * 32 + 31, " of tensor memory, not lane ", address >> 16);
  if (first + columns > TensorMemory::columnCount)
    failAt(lane, site, "columns ", first, " to ", first + columns - 1,
           " of tensor memory, which has 512");
  return {first, columns};
}

static void runLoad(Warp &warp, const Meeting &meeting) {
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  const TensorColumns range = checkTransfer(warp.lanes[0], static_cast<uint32_t>(meeting.how),
                                            static_cast<uint32_t>(meeting.how >> 32), meeting.site);
  for (uint32_t column = range.first; column < range.first + range.count; ++column) {
    TensorStrip &strip = memory.strip(column, quarterOf(warp));
    for (uint32_t i = 0; i < 32; ++i)
      checkRead(warp.lanes[i], strip, column, "tcgen05.ld", meeting.site);
    strip.reader = &warp;
    strip.releasedAt = 0;
    strip.readSite = meeting.site;
  }
  TensorTransfers &transfers = memory.warps[warp.index];
  TensorLoad load;
  load.id = transfers.loadCount++;
  load.columns = range;
  load.site = meeting.site;
  for (uint32_t i = 0; i < 32; ++i)
    warp.lanes[i].result = load.id;
  transfers.loads.push_back(std::move(load));
  while (transfers.loads.size() > mostLoads && transfers.loads.front().isDone)
    transfers.loads.pop_front();
}

uint32_t tmemLoad(GrokEmulatorThread *thread, uint32_t address, uint32_t columns,
                  GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  meet(lane, ~0u, runLoad, uint64_t(columns) << 32 | address, true, site);
  return static_cast<uint32_t>(lane.result);
}

uint32_t tmemLoaded(GrokEmulatorThread *thread, uint32_t token, uint32_t index,
                    GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  for (const TensorLoad &load : tensorMemoryOf(*lane.block).warps[lane.warp->index].loads) {
    if (load.id != token)
      continue;
    if (!load.isDone)
      failAt(lane, site, "a register is used before the tcgen05.wait::ld for the tcgen05.ld at (",
             load.site, ")");
    return load.words[size_t(index) * 32 + lane.lane];
  }
  return TensorMemory::poisonWord;
}

static void runStore(Warp &warp, const Meeting &meeting) {
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  Lane &leader = warp.lanes[0];
  const TensorColumns range = checkTransfer(leader, static_cast<uint32_t>(meeting.how),
                                            static_cast<uint32_t>(meeting.how >> 32), meeting.site);
  TensorStore store = {range, std::vector<uint32_t>(size_t(range.count) * 32)};
  for (uint32_t i = 0; i < range.count; ++i) {
    TensorStrip &strip = memory.strip(range.first + i, quarterOf(warp));
    if (strip.stage != TensorStrip::Stage::empty && strip.stage != TensorStrip::Stage::written)
      checkRead(leader, strip, range.first + i, "tcgen05.st", meeting.site);
    checkOverwrite(leader, strip, range.first + i, "tcgen05.st", meeting.site);
    strip = {.stage = TensorStrip::Stage::storing, .site = meeting.site, .writer = &warp};
    for (uint32_t lane = 0; lane < 32; ++lane)
      store.words[size_t(i) * 32 + lane] = static_cast<const uint32_t *>(warp.lanes[lane].in)[i];
  }
  memory.warps[warp.index].stores.push_back(std::move(store));
}

void tmemStore(GrokEmulatorThread *thread, uint32_t address, uint32_t columns, const uint32_t *in,
               GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.in = in;
  meet(lane, ~0u, runStore, uint64_t(columns) << 32 | address, true, site);
}

static void runWaitForLoads(Warp &warp, const Meeting &) {
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  TensorTransfers &transfers = memory.warps[warp.index];
  for (TensorLoad &load : transfers.loads) {
    if (load.isDone)
      continue;
    for (uint32_t i = 0; i < load.columns.count; ++i) {
      const uint32_t *from = memory.lanesOf(load.columns.first + i, quarterOf(warp));
      load.words.insert(load.words.end(), from, from + 32);
    }
    load.isDone = true;
    transfers.reads.push_back(load.columns);
  }
}

static void runWaitForStores(Warp &warp, const Meeting &) {
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  std::vector<TensorStore> &stores = memory.warps[warp.index].stores;
  const uint32_t now = ++memory.clock;
  for (const TensorStore &store : stores)
    for (uint32_t i = 0; i < store.columns.count; ++i) {
      std::copy_n(&store.words[size_t(i) * 32], 32,
                  memory.lanesOf(store.columns.first + i, quarterOf(warp)));
      TensorStrip &strip = memory.strip(store.columns.first + i, quarterOf(warp));
      strip.stage = TensorStrip::Stage::written;
      strip.writtenAt = now;
    }
  stores.clear();
}

void tmemWait(GrokEmulatorThread *thread, uint32_t isStore, GrokEmulatorSite site) {
  meet(laneOf(thread), ~0u, isStore ? runWaitForStores : runWaitForLoads, 0, true, site);
}

} // namespace grok::runtime::emulated
