// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/Choice.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/device/emulated/EmulatedDevice.h"
#include <array>

namespace grok::runtime {

static constexpr std::array<std::string_view, 4> kindNames = {"auto", "cpu", "cuda", "emulated"};

std::string_view nameOf(DeviceKind kind) { return kindNames[static_cast<size_t>(kind)]; }

std::optional<DeviceKind> deviceKindNamed(std::string_view name) {
  for (size_t i = 0; i < kindNames.size(); ++i)
    if (kindNames[i] == name)
      return static_cast<DeviceKind>(i);
  return std::nullopt;
}

/// The device as one of the interface.
template <typename Made> static Result<std::unique_ptr<Device>> asDevice(Made made) {
  return std::move(made).map(
      [](auto device) -> std::unique_ptr<Device> { return std::move(device); });
}

Result<std::unique_ptr<Device>> makeDevice(const plan::Plan &plan, DeviceKind kind,
                                           const DeviceSettings &settings) {
  if (kind == DeviceKind::emulated)
    return asDevice(EmulatedDevice::create(plan, settings.threads, settings.level));
  return asDevice(CpuDevice::create(plan, settings.threads, settings.level));
}

} // namespace grok::runtime
