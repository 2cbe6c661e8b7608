// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How often the fake driver was called and kernels ran, for tests in this process and others.
#include "tests/runtime/device/cuda/FakeCuda.h"
#include <cstdlib>
#include <fstream>
#include <unistd.h>

namespace grok::runtime::cuda {

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
