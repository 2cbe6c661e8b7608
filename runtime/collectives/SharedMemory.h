// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Memory that processes of one host share. It has no name in any file system,
// so nothing is left over however they end.
#pragma once

#include "runtime/Result.h"
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace grok::runtime {

/// What another process needs to map the memory; plain bytes, to be sent.
struct SharedMemoryOffer {
  std::array<char, 40> bootId; // same kernel?
  uint64_t process;            // whose descriptor, -1 below: nothing to map
  int64_t descriptor;
  uint64_t bytes;
  std::array<uint64_t, 2> nonce; // found again in the memory: the same process?
};

/// An offer of nothing.
SharedMemoryOffer noSharedMemory();

class SharedMemory {
public:
  /// Zeroed memory of our own.
  static Result<SharedMemory> create(size_t bytes);
  /// Another process's. Fails on another host, in another container, or where
  /// the kernel forbids it.
  static Result<SharedMemory> map(const SharedMemoryOffer &offer);

  /// Valid until stopOffering().
  const SharedMemoryOffer &offer() const { return offered; }
  /// Nobody can map it from now on.
  void stopOffering() { descriptor.reset(); }
  const std::shared_ptr<std::byte> &memory() const { return bytes; }

private:
  SharedMemoryOffer offered;
  std::shared_ptr<int> descriptor;
  std::shared_ptr<std::byte> bytes; // behind the nonce's page
};

} // namespace grok::runtime
