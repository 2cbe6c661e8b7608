// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The memory of the key/value cache: equal pages whose inside only kernels know.
#pragma once

#include "runtime/device/Device.h"
#include <optional>
#include <vector>

namespace grok::runtime {

class PagePool {
public:
  /// `pages` pages of `pageBytes`. Physical memory is taken at the first write.
  static Result<PagePool> create(Device &device, uint64_t pageBytes, int64_t pages);

  /// A page of zeros; nothing if all are taken.
  std::optional<int32_t> allocate();
  /// Gives a page back; its memory returns to the system.
  void free(int32_t page);

  std::byte *base() const { return memory->data(); }
  int64_t capacity() const { return numPages; }
  int64_t inUse() const { return numUsed; }
  int64_t available() const { return numPages - numUsed; }
  uint64_t pageBytes() const { return bytesPerPage; }

private:
  PagePool(std::unique_ptr<DeviceMemory> memory, uint64_t pageBytes, int64_t pages)
      : memory(std::move(memory)), bytesPerPage(pageBytes), numPages(pages) {}

  std::unique_ptr<DeviceMemory> memory;
  uint64_t bytesPerPage;
  int64_t numPages;
  int64_t numUsed = 0;
  int32_t firstFresh = 0;        // pages from here on were never handed out
  std::vector<int32_t> returned; // given back, zero again
};

} // namespace grok::runtime
