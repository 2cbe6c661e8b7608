// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/MBarriers.h"
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/AsyncCopies.h"
#include "runtime/device/emulated/TensorMemory.h"

namespace grok::runtime::emulated {

constexpr uint32_t objectBytes = 8;
constexpr uint32_t mostArrivals = (1u << 20) - 1;

static MBarrier *find(const Block &block, const void *address) {
  auto &all = const_cast<Block &>(block).mbarriers;
  auto found = all.find(SharedMemory::offsetOf(address));
  return found == all.end() ? nullptr : &found->second;
}

MBarrier &mbarrierAt(Lane &lane, const void *address, GrokEmulatorSite site) {
  const Block *owner = ownerOf(lane, address);
  if (!owner)
    failAt(lane, site, "mbarrier at ", address, ", which is not shared memory");
  MBarrier *barrier = find(*owner, address);
  if (!barrier)
    failAt(lane, site, "mbarrier at shared byte ", SharedMemory::offsetOf(address),
           " is used before its init");
  return *barrier;
}

std::string describe(const Block &block, const void *address) {
  const MBarrier *barrier = find(block, address);
  if (!barrier)
    return "no mbarrier";
  std::ostringstream text;
  text << "mbarrier at shared byte " << SharedMemory::offsetOf(address) << ", phase "
       << barrier->phase << ": " << barrier->pending << " arrivals and " << barrier->transactions
       << " bytes are due";
  return text.str();
}

void mbarrierInit(GrokEmulatorThread *thread, void *address, uint32_t count,
                  GrokEmulatorSite site) {
  if (!address)
    return;
  Lane &lane = laneOf(thread);
  if (count == 0 || count > mostArrivals)
    failAt(lane, site, "mbarrier.init with count ", count);
  Block &owner = *lane.block;
  if (find(owner, address))
    failAt(lane, site, "mbarrier.init of an mbarrier object that is in use");
  if (&checkShared(lane, address, objectBytes, objectBytes, grokStore, site) != &owner)
    failAt(lane, site, "mbarrier.init in another block's shared memory");
  SharedMemory::setMarks(address, objectBytes, mbarrierObject);
  MBarrier barrier;
  barrier.expected = barrier.pending = count;
  barrier.site = site;
  owner.meetsInPart = true;
  owner.mbarriers.emplace(SharedMemory::offsetOf(address), std::move(barrier));
}

void mbarrierInvalidate(GrokEmulatorThread *thread, void *address, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  const MBarrier &barrier = mbarrierAt(lane, address, site);
  if (!barrier.copies.empty())
    failAt(lane, site, "mbarrier.inval while copies that count on it are at work");
  SharedMemory::setMarks(address, objectBytes, 0);
  lane.block->mbarriers.erase(SharedMemory::offsetOf(address));
}

static bool hasCompleted(const MBarrier &barrier, uint64_t stateOrParity, bool isParity) {
  if (isParity)
    return (barrier.phase & 1) != (stateOrParity & 1);
  return barrier.phase > stateOrParity;
}

static void wakeWaiters(Block &owner, const void *address, const MBarrier &barrier) {
  std::erase_if(owner.mbarrierWaiters, [&](Lane *waiter) {
    if (waiter->waitedFor != address || !hasCompleted(barrier, waiter->waitedPhase, true))
      return false;
    makeReady(*waiter);
    return true;
  });
}

// Ends the phase if nothing is due. Returns an error if a copy that was issued
// in it has not arrived: too few bytes were expected.
static std::string endPhase(Block &owner, const void *address, MBarrier &barrier) {
  if (barrier.pending != 0 || barrier.transactions != 0)
    return {};
  for (const BulkCopy &copy : barrier.copies)
    if (copy.when == barrier.phase)
      return describe(owner, address) + ", yet a copy issued at (" + copy.site +
             ") has not written its " + std::to_string(copy.bytes) +
             " bytes: fewer were expected than are copied";
  ++barrier.phase;
  barrier.pending = barrier.expected;
  wakeWaiters(owner, address, barrier);
  return {};
}

static std::string arrive(Block &owner, const void *address, MBarrier &barrier, uint32_t count) {
  if (count > barrier.pending)
    return describe(owner, address) + ", yet " + std::to_string(count) +
           " more arrive: more arrivals than its init at (" + barrier.site + ") names";
  barrier.pending -= count;
  return endPhase(owner, address, barrier);
}

uint64_t mbarrierArrive(GrokEmulatorThread *thread, void *address, uint32_t count,
                        uint32_t transactions, uint32_t how, GrokEmulatorSite site) {
  if (!address)
    return 0;
  Lane &lane = laneOf(thread);
  MBarrier &barrier = mbarrierAt(lane, address, site);
  const uint64_t before = barrier.phase;
  barrier.transactions += transactions;
  if (how == 1)
    barrier.expected -= count;
  const std::string error = arrive(*ownerOf(lane, address), address, barrier, count);
  if (!error.empty())
    failAt(lane, site, error);
  if (barrier.phase != before)
    noteProgress(lane);
  return before;
}

void mbarrierTransactions(GrokEmulatorThread *thread, void *address, int64_t bytes,
                          GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  MBarrier &barrier = mbarrierAt(lane, address, site);
  barrier.transactions += bytes;
  const std::string error = endPhase(*ownerOf(lane, address), address, barrier);
  if (!error.empty())
    failAt(lane, site, error);
}

void copyArrive(GrokEmulatorThread *thread, void *address, uint32_t noIncrement,
                GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  MBarrier &barrier = mbarrierAt(lane, address, site);
  if (!noIncrement)
    ++barrier.pending;
  barrier.arrivals.push_back({&lane, lane.copyCount});
}

// Completes what counts on the barrier, in the order of issue.
static std::string deliver(Block &owner, const void *address, MBarrier &barrier) {
  while (!barrier.arrivals.empty()) {
    const CopyArrival arrival = barrier.arrivals.front();
    barrier.arrivals.erase(barrier.arrivals.begin());
    completeCopies(*arrival.lane, arrival.copies);
    if (std::string error = arrive(owner, address, barrier, 1); !error.empty())
      return error;
  }
  // Later commits than the phase needs stay on their way.
  for (const uint64_t phase = barrier.phase; !barrier.products.empty() && barrier.phase == phase;) {
    const ProductArrival arrival = barrier.products.front();
    barrier.products.erase(barrier.products.begin());
    completeProducts(*arrival.lane, arrival.products);
    if (std::string error = arrive(owner, address, barrier, 1); !error.empty())
      return error;
  }
  while (!barrier.copies.empty()) {
    const BulkCopy copy = std::move(barrier.copies.front());
    barrier.copies.erase(barrier.copies.begin());
    complete(copy);
    barrier.transactions -= copy.bytes;
    if (std::string error = endPhase(owner, address, barrier); !error.empty())
      return error;
  }
  return {};
}

uint32_t mbarrierTest(GrokEmulatorThread *thread, void *address, uint64_t stateOrParity,
                      uint32_t isParity, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  MBarrier &barrier = mbarrierAt(lane, address, site);
  if (hasCompleted(barrier, stateOrParity, isParity))
    return 1;
  const std::string error = deliver(*ownerOf(lane, address), address, barrier);
  if (!error.empty())
    failAt(lane, site, error);
  if (hasCompleted(barrier, stateOrParity, isParity))
    return 1;
  pause(thread, site);
  return 0;
}

void mbarrierWait(GrokEmulatorThread *thread, void *address, uint32_t parity,
                  GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  const MBarrier &barrier = mbarrierAt(lane, address, site);
  if (ownerOf(lane, address) != lane.block)
    failAt(lane, site, "wait for an mbarrier in another block's shared memory");
  if (hasCompleted(barrier, parity, true))
    return;
  lane.waitedFor = address;
  lane.waitedPhase = parity;
  lane.block->mbarrierWaiters.push_back(&lane);
  block(lane, State::mbarrier, site);
}

bool deliverToWaiters(Block &block) {
  const size_t before = block.mbarrierWaiters.size();
  const std::vector<Lane *> waiters = block.mbarrierWaiters;
  for (const Lane *waiter : waiters) {
    MBarrier *barrier = waiter->state == State::mbarrier ? find(block, waiter->waitedFor) : nullptr;
    if (!barrier)
      continue;
    const std::string error = deliver(block, waiter->waitedFor, *barrier);
    if (!error.empty())
      waiter->worker->launch->setError(placeOf(*waiter) + error + " (" + waiter->site + ")");
  }
  return block.mbarrierWaiters.size() != before;
}

} // namespace grok::runtime::emulated
