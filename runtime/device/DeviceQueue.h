// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The order of a device's work, where libraries of its maker can add to it.
#pragma once

#include "runtime/Result.h"
#include <cstddef>
#include <cstdint>
#include <functional>

namespace grok::runtime {

/// All that is added comes after the launches so far and before later ones; nothing waits.
class DeviceQueue {
public:
  virtual ~DeviceQueue() = default;

  /// The driver's handle of it, such as a CUstream; the calling thread may use it.
  virtual Result<void *> enter() = 0;
  /// Adds a copy within the device's memory.
  virtual Result<void> copy(std::byte *to, const std::byte *from, uint64_t bytes) = 0;
  /// Adds the writing of a word into memory of PeerMemory::allocateOnHost.
  virtual Result<void> tellHost(uint32_t *to, uint32_t word) = 0;

  /// Asked again and again while this rank waits for the device, which stops waiting soon
  /// after the first error; the wait ends by that error.
  using Watch = std::function<Result<void>()>;
  virtual void setWatch(Watch watch) = 0;
};

} // namespace grok::runtime
