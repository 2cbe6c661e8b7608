// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cpu/CpuDevice.h"
#include <algorithm>

namespace grok::runtime {

// Chunks per worker: enough to even out unequal workers, few enough that the
// claims cost nothing.
static constexpr int64_t chunksPerThread = 8;
// Separate pages: two workers never write the same cache line, nor pull each
// other's lines in by prefetching.
static constexpr uint64_t scratchAlignment = 4096;

Result<std::unique_ptr<CpuDevice>> CpuDevice::create(const plan::Plan &plan, int threads,
                                                     std::string_view level) {
  auto blob = selectCode(plan, CpuFeatures::detect(), level);
  if (!blob)
    return fail(blob.error());
  auto code = CodeLibrary::load(**blob);
  if (!code)
    return fail(code.error());
  auto pool = ThreadPool::create(threads);
  if (!pool)
    return fail(pool.error());
  std::unique_ptr<CpuDevice> device(
      new CpuDevice(std::move(*code), std::move(*pool), (*blob)->level()->str()));
  if (auto resolved = device->resolve(plan); !resolved)
    return fail(resolved.error());
  return device;
}

Result<void> CpuDevice::resolve(const plan::Plan &plan) {
  uint64_t largest = 0;
  for (const plan::Kernel *kernel : *plan.kernels()) {
    auto function = code.kernel(kernel->symbol()->str());
    if (!function)
      return fail(function.error());
    kernels.push_back(*function);
    largest = std::max(largest, kernel->scratch_bytes());
  }
  scratchStride = (largest + scratchAlignment - 1) / scratchAlignment * scratchAlignment;
  auto memory =
      Memory::allocate(scratchStride * static_cast<uint64_t>(threads()), "scratch memory");
  if (!memory)
    return fail(memory.error());
  scratch = std::move(*memory);
  return {};
}

Result<std::unique_ptr<DeviceMemory>> CpuDevice::allocate(uint64_t bytes, std::string_view what) {
  return Memory::allocate(bytes, what).map([](Memory memory) -> std::unique_ptr<DeviceMemory> {
    return std::make_unique<HostMemory>(std::move(memory));
  });
}

Result<std::unique_ptr<DeviceMemory>> CpuDevice::place(std::span<const std::byte> bytes,
                                                       std::string_view) {
  return std::make_unique<HostView>(bytes);
}

Result<void> CpuDevice::download(std::span<std::byte> to, const std::byte *from) {
  std::copy_n(from, to.size(), to.begin());
  return {};
}

Result<void> CpuDevice::begin(const GrokStepInfo &newStep) {
  step = &newStep;
  return {};
}

namespace {

struct LaunchContext {
  GrokKernel kernel;
  const void *const *buffers;
  const GrokStepInfo *step;
  std::byte *scratch;
  uint64_t scratchStride;
};

} // namespace

static void runTiles(void *context, int64_t begin, int64_t end, int worker) {
  const auto &launch = *static_cast<const LaunchContext *>(context);
  launch.kernel(launch.buffers, launch.step, begin, end,
                launch.scratch + static_cast<uint64_t>(worker) * launch.scratchStride);
}

Result<void> CpuDevice::launch(const DeviceLaunch &launch, int64_t tiles) {
  LaunchContext context{kernels[launch.kernel], launch.operands.data(), step, scratch.data(),
                        scratchStride};
  int64_t grain = std::max<int64_t>(1, tiles / (threads() * chunksPerThread));
  pool->run({runTiles, &context, tiles, grain});
  return {};
}

} // namespace grok::runtime
