// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The state of one launch: lanes in warps in blocks in clusters, and the
// operating system threads ("workers") that run them.
#pragma once

#include "runtime/device/emulated/EmulatorABI.h"
#include "runtime/device/emulated/Fiber.h"
#include "runtime/device/emulated/GlobalRaces.h"
#include "runtime/device/emulated/SharedMemory.h"
#include <array>
#include <atomic>
#include <bit>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>

namespace grok::runtime::emulated {

struct Block;
struct Cluster;
struct Launch;
struct TensorMemory;
struct Warp;
struct Worker;

enum class State : uint8_t {
  ready,
  collective,
  barrier,
  mbarrier,
  clusterBarrier,
  paused, // waits for other blocks to write memory, perhaps
  done
};

/// Global memory that the launch may touch.
struct Region {
  uintptr_t begin, end;
  const char *name;
  bool isWritable;
};

/// One cp.async whose data is not there yet.
struct LaneCopy {
  unsigned char *to;
  const unsigned char *from;
  uint32_t bytes;
  uint32_t sourceBytes;
  uint32_t group;
  uint64_t number; // of all copies of the lane
  GrokEmulatorSite site;
};

/// One bulk copy whose data is not there yet, as runs of contiguous bytes.
struct BulkCopy {
  struct Run {
    unsigned char *to;
    const unsigned char *from; // null: zeros, outside of the tensor
    uint32_t bytes;
  };
  std::vector<Run> runs;
  uint32_t bytes; // of all runs
  bool intoShared;
  bool outOfShared;
  uint64_t when; // into shared: phase of the mbarrier at issue; out of it: bulk group
  GrokEmulatorSite site;
};

/// What a lane spins for, if it has said so.
struct CounterWait {
  const uint32_t *counter = nullptr;
  uint32_t target = 0, task = 0, awaited = 0;
};

/// A GPU thread. Derives from what translated code sees of it.
struct Lane : GrokEmulatorThread {
  void *stackPointer = nullptr;
  Stack stack;
  Worker *worker = nullptr;
  Block *block = nullptr;
  Warp *warp = nullptr;
  uint32_t thread = 0; // in the block
  uint32_t lane = 0;   // in the warp
  State state = State::ready;
  GrokEmulatorSite site = ""; // where it waits

  // Of the collective that it waits in: arguments, then results.
  uint64_t argument = 0;
  uint64_t detail = 0;
  unsigned char *row = nullptr; // in shared memory
  const void *in = nullptr;
  void *out = nullptr;
  uint64_t result = 0;

  const Region *region = nullptr; // of its last global access
  bool isEarly = false;           // launches before may still write what is writable
  int64_t fuel = 0;               // memory accesses until others may run
  uint32_t lastFence = 0;         // of its block's clock, after the fence
  uint32_t copyGroup = 0;
  uint64_t copyCount = 0;
  std::vector<LaneCopy> copies;
  uint32_t bulkGroup = 0;
  std::vector<BulkCopy> bulkStores;
  CounterWait counterWait;
  void *waitedFor = nullptr; // mbarrier
  uint64_t waitedPhase = 0;
  uint32_t clusterArrivals = 0;
  uint32_t clusterWaits = 0;
  uint64_t productCount = 0; // of tcgen05.mma
  uint32_t tensorFence = 0;  // time of its last tcgen05.fence::after_thread_sync
};

/// Lanes of a warp that meet at a collective.
struct Meeting {
  using Run = void (*)(Warp &, const Meeting &);
  Run run = nullptr;
  uint32_t mask = 0;
  uint32_t arrived = 0;
  uint64_t how = 0; // must agree
  GrokEmulatorSite site = "";
};

/// What a warp computes of one wgmma.mma_async; see Wgmma.cpp.
struct WarpProduct {
  enum class Stage : uint8_t { issued, done, overwritten };
  uint32_t id = 0;
  GrokEmulatorWgmma what{};
  uint64_t a = 0, b = 0;
  uint32_t follows = 0; // id of the product whose sums it continues; 0 = none
  uint32_t group = 0;
  Stage stage = Stage::issued;
  GrokEmulatorSite site = "";
  std::vector<uint32_t> sums; // [32 lanes][n / 2]
};

struct Warp {
  Lane *lanes = nullptr; // [32]
  Block *block = nullptr;
  uint32_t index = 0;
  uint32_t ready = 0;
  uint32_t alive = 0;
  std::vector<Meeting> meetings;
  std::deque<WarpProduct> products;
  uint32_t productCount = 0;
  uint32_t productGroup = 0;
  bool hasFencedRegisters = false;
};

struct NamedBarrier {
  uint32_t expected = 0;
  uint32_t arrived = 0;
  uint32_t reduced = 0; // predicates that were true
  std::vector<Lane *> waiting;
  std::array<GrokEmulatorSite, 32> siteOfWarp{}; // of this phase
  std::array<uint32_t, 32> arrivedOfWarp{};      // masks of lanes
};

/// cp.async.mbarrier.arrive: an arrival after the lane's first copies.
struct CopyArrival {
  Lane *lane;
  uint64_t copies;
};

/// tcgen05.commit: an arrival after the lane's first products.
struct ProductArrival {
  Lane *lane;
  uint64_t products;
};

/// PTX ISA, "mbarrier": a phase ends when no arrival and no transaction is due.
struct MBarrier {
  uint32_t expected = 0; // arrivals of the next phase
  uint32_t pending = 0;  // arrivals of this phase
  int64_t transactions = 0;
  uint64_t phase = 0;
  std::vector<BulkCopy> copies; // complete on this barrier, delivered when somebody waits
  std::vector<CopyArrival> arrivals;
  std::vector<ProductArrival> products;
  GrokEmulatorSite site = ""; // of its init
};

struct Block {
  Cluster *cluster = nullptr;
  uint32_t index = 0; // in the grid
  uint32_t rank = 0;  // in the cluster
  SharedMemory shared;
  uint64_t sharedBytes = 0;
  bool isEntered = false;
  uint32_t clock = 1;        // counts barriers of the whole block and proxy fences
  uint32_t barrierClock = 0; // after the last such barrier
  /// Threads may also meet by mbarriers, atomics or barriers of some of them: who
  /// has met whom is then not known, and races are not looked for.
  bool meetsInPart = false;
  std::unique_ptr<Lane[]> lanes;
  std::vector<Warp> warps;
  uint32_t readyWarps = 0;
  uint32_t lastWarp = 0;
  uint32_t unfinished = 0;
  uint32_t pausedLanes = 0;
  std::array<NamedBarrier, 16> barriers;
  std::map<uint64_t, MBarrier> mbarriers; // by offset
  std::vector<Lane *> mbarrierWaiters;
  std::shared_ptr<TensorMemory> tensorMemory; // null until a thread uses it
};

struct Cluster {
  std::vector<std::unique_ptr<Block>> blocks;
  uint32_t arrived = 0;
  uint32_t phase = 0;
};

/// Numbers for schedules: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random {
  uint64_t state = 0;

