// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Accesses.h"
#include <algorithm>

namespace grok::runtime::emulated {

static bool reads(GrokEmulatorAccess how) { return how == grokLoad || how == grokAtomicLoad; }

static const char *verb(GrokEmulatorAccess how) {
  return reads(how) ? "read" : how == grokStore ? "write" : "atomic access";
}

static bool isAligned(const void *address, uint32_t alignment) {
  return (reinterpret_cast<uintptr_t>(address) & (alignment - 1)) == 0;
}

void enter(GrokEmulatorThread *thread, uint64_t staticSharedBytes) {
  Lane &lane = laneOf(thread);
  lane.isEarly = false;
  Block &block = *lane.block;
  if (block.isEntered)
    return;
  block.isEntered = true;
  block.sharedBytes = staticSharedBytes + lane.worker->launch->what->dynamicSharedBytes;
  if (block.sharedBytes > SharedMemory::largest)
    failAt(lane, "launch", block.sharedBytes, " bytes of shared memory, more than ",
           SharedMemory::largest);
  block.shared.reset(block.sharedBytes);
}

Block *ownerOf(const Lane &lane, const void *address) {
  for (auto &block : lane.block->cluster->blocks) {
    const auto offset =
        reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(block->shared.data());
    if (offset < SharedMemory::windowBytes)
      return block.get();
  }
  return nullptr;
}

[[noreturn]] static void failMark(Lane &lane, const void *address, Mark mark,
                                  GrokEmulatorAccess how, GrokEmulatorSite site) {
  const uint64_t offset = SharedMemory::offsetOf(address);
  if (mark & pendingWrite)
    failAt(lane, site, verb(how), " of shared byte ", offset,
           " that an asynchronous copy still writes: no wait, or too weak a one, came before");
  if (mark & pendingRead)
    failAt(lane, site, verb(how), " of shared byte ", offset,
           " that an asynchronous copy still reads");
  failAt(lane, site, verb(how), " of shared byte ", offset, " inside an mbarrier object");
}

uint32_t advanceClock(Block &block) {
  // Marks hold the clock's low bits: before they can come round, all are forgotten.
  if ((++block.clock & (clockMask / 4)) == 0)
    block.shared.forgetThreads(block.sharedBytes);
  return block.clock;
}

void passBarrier(Block &block) { block.barrierClock = advanceClock(block); }

// The thread of another warp that left `mark` since the last barrier, or -1.
static int64_t rivalIn(const Lane &lane, Mark mark) {
  const uint32_t owner = (mark & ~notPlain) >> clockBits; // thread + 1
  const bool isRecent = ((mark - lane.block->barrierClock) & clockMask) < clockMask / 2;
  if (owner == 0 || !isRecent || (owner - 1) / 32 == lane.warp->index)
    return -1;
  return owner - 1;
}

[[noreturn]] static void failRace(Lane &lane, const void *address, uint32_t word, int64_t rival,
                                  GrokEmulatorAccess how, const char *before,
                                  GrokEmulatorSite site) {
  failAt(lane, site, "race: ", verb(how), " of shared byte ",
         SharedMemory::offsetOf(address) / 4 * 4 + uint64_t(4) * word, ", which thread ", rival,
         " of another warp ", before, " without a barrier since");
}

// Looks for races and leaves the lane's own traces.
static void noteShared(Lane &lane, const Block &owner, const void *address, uint32_t bytes,
                       GrokEmulatorAccess how, GrokEmulatorSite site) {
  Mark *marks = SharedMemory::markOf(address), *readers = SharedMemory::readerOf(address);
  const uint32_t words = SharedMemory::words(address, bytes);
  if (&owner != lane.block) { // its clock is another
    if (!reads(how))
      SharedMemory::setMarks(const_cast<void *>(address), bytes, 0);
    return;
  }
  if (how == grokAtomic || how == grokAtomicLoad)
    lane.block->meetsInPart = true;
  const bool looks = !owner.meetsInPart;
  for (uint32_t i = 0; i < words; ++i) {
    if (reads(how)) {
      if (const int64_t rival = rivalIn(lane, marks[i]); looks && rival >= 0)
        failRace(lane, address, i, rival, how, "wrote", site);
      readers[i] = writerMark(lane);
    } else {
      if (const int64_t rival = rivalIn(lane, readers[i]); looks && rival >= 0)
        failRace(lane, address, i, rival, how, "read", site);
      marks[i] = writerMark(lane);
    }
  }
}

Block &checkShared(Lane &lane, const void *address, uint32_t bytes, uint32_t alignment,
                   GrokEmulatorAccess how, GrokEmulatorSite site) {
  Block *owner = lane.block;
  uint64_t offset = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(address) -
                                          reinterpret_cast<uintptr_t>(lane.shared));
  if (offset >= SharedMemory::windowBytes) {
    owner = ownerOf(lane, address);
    if (!owner)
      failAt(lane, site, verb(how), " at ", address, ", which is not shared memory");
    offset = SharedMemory::offsetOf(address);
    if (!owner->isEntered || owner->unfinished == 0)
      failAt(lane, site, verb(how), " of shared byte ", offset, " of block ", owner->index,
             owner->isEntered ? ", which has ended" : ", which has not begun");
  }
  if (offset + bytes > owner->sharedBytes)
    failAt(lane, site, verb(how), " of ", bytes, " bytes at shared byte ", offset,
           ", out of bounds: the block has ", owner->sharedBytes);
  if (!isAligned(address, alignment))
    failAt(lane, site, verb(how), " at shared byte ", offset, " is not aligned to ", alignment);
  const Mark mark = SharedMemory::marksOf(address, bytes);
  if ((mark & (pendingWrite | mbarrierObject)) || (!reads(how) && (mark & pendingRead)))
    failMark(lane, address, mark, how, site);
  noteShared(lane, *owner, address, bytes, how, site);
  return *owner;
}

