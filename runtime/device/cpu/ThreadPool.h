// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A persistent pool for very short parallel loops: some hundred per token.
#pragma once

#include "runtime/Result.h"
#include "runtime/device/cpu/Topology.h"
#include <atomic>
#include <cstdint>
#include <memory>
#include <pthread.h>
#include <sched.h>
#include <vector>

namespace grok::runtime {

/// A loop over [0, tiles), handed out in chunks of `grain`. Workers are numbered
/// from 0, the caller; `worker` selects private memory, never the work.
struct ParallelLoop {
  void (*body)(void *context, int64_t begin, int64_t end, int worker);
  void *context;
  int64_t tiles;
  int64_t grain; // >= 1
};

class ThreadPool {
public:
  /// `threads` counts the caller; 0 = one per core. Where memory belongs to
  /// several nodes, a pool of all cores pins its workers, one per core. Any other
  /// leaves them to the scheduler: a worker pinned beside another process's
  /// thread would hold up every loop, and small pools would share cores.
  static Result<std::unique_ptr<ThreadPool>> create(int threads,
                                                    const Topology &topology = Topology::detect());
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return numThreads; }

  /// Keeps the calling thread off the cores of pinned workers while it lives: a
  /// spinning worker on the caller's core would halve its speed. Gives the
  /// thread its old freedom back.
  class CallerPin {
  public:
    explicit CallerPin(const ThreadPool &pool);
    ~CallerPin();
    CallerPin(const CallerPin &) = delete;
    CallerPin &operator=(const CallerPin &) = delete;

  private:
    cpu_set_t before;
    bool active;
  };

  /// Runs the loop and returns when it is done. One caller at a time. A loop of
  /// one chunk runs in the caller without waking anybody.
  void run(const ParallelLoop &loop);

private:
  struct Worker {
    ThreadPool *pool;
    int number;
    pthread_t thread;
  };

  explicit ThreadPool(int threads) : numThreads(threads) {}
  Result<void> start(const Topology &topology);
  static void *workerMain(void *worker);
  void work(int worker);
  bool runOneChunk(int worker);
  bool hasWork() const;
  void sleepUntilNotified(uint32_t seen);
  void waitForChunks();

  int numThreads;
  int spins = 0;            // looks before sleeping
  int callerProcessor = -1; // if workers are pinned
  std::vector<Worker> workers;
  ParallelLoop current = {};

  // Chunk count in the upper half, next chunk in the lower: one atomic addition
  // claims a chunk and tells whether it exists, so a late worker can never take
  // part in a loop that is over, and nobody waits for workers that hold nothing.
  alignas(64) std::atomic<uint64_t> ticket = 0;
  alignas(64) std::atomic<uint32_t> remaining = 0; // chunks not finished
  std::atomic<uint32_t> callerSleeps = 0;
  alignas(64) std::atomic<uint32_t> notifications = 0; // what sleeping workers watch
  std::atomic<uint32_t> sleepers = 0;
  std::atomic<bool> stopping = false;
};

} // namespace grok::runtime
