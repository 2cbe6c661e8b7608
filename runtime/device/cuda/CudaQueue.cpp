// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaQueue.h"

namespace grok::runtime::cuda {

Result<void *> CudaQueue::enter() {
  return context.enter().map([&] { return static_cast<void *>(context.stream()); });
}

Result<void> CudaQueue::copy(std::byte *to, const std::byte *from, uint64_t bytes) {
  const Driver &driver = context.driver();
  return driver.check(
      driver.cuMemcpyDtoDAsync(addressOf(to), addressOf(from), bytes, context.stream()),
      "rows of other ranks");
}

// Unified addressing: the device has the host's address for pinned memory, also to fill it.
Result<void> CudaQueue::tellHost(uint32_t *to, uint32_t word) {
  const Driver &driver = context.driver();
  return driver.check(driver.cuMemsetD32Async(addressOf(to), word, 1, context.stream()),
                      "a word of the host");
}

} // namespace grok::runtime::cuda
