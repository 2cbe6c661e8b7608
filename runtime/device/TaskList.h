// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The launches of a step as tasks of the plan's persistent kernel, which does them all
// in one launch (docs/gpu.md).
#pragma once

#include "runtime/device/Device.h"
#include "runtime/plan/TaskOrder.h"
#include <vector>

namespace grok::runtime {

/// In the device's memory. Outlived by the device.
class TaskList {
public:
  /// Of launches, in order, of kernels that the persistent kernel is made of, with the
  /// memory that each uses; null where the plan has none for this device. The operands'
  /// addresses are copied.
  static Result<std::unique_ptr<TaskList>>
  create(Device &device, std::span<const DeviceLaunch> launches, const std::vector<TaskUses> &uses);

  /// Does the launches on the step that begin() has named.
  Result<void> run();

private:
  TaskList(Device &device, uint32_t kernel) : device(device), kernel(kernel) {}
  Result<void> add(const DeviceLaunch &launch, std::span<const uint32_t> waits);

  Device &device;
  uint32_t kernel;
  std::vector<GrokTask> tasks; // devices that share the host's memory read them here
  std::unique_ptr<DeviceMemory> memory, counters;
};

} // namespace grok::runtime
