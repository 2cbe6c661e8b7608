// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The memory bandwidth that a decode is held against.
#pragma once

#include "runtime/Result.h"
#include "runtime/plan/File.h"
#include <sys/types.h>

namespace grok::runtime {

/// One measurement of the machine's reading rate.
struct ReadSample {
  double bytesPerSecond = 0;
  int32_t runs = 0; // far-apart runs per thread that read the fastest
};

/// Measures how fast this machine reads memory: all threads sum 64-byte lines
/// of a buffer that no cache holds, each thread along 1, 2, 4 and 8 runs far
/// apart in turn. How many are best differs: one gets only about 60 % of a core's
/// bandwidth on EPYC 7003 (two cores: 11-15 GB/s against 20-29).
///
/// The loops run in a process of their own, so that their buffer does not count
/// in the peak memory of this one.
class ReadLimit {
public:
  /// Starts the process. Call it while this one has a single thread. A buffer of
  /// 0 bytes is chosen by the machine's caches.
  static Result<ReadLimit> start(size_t bufferBytes = 0);
  ReadLimit(ReadLimit &&other) noexcept;
  ~ReadLimit();

  /// The best of reading the buffer once along each number of runs.
  Result<ReadSample> sample(int threads);

private:
  ReadLimit(FileHandle channel, pid_t process) : channel(std::move(channel)), process(process) {}

  FileHandle channel;
  pid_t process;
};

/// Bytes per second of `threads` threads that read `bytes` in all, each along
/// `runs` runs: 1, 2, 4 or 8.
double measureRead(const std::byte *buffer, size_t bytes, int threads, int runs);

} // namespace grok::runtime
