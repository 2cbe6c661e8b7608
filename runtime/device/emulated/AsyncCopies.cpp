// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "Data Movement and Conversion Instructions:
// Asynchronous copy" and "Tensors: Swizzling modes".
#include "runtime/device/emulated/AsyncCopies.h"
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/MBarriers.h"
#include <cstring>

namespace grok::runtime::emulated {

static void poison(void *to, uint32_t bytes) {
  std::memset(to, 0xff, bytes);
  SharedMemory::setMarks(to, bytes, pendingWrite);
}

void copyAsync(GrokEmulatorThread *thread, void *to, const void *from, uint32_t bytes,
               uint32_t sourceBytes, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  if (sourceBytes > bytes)
    failAt(lane, site, "cp.async of ", bytes, " bytes with ", sourceBytes, " source bytes");
  checkShared(lane, to, bytes, bytes, grokStore, site);
  // The address must be aligned even if little or nothing is read.
  if (reinterpret_cast<uintptr_t>(from) & (bytes - 1))
    failAt(lane, site, "cp.async from ", from, " is not aligned to ", bytes);
  if (sourceBytes > 0)
    checkGlobal(lane, from, sourceBytes, 1, grokLoad, site);
  poison(to, bytes);
  lane.copies.push_back({static_cast<unsigned char *>(to), static_cast<const unsigned char *>(from),
                         bytes, sourceBytes, lane.copyGroup, lane.copyCount++, site});
}

void copyCommit(GrokEmulatorThread *thread, GrokEmulatorSite) { ++laneOf(thread).copyGroup; }

static void completeFirst(Lane &lane, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const LaneCopy &copy = lane.copies[i];
    std::memcpy(copy.to, copy.from, copy.sourceBytes);
    std::memset(copy.to + copy.sourceBytes, 0, copy.bytes - copy.sourceBytes);
    // cp.async writes through the generic proxy, unlike bulk copies.
    SharedMemory::setMarks(copy.to, copy.bytes, writerMark(lane));
  }
  lane.copies.erase(lane.copies.begin(), lane.copies.begin() + static_cast<std::ptrdiff_t>(count));
}

void copyWait(GrokEmulatorThread *thread, uint32_t pending, GrokEmulatorSite) {
  Lane &lane = laneOf(thread);
  size_t count = 0;
  while (count < lane.copies.size() && lane.copies[count].group + pending < lane.copyGroup)
    ++count;
  completeFirst(lane, count);
}

void completeCopies(Lane &lane, uint64_t number) {
  size_t count = 0;
  while (count < lane.copies.size() && lane.copies[count].number < number)
    ++count;
  completeFirst(lane, count);
}

void complete(const BulkCopy &copy) {
  for (const BulkCopy::Run &run : copy.runs) {
    if (run.from)
      std::memcpy(run.to, run.from, run.bytes);
    else
      std::memset(run.to, 0, run.bytes);
    if (copy.intoShared)
      SharedMemory::setMarks(run.to, run.bytes, 0);
    if (copy.outOfShared && run.from) {
      Mark *marks = SharedMemory::markOf(run.from);
      for (uint32_t i = 0, n = SharedMemory::words(run.from, run.bytes); i < n; ++i)
        marks[i] &= ~pendingRead;
    }
  }
}

static void markRead(const void *from, uint32_t bytes) {
  Mark *marks = SharedMemory::markOf(from);
  for (uint32_t i = 0, n = SharedMemory::words(from, bytes); i < n; ++i)
    marks[i] |= pendingRead;
}

static void checkBulk(Lane &lane, uint32_t bytes, GrokEmulatorSite site) {
  if (bytes == 0 || bytes % 16 != 0)
    failAt(lane, site, "bulk copy of ", bytes, " bytes, no multiple of 16");
}

// Issues a copy that completes on `mbarrier`, in the same block as `to`.
static void issue(Lane &lane, BulkCopy copy, void *to, void *mbarrier, GrokEmulatorSite site) {
  const Block &owner = checkShared(lane, to, copy.bytes, 16, grokStore, site);
  if (ownerOf(lane, mbarrier) != &owner)
    failAt(lane, site, "the mbarrier and the destination of a copy are not in one block");
  MBarrier &barrier = mbarrierAt(lane, mbarrier, site);
  poison(to, copy.bytes);
  copy.intoShared = true;
  copy.when = barrier.phase;
  copy.site = site;
  barrier.copies.push_back(std::move(copy));
}