void checkAsyncRead(Lane &lane, const void *address, uint32_t bytes, uint32_t alignment,
                    GrokEmulatorSite site) {
  const Block &owner = checkShared(lane, address, bytes, alignment, grokLoad, site);
  const Mark *marks = SharedMemory::markOf(address);
  for (uint32_t i = 0, n = SharedMemory::words(address, bytes); i < n; ++i) {
    const uint32_t writer = marks[i] >> clockBits & 0x7ff;
    if (writer == 0)
      continue;
    // Modulo the clock's width: a fence since then makes a small difference.
    const auto fenced = [&](const Lane &by) {
      const uint32_t since = (by.lastFence - marks[i]) & clockMask;
      return since != 0 && since < clockMask / 2;
    };
    if (!fenced(owner.lanes[writer - 1]) && !fenced(lane))
      failAt(lane, site, "asynchronous read of shared byte ",
             SharedMemory::offsetOf(address) / 4 * 4 + uint64_t(4) * i, ", which thread ",
             writer - 1, " wrote without a fence.proxy.async since");
  }
}

// The region with `address`, or null.
static const Region *regionOf(const Launch &launch, uintptr_t address) {
  auto after = std::upper_bound(launch.regions.begin(), launch.regions.end(), address,
                                [](uintptr_t a, const Region &region) { return a < region.begin; });
  if (after == launch.regions.begin() || address >= (after - 1)->end)
    return nullptr;
  return &*(after - 1);
}

// Names the nearest region, for off-by-one tiles.
[[noreturn]] static void failGlobal(Lane &lane, const void *address, uint32_t bytes,
                                    GrokEmulatorAccess how, GrokEmulatorSite site) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const Region *nearest = nullptr;
  uintptr_t best = uintptr_t(1) << 30;
  for (const Region &region : lane.worker->launch->regions) {
    const uintptr_t distance = at < region.begin  ? region.begin - at
                               : at >= region.end ? at - region.end + 1
                                                  : 0;
    if (distance < best) {
      best = distance;
      nearest = &region;
    }
  }
  if (!nearest)
    failAt(lane, site, verb(how), " of ", bytes, " bytes at ", address,
           ", out of bounds: no memory of the launch is near");
  failAt(lane, site, verb(how), " of ", bytes, " bytes at byte ",
         static_cast<int64_t>(at - nearest->begin), " of ", nearest->name,
         ", out of bounds: it has ", nearest->end - nearest->begin);
}

