// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/Gpu.h"
#include <cstdlib>
#include <tuple>
#include <vector>

namespace grok::runtime::cuda {

bool Gpu::takesMachineCode() const {
  // "CUDA C++ Programming Guide", "Binary Compatibility": within one major version,
  // from its minor on; code of chips such as sm_90a for that very chip.
  return major == code->major() &&
         (code->runs_on_newer() ? minor >= code->minor() : minor == code->minor());
}

static bool runsOn(const plan::GpuCode &code, const Gpu &gpu) {
  const auto has = std::tuple(gpu.major, gpu.minor);
  const auto needs = std::tuple(code.major(), code.minor());
  return code.runs_on_newer() ? has >= needs : has == needs;
}

// Code for the very chip before code that runs on newer ones, then the newest.
static bool isBetter(const plan::GpuCode &code, const plan::GpuCode &than) {
  const auto order = [](const plan::GpuCode &each) {
    return std::tuple(each.major(), each.minor(), !each.runs_on_newer());
  };
  return order(code) > order(than);
}

static const plan::GpuCode *bestCode(const plan::Plan &plan, std::string_view chip,
                                     const Gpu &gpu) {
  const plan::GpuCode *best = nullptr;
  for (const plan::GpuCode *code : *plan.gpu_code())
    if ((chip.empty() || code->chip()->string_view() == chip) && runsOn(*code, gpu) &&
        (!best || isBetter(*code, *best)))
      best = code;
  return best;
}

static std::string chipsOf(const plan::Plan &plan) {
  std::string chips;
  for (const plan::GpuCode *code : *plan.gpu_code())
    chips += (chips.empty() ? "" : ", ") + code->chip()->str();
  return chips;
}

static Result<Gpu> describe(const Driver &driver, int ordinal) {
  Gpu gpu;
  gpu.driver = driver;
  char name[256] = "", bus[64] = "";
  auto asked = driver.check(driver.cuDeviceGet(&gpu.device, ordinal), "cuDeviceGet").and_then([&] {
    return driver.check(driver.cuDeviceGetName(name, sizeof name, gpu.device), "cuDeviceGetName");
  });
  asked = asked.and_then([&] {
    return driver.check(driver.cuDeviceGetPCIBusId(bus, sizeof bus, gpu.device),
                        "cuDeviceGetPCIBusId");
  });
  const auto ask = [&](int attribute, int &value) {
    asked = asked.and_then([&] {
      return driver.check(driver.cuDeviceGetAttribute(&value, attribute, gpu.device),
                          "cuDeviceGetAttribute");
    });
  };
  ask(capabilityMajor, gpu.major);
  ask(capabilityMinor, gpu.minor);
  ask(multiprocessorCount, gpu.multiprocessors);
  ask(sharedBytesOptIn, gpu.sharedBytes);
  if (!asked)
    return fail(asked.error());
  gpu.name = name;
  gpu.bus = bus;
  return gpu;
}

static Result<void> checkPlan(const plan::Plan &plan, std::string_view chip) {
  if (plan.gpu_code()->size() == 0)
    return fail("the plan has no code for GPUs; compile it with a GPU in --target");
  for (const plan::GpuCode *code : *plan.gpu_code())
    if (chip.empty() || code->chip()->string_view() == chip)
      return {};
  return fail("the plan has no code for ", chip, ", only for ", chipsOf(plan),
              "; compile it with --target=", chip);
}

Result<Gpu> findGpu(const plan::Plan &plan, std::string_view chip, int place) {
  if (const char *chosen = std::getenv("GROK_GPU_CODE"); chosen && chip.empty())
    chip = chosen;
  if (auto checked = checkPlan(plan, chip); !checked)
    return fail(checked.error());
  auto driver = Driver::open();
  if (!driver)
    return fail(driver.error());
  int count = 0;
  if (auto counted = driver->check(driver->cuDeviceGetCount(&count), "cuDeviceGetCount"); !counted)
    return fail(counted.error());
  if (count == 0)
    return fail("there is no NVIDIA GPU here");
  std::string found;
  std::vector<Gpu> fitting;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    auto gpu = describe(*driver, ordinal);
    if (!gpu)
      return gpu;
    gpu->code = bestCode(plan, chip, *gpu);
    if (gpu->code)
      fitting.push_back(*gpu);
    found += (found.empty() ? "" : ", ") + gpu->name + " (sm_" + std::to_string(gpu->major) +
             std::to_string(gpu->minor) + ")";
  }
  if (!fitting.empty())
    return fitting[static_cast<size_t>(place) % fitting.size()];
  return fail("the plan has code for ", chip.empty() ? chipsOf(plan) : std::string(chip),
              ", which does not run on ", found, "; compile it with that chip in --target");
}

} // namespace grok::runtime::cuda
