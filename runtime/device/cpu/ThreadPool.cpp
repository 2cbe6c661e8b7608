// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cpu/ThreadPool.h"
#include <algorithm>
#include <climits>
#include <cstring>
#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace grok::runtime {

static constexpr int maxThreads = 4096;
// Longer than the gaps between launches, some 0.1 ms: then no worker sleeps
// within a step, and all do between steps of an idle process.
static constexpr int spinsBeforeSleep = 3000;

static void futexWait(std::atomic<uint32_t> &word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr,
          nullptr, 0);
}

static void futexWake(std::atomic<uint32_t> &word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, count, nullptr,
          nullptr, 0);
}

static bool offersWork(uint64_t ticket) {
  return static_cast<uint32_t>(ticket) < static_cast<uint32_t>(ticket >> 32);
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int threads, const Topology &topology) {
  if (threads < 0 || threads > maxThreads)
    return fail("threads: ", threads, ", expected 0..", maxThreads);
  std::unique_ptr<ThreadPool> pool(new ThreadPool(threads ? threads : topology.cores));
  if (auto started = pool->start(topology); !started)
    return fail(started.error());
  return pool;
}

static void pin(pthread_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  pthread_setaffinity_np(thread, sizeof(set), &set); // an optimisation: failure is harmless
}

Result<void> ThreadPool::start(const Topology &topology) {
  const std::vector<int> &processors = topology.processors;
  // More workers than processors must not spin in each other's way.
  bool fits = processors.size() >= static_cast<size_t>(numThreads);
  bool pinned = fits && topology.nodes > 1 && numThreads > 1 && numThreads >= topology.cores;
  spins = fits ? spinsBeforeSleep : 1;
  callerProcessor = pinned ? processors[0] : -1;
  workers.reserve(static_cast<size_t>(numThreads)); // workers keep their address
  for (int number = 1; number < numThreads; ++number) {
    workers.push_back({this, number, {}});
    if (int error = pthread_create(&workers.back().thread, nullptr, workerMain, &workers.back())) {
      workers.pop_back();
      return fail("cannot start thread ", number, " of ", numThreads, ": ", std::strerror(error));
    }
    if (pinned)
      pin(workers.back().thread, processors[static_cast<size_t>(number)]);
  }
  return {};
}

ThreadPool::CallerPin::CallerPin(const ThreadPool &pool)
    : active(pool.callerProcessor >= 0 && sched_getaffinity(0, sizeof(before), &before) == 0) {
  if (active)
    pin(pthread_self(), pool.callerProcessor);
}

ThreadPool::CallerPin::~CallerPin() {
  if (active)
    sched_setaffinity(0, sizeof(before), &before);
}

ThreadPool::~ThreadPool() {
  stopping.store(true);
  notifications.fetch_add(1);
  futexWake(notifications, INT_MAX);
  for (const Worker &worker : workers)
    pthread_join(worker.thread, nullptr);
}

void *ThreadPool::workerMain(void *worker) {
  const auto &self = *static_cast<const Worker *>(worker);
  self.pool->work(self.number);
  return nullptr;
}

bool ThreadPool::hasWork() const { return offersWork(ticket.load(std::memory_order_acquire)); }

void ThreadPool::work(int worker) {
  while (!stopping.load(std::memory_order_relaxed)) {
    uint32_t seen = notifications.load();
    for (int i = 0; i < spins && !hasWork(); ++i)
      _mm_pause();
    if (hasWork())
      runOneChunk(worker);
    else
      sleepUntilNotified(seen);
  }
}

// `seen` was read before looking for work. Work published later has changed the
// word, so the kernel does not put us to sleep; work published earlier was seen.
void ThreadPool::sleepUntilNotified(uint32_t seen) {
  sleepers.fetch_add(1);
  if (!stopping.load())
    futexWait(notifications, seen);
  sleepers.fetch_sub(1);
}

bool ThreadPool::runOneChunk(int worker) {
  uint64_t claimed = ticket.fetch_add(1, std::memory_order_acq_rel);
  if (!offersWork(claimed))
    return false;
  // The caller cannot replace the loop before this chunk is reported done.
  auto chunk = static_cast<int64_t>(static_cast<uint32_t>(claimed));
  int64_t begin = chunk * current.grain;
  current.body(current.context, begin, std::min(begin + current.grain, current.tiles), worker);
  if (remaining.fetch_sub(1) == 1 && callerSleeps.load())
    futexWake(remaining, 1);
  return true;
}

void ThreadPool::waitForChunks() {
  for (int i = 0; i < spins && remaining.load(std::memory_order_acquire) != 0; ++i)
    _mm_pause();
  if (remaining.load(std::memory_order_acquire) == 0)
    return;
  callerSleeps.store(1);
  while (uint32_t left = remaining.load())
    futexWait(remaining, left);
  callerSleeps.store(0);
}

void ThreadPool::run(const ParallelLoop &loop) {
  if (loop.tiles <= 0)
    return;
  int64_t chunks = (loop.tiles - 1) / loop.grain + 1;
  if (chunks == 1 || numThreads == 1) {
    loop.body(loop.context, 0, loop.tiles, 0);
    return;
  }
  current = loop;
  remaining.store(static_cast<uint32_t>(chunks), std::memory_order_relaxed);
  ticket.store(static_cast<uint64_t>(chunks) << 32);
  notifications.fetch_add(1);
  if (sleepers.load())
    futexWake(notifications, static_cast<int>(std::min<int64_t>(chunks - 1, numThreads - 1)));
  while (hasWork())
    runOneChunk(0);
  waitForChunks();
}

} // namespace grok::runtime
