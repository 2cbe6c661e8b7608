// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Memory that kernels of one device read and write.
#pragma once

#include "runtime/device/Memory.h"
#include <span>
#include <utility>

namespace grok::runtime {

class DeviceMemory {
public:
  DeviceMemory(std::byte *address, uint64_t bytes) : address(address), bytes(bytes) {}
  virtual ~DeviceMemory() = default;
  DeviceMemory(const DeviceMemory &) = delete;
  DeviceMemory &operator=(const DeviceMemory &) = delete;

  /// For kernels; for the host too where the device shares the host's memory.
  std::byte *data() const { return address; }
  uint64_t size() const { return bytes; }

  /// Makes [offset, offset + count) zero again, after the launches so far and
  /// before later ones.
  virtual void clear(uint64_t offset, uint64_t count) = 0;

private:
  std::byte *address;
  uint64_t bytes;
};

/// Memory of the host, zero-filled.
class HostMemory final : public DeviceMemory {
public:
  explicit HostMemory(Memory memory)
      : DeviceMemory(memory.data(), memory.size()), memory(std::move(memory)) {}
  void clear(uint64_t offset, uint64_t count) override { memory.discard(offset, count); }

private:
  Memory memory;
};

/// Bytes that live elsewhere in the host's memory and are only read.
class HostView final : public DeviceMemory {
public:
  explicit HostView(std::span<const std::byte> bytes)
      : DeviceMemory(const_cast<std::byte *>(bytes.data()), bytes.size()) {}
  void clear(uint64_t, uint64_t) override {}
};

} // namespace grok::runtime
