// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/kvcache/PagePool.h"
#include <cstdint>
#include <limits>

namespace grok::runtime {

Result<PagePool> PagePool::create(Device &device, uint64_t pageBytes, int64_t pages) {
  uint64_t bytes;
  if (pages < 1 || pages > std::numeric_limits<int32_t>::max() ||
      __builtin_mul_overflow(pageBytes, static_cast<uint64_t>(pages), &bytes))
    return fail("key/value cache: ", pages, " pages of ", pageBytes, " bytes are out of range");
  auto memory = device.allocate(bytes, "key/value cache");
  if (!memory)
    return fail(memory.error());
  return PagePool(std::move(*memory), pageBytes, pages);
}

std::optional<int32_t> PagePool::allocate() {
  if (available() == 0)
    return std::nullopt;
  ++numUsed;
  if (returned.empty())
    return firstFresh++;
  int32_t page = returned.back();
  returned.pop_back();
  return page;
}

void PagePool::free(int32_t page) {
  memory->clear(static_cast<uint64_t>(page) * bytesPerPage, bytesPerPage);
  returned.push_back(page);
  --numUsed;
}

} // namespace grok::runtime
