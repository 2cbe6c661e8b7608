// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/ReadLimit.h"
#include "runtime/measurement/TimedThreads.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace grok::runtime {

/// One cache line; the compiler splits it into what the machine has.
typedef uint64_t Line __attribute__((vector_size(64)));

/// Sums `lines` lines of each of `Runs` runs, one line of each in turn. One sum
/// for all runs: adding takes a cycle, and more sums would not fit in registers.
template <int Runs> static uint64_t sumRuns(const Line *first, size_t lines) {
  Line sum = {};
  for (size_t i = 0; i < lines; ++i)
    for (size_t run = 0; run < Runs; ++run)
      sum += first[run * lines + i];
  uint64_t total = 0;
  for (int lane = 0; lane < 8; ++lane)
    total += sum[lane];
  return total;
}

double measureRead(const std::byte *buffer, size_t bytes, int threads, int runs) {
  const auto workers = static_cast<size_t>(threads);
  const size_t lines = bytes / sizeof(Line) / workers / static_cast<size_t>(runs);
  const auto *first = reinterpret_cast<const Line *>(buffer);
  std::atomic<uint64_t> sink = 0;
  const auto run = [&](int worker) {
    const Line *part = first + static_cast<size_t>(worker) * static_cast<size_t>(runs) * lines;
    sink += runs == 1   ? sumRuns<1>(part, lines)
            : runs == 2 ? sumRuns<2>(part, lines)
            : runs == 4 ? sumRuns<4>(part, lines)
                        : sumRuns<8>(part, lines);
  };
  const double seconds = timeThreads(threads, [](int) {}, run);
  return static_cast<double>(lines * sizeof(Line) * workers * static_cast<size_t>(runs)) / seconds;
}

/// Larger than the last cache (a virtual machine may be shown one that it shares
/// with many), but no burden on a small machine.
static size_t chooseBufferBytes() {
  constexpr size_t mebibyte = size_t(1) << 20;
  const auto cache = static_cast<size_t>(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L));
  const auto memory =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return std::min(std::clamp(2 * cache, 256 * mebibyte, 1024 * mebibyte), memory / 8);
}

/// Writes every page, each from the thread that will read it, so that it lies in
/// that thread's memory. (Unwritten pages would all be the one zero page.)
static void touchPages(std::byte *buffer, size_t bytes, int threads) {
  std::vector<std::thread> pool;
  pool.reserve(static_cast<size_t>(threads));
  const size_t part = bytes / static_cast<size_t>(threads);
  for (int worker = 0; worker < threads; ++worker)
    pool.emplace_back([=] { std::memset(buffer + static_cast<size_t>(worker) * part, 1, part); });
  for (std::thread &thread : pool)
    thread.join();
}

/// The measuring process: answers each number of threads with a rate (0 = no
/// memory) until the other end is closed.
[[noreturn]] static void serveSamples(int channel, size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto *buffer = static_cast<std::byte *>(memory);
  if (memory != MAP_FAILED) // fewer faults; the rate is the same without
    madvise(memory, bytes, MADV_HUGEPAGE);
  bool isTouched = false;
  int32_t threads = 0;
  while (read(channel, &threads, sizeof threads) == sizeof threads) {
    ReadSample best;
    if (memory != MAP_FAILED) {
      if (!std::exchange(isTouched, true))
        touchPages(buffer, bytes, threads);
      for (int32_t runs : {1, 2, 4, 8})
        if (double rate = measureRead(buffer, bytes, threads, runs); rate > best.bytesPerSecond)
          best = {rate, runs};
    }
    if (write(channel, &best, sizeof best) != sizeof best)
      break;
  }
  _exit(0);
}

Result<ReadLimit> ReadLimit::start(size_t bufferBytes) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail("read limit, no channel to the measuring process: ", std::strerror(errno));
  FileHandle mine(ends[0]);
  FileHandle its(ends[1]);
  const pid_t process = fork();
  if (process < 0)
    return fail("read limit, no measuring process: ", std::strerror(errno));
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(mine.release());
    serveSamples(its.get(), bufferBytes > 0 ? bufferBytes : chooseBufferBytes());
  }
  return ReadLimit(std::move(mine), process);
}

ReadLimit::ReadLimit(ReadLimit &&other) noexcept
    : channel(std::move(other.channel)), process(std::exchange(other.process, -1)) {}

ReadLimit::~ReadLimit() {
  if (process < 0)
    return;
  channel = FileHandle();
  waitpid(process, nullptr, 0);
}

Result<ReadSample> ReadLimit::sample(int threads) {
  const int32_t request = threads;
  ReadSample best;
  if (send(channel.get(), &request, sizeof request, MSG_NOSIGNAL) != sizeof request ||
      recv(channel.get(), &best, sizeof best, MSG_WAITALL) != sizeof best ||
      !(best.bytesPerSecond > 0))
    return fail("read limit, the measuring process has failed, free some memory");
  return best;
}

} // namespace grok::runtime
