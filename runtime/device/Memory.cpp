// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/Memory.h"
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace grok::runtime {

Memory::Memory(Memory &&other) noexcept
    : address(std::exchange(other.address, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  return *this;
}

Memory::~Memory() {
  if (address)
    munmap(address, bytes);
}

Result<Memory> Memory::allocate(uint64_t bytes, std::string_view what) {
  Memory memory;
  if (bytes == 0)
    return memory;
  // No reservation of swap: pools are sized for the worst case and mostly idle.
  void *address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return fail(what, ": cannot map ", bytes, " bytes: ", std::strerror(errno));
  memory.address = static_cast<std::byte *>(address);
  memory.bytes = bytes;
  return memory;
}

void Memory::discard(uint64_t offset, uint64_t count) {
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t end = offset + count;
  uint64_t firstWhole = (offset + page - 1) / page * page;
  uint64_t lastWhole = end / page * page;
  if (firstWhole >= lastWhole ||
      madvise(address + firstWhole, lastWhole - firstWhole, MADV_DONTNEED) != 0) {
    std::memset(address + offset, 0, count);
    return;
  }
  std::memset(address + offset, 0, firstWhole - offset);
  std::memset(address + lastWhole, 0, end - lastWhole);
}

} // namespace grok::runtime