// The same offset in the blocks that `multicast` names; 0 names the owner.
template <typename Function>
static void forDestinations(Lane &lane, void *to, uint32_t multicast, GrokEmulatorSite site,
                            Function function) {
  if (multicast == 0) {
    function(0);
    return;
  }
  const Block *owner = ownerOf(lane, to);
  for (uint32_t left = multicast; left; left &= left - 1) {
    const auto rank = static_cast<uint32_t>(std::countr_zero(left));
    if (!owner || rank >= lane.block->cluster->blocks.size())
      failAt(lane, site, "multicast to block ", rank, " that the cluster does not have");
    function(lane.block->cluster->blocks[rank]->shared.data() - owner->shared.data());
  }
}

static BulkCopy plainCopy(void *to, const void *from, uint32_t bytes) {
  BulkCopy copy{};
  copy.bytes = bytes;
  copy.runs = {{static_cast<unsigned char *>(to), static_cast<const unsigned char *>(from), bytes}};
  return copy;
}

void bulkToShared(GrokEmulatorThread *thread, void *to, void *mbarrier, const void *from,
                  uint32_t bytes, uint32_t multicast, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  checkBulk(lane, bytes, site);
  checkGlobal(lane, from, bytes, 16, grokLoad, site);
  forDestinations(lane, to, multicast, site, [&](std::ptrdiff_t shift) {
    unsigned char *place = static_cast<unsigned char *>(to) + shift;
    issue(lane, plainCopy(place, from, bytes), place,
          static_cast<unsigned char *>(mbarrier) + shift, site);
  });
}

void bulkToCluster(GrokEmulatorThread *thread, void *to, void *mbarrier, const void *from,
                   uint32_t bytes, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  checkBulk(lane, bytes, site);
  checkAsyncRead(lane, from, bytes, 16, site);
  markRead(from, bytes);
  BulkCopy copy = plainCopy(to, from, bytes);
  copy.outOfShared = true;
  issue(lane, std::move(copy), to, mbarrier, site);
}

void bulkToGlobal(GrokEmulatorThread *thread, void *to, const void *from, uint32_t bytes,
                  GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  checkBulk(lane, bytes, site);
  checkGlobal(lane, to, bytes, 16, grokStore, site);
  checkAsyncRead(lane, from, bytes, 16, site);
  markRead(from, bytes);
  BulkCopy copy = plainCopy(to, from, bytes);
  copy.outOfShared = true;
  copy.when = lane.bulkGroup;
  copy.site = site;
  lane.bulkStores.push_back(std::move(copy));
}

static void checkMap(Lane &lane, const GrokEmulatorTensorMap &map, GrokEmulatorSite site) {
  if (map.magic != GROK_TENSOR_MAP_MAGIC || map.rank < 1 || map.rank > 5)
    failAt(lane, site, "no tensor map at ", static_cast<const void *>(&map));
  const uint64_t inner = uint64_t(map.box[0]) * map.elementBytes;
  if (inner % 16 != 0 || (map.swizzle && inner > map.swizzle))
    failAt(lane, site, "a tensor map's box of ", inner, " bytes a row: no multiple of 16, or wider",
           " than its swizzle of ", map.swizzle);
  if (reinterpret_cast<uintptr_t>(map.base) % 16 != 0)
    failAt(lane, site, "a tensor map's base is not aligned to 16");
}

// Where the byte `offset` of an unswizzled box stands: the 16-byte column of a
// 128-byte line is exclusive-ored with the line's number.
static unsigned char *swizzled(unsigned char *box, uint64_t offset, uint32_t span) {
  const auto at = reinterpret_cast<uintptr_t>(box) + offset;
  const uintptr_t mask = span ? span / 16 - 1 : 0;
  return box + offset + ((at ^ ((at >> 7 & mask) << 4)) - at);
}

