// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Large zero-filled memory straight from the kernel.
#pragma once

#include "runtime/Result.h"
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace grok::runtime {

/// Page-aligned anonymous memory. Reading gives zeros; physical memory is taken
/// page by page at the first write.
class Memory {
public:
  Memory() = default;
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;
  ~Memory();

  /// `what` names the purpose in the error message. 0 bytes give no memory.
  static Result<Memory> allocate(uint64_t bytes, std::string_view what);

  std::byte *data() const { return address; }
  uint64_t size() const { return bytes; }

  /// Makes [offset, offset + count) zero again and returns whole pages to the
  /// system.
  void discard(uint64_t offset, uint64_t count);

private:
  std::byte *address = nullptr;
  uint64_t bytes = 0;
};

} // namespace grok::runtime