// Looks for what other blocks have not handed over.
static void noteGlobal(Lane &lane, const Region &region, uintptr_t at, uint32_t bytes,
                       GrokEmulatorAccess how, GrokEmulatorSite site) {
  GlobalRaces *races = lane.worker->launch->races.get();
  if (!races)
    return;
  if (auto rival = races->note(lane.block->index, at, bytes, how == grokStore))
    failAt(lane, site, "race: ", verb(how), " at byte ", rival->address - region.begin, " of ",
           region.name, ", which block ", rival->block, rival->wrote ? " wrote" : " read",
           " without a release that this block has acquired since");
}

void checkGlobal(Lane &lane, const void *address, uint32_t bytes, uint32_t alignment,
                 GrokEmulatorAccess how, GrokEmulatorSite site) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const Region *region = lane.region;
  if (!region || at < region->begin || at >= region->end)
    lane.region = region = regionOf(*lane.worker->launch, at);
  if (!region || at + bytes > region->end)
    failGlobal(lane, address, bytes, how, site);
  if (!isAligned(address, alignment))
    failAt(lane, site, verb(how), " at byte ", at - region->begin, " of ", region->name,
           " is not aligned to ", alignment);
  if (lane.isEarly && region->isWritable)
    failAt(lane, site, verb(how), " at byte ", at - region->begin, " of ", region->name,
           " before griddepcontrol.wait: an earlier launch may still work on it");
  if (!reads(how) && !region->isWritable)
    failAt(lane, site, verb(how), " at byte ", at - region->begin, " of ", region->name,
           ", which is read-only");
  if (region->isWritable && (how == grokLoad || how == grokStore))
    noteGlobal(lane, *region, at, bytes, how, site);
}

// Local memory: the lane's own stack.
static bool isLocal(const Lane &lane, const void *address) {
  const char *at = static_cast<const char *>(address);
  return at >= lane.stack.bottom && at < lane.stack.top;
}

void access(GrokEmulatorThread *thread, const void *address, uint32_t bytes, uint32_t how,
            GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  if (--lane.fuel <= 0)
    preempt(lane);
  const auto kind = static_cast<GrokEmulatorAccess>(how & 15);
  uint32_t space = how >> 4 & 15;
  if (space == grokGeneric) {
    if (isLocal(lane, address))
      return;
    space = ownerOf(lane, address) ? grokShared : grokGlobal;
  }
  const uint32_t alignment = how >> 8 & 0xffff, order = how >> 24;
  if (space != grokGlobal) {
    checkShared(lane, address, bytes, alignment, kind, site);
    return;
  }
  checkGlobal(lane, address, bytes, alignment, kind, site);
  if (GlobalRaces *races = lane.worker->launch->races.get(); races && order)
    races->synchronize(lane.block->index, reinterpret_cast<uintptr_t>(address), order & grokAcquire,
                       order & grokRelease);
}

void allowAccess(GrokEmulatorThread *, const void *, uint32_t, uint32_t, GrokEmulatorSite) {}

void pause(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  ++lane.block->pausedLanes;
  block(lane, State::paused, site);
}

void trap(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  failAt(laneOf(thread), site, "trap");
}

void fence(GrokEmulatorThread *thread, uint32_t kind, GrokEmulatorSite) {
  Lane &lane = laneOf(thread);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (kind == grokFenceProxyAsync)
    lane.lastFence = advanceClock(*lane.block);
}

void awaitCounter(GrokEmulatorThread *thread, const void *counter, uint32_t target, uint32_t task,
                  uint32_t awaited) {
  laneOf(thread).counterWait = {static_cast<const uint32_t *>(counter), target, task, awaited};
}

void startsEarly(GrokEmulatorThread *thread) {
  Lane &lane = laneOf(thread);
  lane.isEarly = lane.worker->launch->what->knowsWrites != 0;
}
void waitForLaunches(GrokEmulatorThread *thread) { laneOf(thread).isEarly = false; }

void *mapShared(GrokEmulatorThread *thread, const void *address, uint32_t rank,
                GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  const auto &blocks = lane.block->cluster->blocks;
  if (rank >= blocks.size())
    failAt(lane, site, "mapa to block ", rank, " of a cluster of ", blocks.size());
  if (!ownerOf(lane, address))
    failAt(lane, site, "mapa of ", address, ", which is not shared memory");
  return blocks[rank]->shared.data() + SharedMemory::offsetOf(address);
}

} // namespace grok::runtime::emulated
