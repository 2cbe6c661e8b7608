// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Memory through which the members of a group on one host pass messages: two
// buffers and one sequence number per member.
//
// A member writes a buffer, publishes the next number and waits for the others'
// numbers. It takes the buffers in turn. No second barrier is needed: it writes
// a buffer again only after it saw every member publish from the other one, and
// a member publishes that only when it is done with reading the first.
// Numbers only grow (compared by signed difference), so nothing is ever reset.
#pragma once

#include "runtime/collectives/Waiting.h"
#include <cstddef>

namespace grok::runtime {

class Window {
public:
  /// Bytes to map for such a window, all zero before its first use.
  static size_t bytesFor(int members, size_t capacity);

  /// A view of memory aligned to 128 bytes, kept alive by the window.
  Window(std::shared_ptr<std::byte> memory, int members, size_t capacity);

  /// Bytes of one message.
  size_t capacity() const { return messageBytes; }
  std::byte *buffer(int member, uint32_t turn) const;
  /// Makes what `member` wrote visible to those that see the number.
  void publish(int member, uint32_t number);
  /// Returns when `member` has published `number`.
  Result<void> await(int member, uint32_t number, Wait &wait);

private:
  // Two cache lines: processors fetch lines in pairs.
  struct alignas(128) Record {
    std::atomic<uint32_t> number;
    std::atomic<uint32_t> sleepers;
    std::atomic<int> processor; // where the member published last
  };
  static_assert(std::atomic<uint32_t>::is_always_lock_free, "shared between processes");

  Record &record(int member) const;

  std::shared_ptr<std::byte> memory;
  int members;
  size_t messageBytes;
};

} // namespace grok::runtime
