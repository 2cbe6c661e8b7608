// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/SharedMemory.h"
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace grok::runtime::emulated {

SharedMemory::SharedMemory(SharedMemory &&other) noexcept
    : bytes(std::exchange(other.bytes, nullptr)) {}

SharedMemory &SharedMemory::operator=(SharedMemory &&other) noexcept {
  std::swap(bytes, other.bytes);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (bytes)
    munmap(bytes, 3 * windowBytes);
}

Result<SharedMemory> SharedMemory::allocate() {
  const uint64_t wanted = 4 * windowBytes; // one too many, to cut out what is aligned
  void *mapped = mmap(nullptr, wanted, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return fail("cannot map ", wanted, " bytes for shared memory: ", std::strerror(errno));
  auto *start = static_cast<unsigned char *>(mapped);
  const uint64_t skip = -reinterpret_cast<uintptr_t>(start) & (windowBytes - 1);
  SharedMemory memory;
  memory.bytes = start + skip;
  if (skip)
    munmap(start, skip);
  munmap(memory.bytes + 3 * windowBytes, windowBytes - skip);
  return memory;
}

void SharedMemory::reset(uint64_t count) {
  std::memset(bytes, 0xff, count);
  std::memset(bytes + windowBytes, 0, (count + 3) / 4 * 4);
  std::memset(bytes + 2 * windowBytes, 0, (count + 3) / 4 * 4);
}

void SharedMemory::forgetThreads(uint64_t count) {
  Mark *marks = markOf(bytes), *readers = readerOf(bytes);
  for (uint64_t i = 0; i < (count + 3) / 4; ++i) {
    marks[i] &= notPlain;
    readers[i] = 0;
  }
}

Mark SharedMemory::marksOf(const void *address, uint32_t count) {
  const Mark *mark = markOf(address);
  Mark all = 0;
  for (uint32_t i = 0, n = words(address, count); i < n; ++i)
    all |= mark[i];
  return all;
}

void SharedMemory::setMarks(void *address, uint32_t count, Mark value) {
  Mark *mark = markOf(address);
  for (uint32_t i = 0, n = words(address, count); i < n; ++i)
    mark[i] = value;
}

} // namespace grok::runtime::emulated
