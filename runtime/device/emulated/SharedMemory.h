// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Shared memory of one block, and beside it what is known about its bytes.
#pragma once

#include "runtime/Result.h"
#include <cstdint>
#include <vector>

namespace grok::runtime::emulated {

/// What is known about four bytes of shared memory.
using Mark = uint32_t;
constexpr Mark pendingWrite = 1u << 31; // an unfinished copy writes them
constexpr Mark pendingRead = 1u << 30;  // an unfinished copy reads them
constexpr Mark mbarrierObject = 1u << 29;
constexpr Mark notPlain = pendingWrite | pendingRead | mbarrierObject;
/// The rest: 0, or who last wrote them through the generic proxy: thread + 1 of
/// the block (11 bits) above the block's clock then (18 bits).
constexpr int clockBits = 18;
constexpr Mark clockMask = (1u << clockBits) - 1;

/// 256 KiB on their boundary, so that the 18 low bits of an address are the
/// offset that descriptors hold, followed by the marks of their words, and by who
/// read them last, as marks have writers.
class SharedMemory {
public:
  static constexpr uint64_t windowBytes = uint64_t(1) << 18;
  /// What a block may have on sm_90 and sm_100 (CUDA C++ programming guide,
  /// "Compute capabilities").
  static constexpr uint64_t largest = 232448;

  SharedMemory() = default;
  SharedMemory(SharedMemory &&other) noexcept;
  SharedMemory &operator=(SharedMemory &&other) noexcept;
  ~SharedMemory();

  static Result<SharedMemory> allocate();

  unsigned char *data() const { return bytes; }
  /// Fills the first `count` bytes with NaN and forgets all marks.
  void reset(uint64_t count);
  /// Forgets who wrote and read the first `count` bytes.
  void forgetThreads(uint64_t count);

  static uint64_t offsetOf(const void *address) {
    return reinterpret_cast<uintptr_t>(address) & (windowBytes - 1);
  }
  /// The mark of the word that holds `address`, in any window.
  static Mark *markOf(const void *address) {
    auto *byte = static_cast<unsigned char *>(const_cast<void *>(address));
    return reinterpret_cast<Mark *>(byte - (reinterpret_cast<uintptr_t>(address) & 3) +
                                    windowBytes);
  }
  static Mark *readerOf(const void *address) {
    return markOf(address) + windowBytes / sizeof(Mark);
  }
  static uint32_t words(const void *address, uint32_t count) {
    const auto low = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) & 3);
    return (low + count + 3) / 4;
  }
  static Mark marksOf(const void *address, uint32_t count);
  static void setMarks(void *address, uint32_t count, Mark mark);

private:
  unsigned char *bytes = nullptr;
};

} // namespace grok::runtime::emulated
