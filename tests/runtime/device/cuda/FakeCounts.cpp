// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How often the fake driver was called and kernels ran, for tests in this process and others.
#include "tests/runtime/device/cuda/FakeCuda.h"
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sys/mman.h>
#include <unistd.h>

namespace grok::runtime::cuda {

int enterToFree() {
  if (fake().stickyError != success)
    return fake().stickyError;
  return holdsContext() ? success : invalidContext;
}

int enterCall(const char *function) {
  ++fake().calls[function];
  const int status = enterToFree();
  if (status != success || ++fake().callsThatMayFail != fake().failingCall)
    return status;
  ++fake().calls["failed as asked"];
  return outOfMemory;
}

// In a page behind the memory.
int countImports(int file, uint64_t bytes, int change) {
  constexpr uint64_t page = 4096;
  const auto offset = static_cast<off_t>((bytes + page - 1) / page * page);
  void *place = ftruncate(file, offset + static_cast<off_t>(page)) != 0
                    ? MAP_FAILED
                    : mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
  if (place == MAP_FAILED)
    std::abort();
  const int count = static_cast<std::atomic<int> *>(place)->fetch_add(change) + change;
  munmap(place, page);
  return count;
}

void refuseToFreeImported(Address address) {
  const auto file = fake().files.find(address);
  if (file == fake().files.end() ||
      countImports(file->second, fake().allocations.at(address), 0) == 0)
    return;
  std::fprintf(stderr, "fake CUDA: memory is freed that is open in other processes\n");
  std::abort();
}

/// A line for each process's count, in a file of its own.
static void writeCounts() {
  std::ofstream file(std::getenv("FAKE_CUDA_COUNTS") + ("/" + std::to_string(getpid())));
  const std::lock_guard lock(fake().mutex);
  for (const auto &[what, count] : fake().calls)
    file << count << ' ' << what << '\n';
}

void tellCountsAtExit() {
  static const bool isAsked = std::getenv("FAKE_CUDA_COUNTS") && std::atexit(writeCounts) == 0;
  static_cast<void>(isAsked);
}

} // namespace grok::runtime::cuda

int64_t fakeCudaCalls(const char *function) {
  using grok::runtime::cuda::fake;
  const std::lock_guard lock(fake().mutex);
  return fake().calls[function];
}

int64_t fakeCudaLiving() {
  const grok::runtime::cuda::FakeState &state = grok::runtime::cuda::fake();
  const std::lock_guard lock(grok::runtime::cuda::fake().mutex);
  return state.living + std::ssize(state.allocations) + std::ssize(state.pinned) +
         std::ssize(state.streams) - 2 * std::ssize(state.offered);
}
