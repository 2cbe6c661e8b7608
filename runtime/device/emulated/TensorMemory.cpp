// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/TensorState.h"
#include "runtime/device/emulated/WarpCollectives.h"
#include <algorithm>
#include <cstring>

namespace grok::runtime::emulated {

constexpr uint32_t fewestColumns = 32; // of an allocation

TensorMemory &tensorMemoryOf(Block &block) {
  if (!block.tensorMemory) {
    block.tensorMemory = std::make_shared<TensorMemory>();
    block.tensorMemory->warps.resize(block.warps.size());
  }
  return *block.tensorMemory;
}

uint32_t quarterOf(const Warp &warp) { return warp.index % TensorMemory::quarterCount; }

// ---- allocation

static bool isCount(uint64_t columns) {
  return columns >= fewestColumns && columns <= TensorMemory::columnCount &&
         std::has_single_bit(columns);
}

// The highest free columns, so that nobody finds them at 0 by chance.
static bool isFree(TensorMemory &memory, uint32_t first, uint32_t count) {
  for (uint32_t column = first; column < first + count; ++column)
    if (memory.strip(column, 0).stage != TensorStrip::Stage::free)
      return false;
  return true;
}

static void runAllocate(Warp &warp, const Meeting &meeting) {
  Lane &lane = warp.lanes[0];
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  const auto columns = static_cast<uint32_t>(meeting.how);
  if (!isCount(meeting.how))
    failAt(lane, meeting.site, "tcgen05.alloc of ", columns,
           " columns: no power of two from 32 to 512");
  if (memory.relinquished)
    failAt(lane, meeting.site, "tcgen05.alloc after the relinquish_alloc_permit at (",
           memory.relinquished, ")");
  int64_t first = int64_t(TensorMemory::columnCount) - columns;
  while (first >= 0 && !isFree(memory, static_cast<uint32_t>(first), columns))
    first -= fewestColumns;
  if (first < 0)
    failAt(lane, meeting.site, "tcgen05.alloc of ", columns,
           " columns would wait forever: the block itself has the rest");
  const auto address = static_cast<uint32_t>(first);
  checkShared(lane, lane.row, sizeof address, sizeof address, grokStore, meeting.site);
  std::memcpy(lane.row, &address, sizeof address);
  for (uint32_t column = address; column < address + columns; ++column)
    for (uint32_t quarter = 0; quarter < TensorMemory::quarterCount; ++quarter)
      memory.strip(column, quarter) = {.stage = TensorStrip::Stage::empty};
  memory.allocations.push_back({{address, columns}, meeting.site});
}

void tmemAllocate(GrokEmulatorThread *thread, void *to, uint32_t columns, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.row = static_cast<unsigned char *>(to);
  meet(lane, ~0u, runAllocate, columns, true, site);
}

static void runDeallocate(Warp &warp, const Meeting &meeting) {
  Lane &lane = warp.lanes[0];
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  const auto first = static_cast<uint32_t>(meeting.how);
  const auto columns = static_cast<uint32_t>(meeting.how >> 32);
  auto found = std::find_if(memory.allocations.begin(), memory.allocations.end(),
                            [&](const TensorAllocation &allocation) {
                              return allocation.columns.first == first &&
                                     allocation.columns.count == columns;
                            });
  if (found == memory.allocations.end())
    failAt(lane, meeting.site, "tcgen05.dealloc of ", columns, " columns at ", first,
           ", which were not allocated so");
  for (uint32_t column = first; column < first + columns; ++column)
    for (uint32_t quarter = 0; quarter < TensorMemory::quarterCount; ++quarter) {
      TensorStrip &strip = memory.strip(column, quarter);
      if (strip.stage == TensorStrip::Stage::multiplying)
        failAt(lane, meeting.site, "tcgen05.dealloc of column ", column,
               " that the tcgen05.mma issued at (", strip.site, ") still writes");
      std::fill_n(memory.lanesOf(column, quarter), 32, TensorMemory::poisonWord);
      strip = {};
    }
  memory.allocations.erase(found);
}

void tmemDeallocate(GrokEmulatorThread *thread, uint32_t address, uint32_t columns,
                    GrokEmulatorSite site) {
  meet(laneOf(thread), ~0u, runDeallocate, uint64_t(columns) << 32 | address, true, site);
}

static void runRelinquish(Warp &warp, const Meeting &meeting) {
  TensorMemory &memory = tensorMemoryOf(*warp.block);
  if (memory.relinquished)
    failAt(warp.lanes[0], meeting.site, "the permit to allocate was relinquished before, at (",
           memory.relinquished, ")");
  memory.relinquished = meeting.site;
}

void tmemRelinquish(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  meet(laneOf(thread), ~0u, runRelinquish, 0, true, site);
}

std::string leakOf(const Block &block) {
  if (!block.tensorMemory || block.tensorMemory->allocations.empty())
    return {};
  const TensorAllocation &left = block.tensorMemory->allocations.front();
  std::ostringstream text;
  text << "block " << block.index << " ends with " << left.columns.count
       << " columns of tensor memory allocated (" << left.site << ")";
  return text.str();
}

// ---- order

void checkOverwrite(Lane &lane, const TensorStrip &strip, uint32_t column, const char *what,
                    GrokEmulatorSite site) {
  if (!strip.reader || strip.reader == lane.warp)
    return;
  if (strip.releasedAt == 0)
    failAt(lane, site, what, " writes column ", column, " of tensor memory, which warp ",
           strip.reader->index, " reads at (", strip.readSite,
           ") without tcgen05.wait::ld and tcgen05.fence::before_thread_sync since");
  if (lane.tensorFence <= strip.releasedAt)
    failAt(lane, site, what, " writes column ", column, " of tensor memory, which warp ",
           strip.reader->index, " has read at (", strip.readSite,
           "), without tcgen05.fence::after_thread_sync since");
}

void checkRead(Lane &lane, const TensorStrip &strip, uint32_t column, const char *what,
               GrokEmulatorSite site) {
  switch (strip.stage) {
  case TensorStrip::Stage::free:
    failAt(lane, site, what, " of column ", column, " of tensor memory, which is not allocated");
  case TensorStrip::Stage::empty:
    failAt(lane, site, what, " of column ", column,
           " of tensor memory, where nothing was ever written");
  case TensorStrip::Stage::multiplying:
    failAt(lane, site, what, " of column ", column,
           " of tensor memory before an mbarrier told that the tcgen05.mma issued at (", strip.site,
           ") is complete");
  case TensorStrip::Stage::storing:
    failAt(lane, site, what, " of column ", column,
           " of tensor memory before the tcgen05.wait::st of the tcgen05.st at (", strip.site, ")");
  case TensorStrip::Stage::written:
    break;
  }
  if (strip.writer != lane.warp && lane.tensorFence <= strip.writtenAt)
    failAt(lane, site, what, " of column ", column, " of tensor memory, written at (", strip.site,
           "), without tcgen05.fence::after_thread_sync since");
}

void tmemFence(GrokEmulatorThread *thread, uint32_t isAfter, GrokEmulatorSite) {
  Lane &lane = laneOf(thread);
  if (!lane.block->tensorMemory)
    return;
  TensorMemory &memory = *lane.block->tensorMemory;
  const uint32_t now = ++memory.clock;
  if (isAfter) {
    lane.tensorFence = now;
    return;
  }
  // All lanes of the warp run the same code; the first one speaks for them.
  std::vector<TensorColumns> &reads = memory.warps[lane.warp->index].reads;
  for (const TensorColumns &range : reads)
    for (uint32_t column = range.first; column < range.first + range.count; ++column)
      if (TensorStrip &strip = memory.strip(column, quarterOf(*lane.warp));
          strip.reader == lane.warp)
        strip.releasedAt = now;
  reads.clear();
}

} // namespace grok::runtime::emulated
