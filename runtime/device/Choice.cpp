// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/Choice.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/device/cuda/CudaDevice.h"
#include "runtime/device/emulated/EmulatedDevice.h"
#include <algorithm>
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

static bool isGpuChip(const plan::Plan &plan, std::string_view level) {
  return std::any_of(
      plan.gpu_code()->begin(), plan.gpu_code()->end(),
      [&](const plan::GpuCode *code) { return code->chip()->string_view() == level; });
}

static bool canBeEmulated(const plan::Plan &plan) {
  return std::any_of(
      plan.gpu_code()->begin(), plan.gpu_code()->end(),
      [](const plan::GpuCode *code) { return code->emulation() && code->emulation()->size(); });
}

static Result<std::unique_ptr<Device>> makeCuda(const plan::Plan &plan, const cuda::Gpu &gpu,
                                                const DeviceSettings &settings) {
  return asDevice(
      CudaDevice::create(plan, settings.rank, gpu, {settings.threads, settings.placing}));
}

static Result<std::unique_ptr<Device>> makeCpu(const plan::Plan &plan,
                                               const DeviceSettings &settings) {
  return asDevice(CpuDevice::create(plan, settings.threads, settings.level));
}

/// A GPU that is here but lacks memory is an error, not a reason to be slow.
static Result<std::unique_ptr<Device>> makeBest(const plan::Plan &plan,
                                                const DeviceSettings &settings) {
  const bool wantsCpu = !settings.level.empty() && !isGpuChip(plan, settings.level);
  if (wantsCpu || plan.gpu_code()->size() == 0)
    return makeCpu(plan, settings);
  auto gpu = cuda::findGpu(plan, settings.level, settings.place);
  if (gpu)
    return makeCuda(plan, *gpu, settings);
  if (plan.code()->size() > 0)
    return makeCpu(plan, settings);
  return fail(gpu.error(), canBeEmulated(plan) ? "; --device=emulated runs it here, slowly" : "");
}

Result<std::unique_ptr<Device>> makeDevice(const plan::Plan &plan, DeviceKind kind,
                                           const DeviceSettings &settings) {
  switch (kind) {
  case DeviceKind::automatic:
    return makeBest(plan, settings);
  case DeviceKind::cpu:
    return makeCpu(plan, settings);
  case DeviceKind::cuda:
    return cuda::findGpu(plan, settings.level, settings.place).and_then([&](const cuda::Gpu &gpu) {
      return makeCuda(plan, gpu, settings);
    });
  case DeviceKind::emulated:
    return asDevice(EmulatedDevice::create(plan, settings.threads, settings.level));
  }
  return fail("unknown device");
}

} // namespace grok::runtime
