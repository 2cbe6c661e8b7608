// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a name of a device to the device.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/Kind.h"
#include "runtime/plan/plan_generated.h"
#include <functional>
#include <string>

namespace grok::runtime {

struct DeviceSettings {
  int threads = 1;   // that compute, of this process
  std::string level; // of the CPU's code, or the chip that is emulated; empty = the best
  /// Told how many bytes of the weights are in the device's own memory, of all.
  std::function<void(uint64_t done, uint64_t all)> placing = nullptr;
  uint32_t rank = 0; // of the plan
  int place = 0;     // among the ranks of this host: the number of its GPU
};

/// The device with the plan's kernels loaded. `automatic` takes a GPU where the plan
/// has code for one that is here, then the CPU. The error says what is missing.
Result<std::unique_ptr<Device>> makeDevice(const plan::Plan &plan, DeviceKind kind,
                                           const DeviceSettings &settings);

} // namespace grok::runtime