  uint32_t operator()() {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return static_cast<uint32_t>((z ^ z >> 31) >> 32);
  }
};

/// One operating system thread and the clusters that it has begun.
struct Worker {
  Launch *launch = nullptr;
  void *stackPointer = nullptr; // of the scheduler
  Random random;
  std::deque<uint32_t> waiting; // clusters not begun
  std::vector<std::unique_ptr<Cluster>> begun;
  uint64_t idlePauses = 0; // since something else than pausing happened
  uint64_t pauses = 0;
  uint64_t seenEpoch = 0;
  static constexpr uint64_t ended = ~uint64_t(0);
  /// The launch's epoch since which it has only paused, for long.
  std::atomic<uint64_t> stuckAt{ended - 1};
};

/// What outlives a launch.
struct Store {
  std::mutex lock;
  StackPool stacks;
  std::vector<SharedMemory> windows;
};

struct Launch {
  const GrokEmulatorLaunch *what = nullptr;
  Store *store = nullptr;
  std::vector<Region> regions;        // ascending
  std::unique_ptr<GlobalRaces> races; // or null: not looked for
  std::atomic<bool> hasFailed{false};
  std::vector<Worker> *workers = nullptr;
  std::atomic<uint64_t> epoch{0}; // counts turns of workers that did not only pause
  std::mutex lock;
  std::string error; // the first one

  void setError(const std::string &text);
};

inline Lane &laneOf(GrokEmulatorThread *thread) { return *static_cast<Lane *>(thread); }

/// Stops the running lane until somebody makes it ready.
void block(Lane &lane, State state, GrokEmulatorSite site);
/// Lets others run; the lane stays ready.
void preempt(Lane &lane);
void makeReady(Lane &lane);
/// Something happened that is no mere waiting.
void noteProgress(Lane &lane);

/// "matmul: block 1, thread 33: ": the start of every message about a lane.
std::string placeOf(const Lane &lane);
[[noreturn]] void abandon(Lane &lane, const std::string &text);

/// Ends the launch with one line that names the kernel, block, thread and, at
/// its end, the site. Never returns: the lane is abandoned.
template <typename... Parts>
[[noreturn]] void failAt(Lane &lane, GrokEmulatorSite site, const Parts &...parts) {
  std::ostringstream line;
  line << placeOf(lane);
  (line << ... << parts);
  line << " (" << site << ")";
  abandon(lane, line.str());
}

/// One more fence, or barrier of all threads.
uint32_t advanceClock(Block &block);
void passBarrier(Block &block);

/// Runs the worker's share of the launch.
void runWorker(Worker &worker);

} // namespace grok::runtime::emulated