// Calls `function(placeInBox, placeInTensor or null, bytes)` for every 16 bytes
// of the box, or for every element where the tensor's edge runs through them.
template <typename Function>
static void forBox(const GrokEmulatorTensorMap &map, const int32_t *at, unsigned char *box,
                   Function function) {
  uint64_t elements = 1;
  for (uint32_t d = 0; d < map.rank; ++d)
    elements *= map.box[d];
  const uint32_t step = 16 / map.elementBytes;
  for (uint64_t first = 0; first < elements; first += step) {
    uint64_t rest = first;
    bool isInside = true;
    auto *place = static_cast<unsigned char *>(map.base);
    int64_t column = 0;
    for (uint32_t d = 0; d < map.rank; ++d) {
      const int64_t index = at[d] + static_cast<int64_t>(rest % map.box[d]);
      rest /= map.box[d];
      if (d == 0)
        column = index;
      else
        isInside &= index >= 0 && index < map.size[d];
      place += index * static_cast<int64_t>(d == 0 ? map.elementBytes : map.stride[d - 1]);
    }
    unsigned char *to = swizzled(box, first * map.elementBytes, map.swizzle);
    if (isInside && column >= 0 && column + step <= map.size[0]) {
      function(to, place, 16u);
      continue;
    }
    for (uint32_t e = 0; e < step; ++e, to += map.elementBytes, place += map.elementBytes) {
      const bool has = isInside && column + e >= 0 && column + e < map.size[0];
      function(to, has ? place : nullptr, map.elementBytes);
    }
  }
}

static uint32_t boxBytes(const GrokEmulatorTensorMap &map) {
  uint32_t bytes = map.elementBytes;
  for (uint32_t d = 0; d < map.rank; ++d)
    bytes *= map.box[d];
  return bytes;
}

void tensorToShared(GrokEmulatorThread *thread, void *to, const GrokEmulatorTensorMap *map,
                    const int32_t *coordinates, void *mbarrier, uint32_t multicast,
                    GrokEmulatorSite site) {
  if (!to)
    return;
  Lane &lane = laneOf(thread);
  checkMap(lane, *map, site);
  if (reinterpret_cast<uintptr_t>(to) % 128 != 0)
    failAt(lane, site, "tensor copy to shared byte ", SharedMemory::offsetOf(to),
           ", which is not aligned to 128");
  forDestinations(lane, to, multicast, site, [&](std::ptrdiff_t shift) {
    unsigned char *place = static_cast<unsigned char *>(to) + shift;
    BulkCopy copy{};
    copy.bytes = boxBytes(*map);
    forBox(*map, coordinates, place,
           [&](unsigned char *shared, const unsigned char *global, uint32_t bytes) {
             if (global)
               checkGlobal(lane, global, bytes, 1, grokLoad, site);
             copy.runs.push_back({shared, global, bytes});
           });
    issue(lane, std::move(copy), place, static_cast<unsigned char *>(mbarrier) + shift, site);
  });
}

void tensorToGlobal(GrokEmulatorThread *thread, const GrokEmulatorTensorMap *map, const void *from,
                    const int32_t *coordinates, GrokEmulatorSite site) {
  if (!from)
    return;
  Lane &lane = laneOf(thread);
  checkMap(lane, *map, site);
  BulkCopy copy{};
  copy.bytes = boxBytes(*map);
  checkAsyncRead(lane, from, copy.bytes, 128, site);
  markRead(from, copy.bytes);
  auto *box = static_cast<unsigned char *>(const_cast<void *>(from));
  forBox(*map, coordinates, box, [&](unsigned char *shared, unsigned char *global, uint32_t bytes) {
    if (!global)
      return;
    checkGlobal(lane, global, bytes, 1, grokStore, site);
    copy.runs.push_back({global, shared, bytes});
  });
  copy.outOfShared = true;
  copy.when = lane.bulkGroup;
  copy.site = site;
  lane.bulkStores.push_back(std::move(copy));
}

void bulkCommit(GrokEmulatorThread *thread, GrokEmulatorSite) { ++laneOf(thread).bulkGroup; }

void bulkWait(GrokEmulatorThread *thread, uint32_t pending, uint32_t, GrokEmulatorSite) {
  Lane &lane = laneOf(thread);
  std::erase_if(lane.bulkStores, [&](const BulkCopy &copy) {
    if (copy.when + pending >= lane.bulkGroup)
      return false;
    complete(copy);
    return true;
  });
}

void finishCopies(Lane &lane) {
  if (!lane.bulkStores.empty())
    failAt(lane, lane.bulkStores.front().site,
           "the thread ends before its bulk copy has read shared memory");
  completeFirst(lane, lane.copies.size());
}

} // namespace grok::runtime::emulated
