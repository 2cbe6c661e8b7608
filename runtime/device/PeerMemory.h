// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Memory through which the devices of several ranks of a host meet, while their kernels
// run.
#pragma once

#include "runtime/device/DeviceMemory.h"
#include <array>
#include <functional>
#include <memory>

namespace grok::runtime {

/// What another rank needs to reach a window; plain bytes, to be sent.
struct WindowOffer {
  std::array<std::byte, 128> bytes = {};
};

class PeerMemory {
public:
  virtual ~PeerMemory() = default;

  /// Whether windows can be mapped in the process that made them.
  virtual bool mapsOwnWindows() const = 0;
  /// Zero-filled memory of this device that others may map as long as it lives, and the
  /// offer of it. Those who have mapped it may go on longer.
  virtual Result<std::unique_ptr<DeviceMemory>> makeWindow(uint64_t bytes, WindowOffer &offer) = 0;
  /// Another device's window. Fails where this device cannot reach it.
  virtual Result<std::unique_ptr<DeviceMemory>> mapWindow(const WindowOffer &offer) = 0;
  /// Zero-filled memory of the host that kernels reach as well, by the same address.
  virtual Result<std::unique_ptr<DeviceMemory>> allocateOnHost(uint64_t bytes) = 0;

  /// Asked again and again while this rank waits for kernels. After its first error the
  /// kernels end soon by themselves; their wait then ends by that error.
  using Watch = std::function<Result<void>()>;
  virtual void setWatch(Watch watch) = 0;
};

} // namespace grok::runtime
