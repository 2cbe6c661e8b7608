// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// This machine's CPU as a device.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/cpu/CodeLibrary.h"
#include "runtime/device/cpu/ThreadPool.h"
#include <memory>
#include <string>
#include <vector>

namespace grok::runtime {

class CpuDevice : public Device {
public:
  /// Loads the best code of the plan (or that of `level`), finds all kernels and
  /// starts the workers with their scratch memory.
  static Result<std::unique_ptr<CpuDevice>> create(const plan::Plan &plan, int threads,
                                                   std::string_view level);

  Result<std::unique_ptr<DeviceMemory>> allocate(uint64_t bytes, std::string_view what) override;
  Result<std::unique_ptr<DeviceMemory>> place(std::span<const std::byte> bytes,
                                              std::string_view what) override;
  Result<void> download(std::span<std::byte> to, const std::byte *from) override;
  Result<void> begin(const GrokStepInfo &newStep) override;
  Result<void> launch(const DeviceLaunch &launch, int64_t tiles) override;
  Result<void> wait() override { return {}; }
  std::string_view level() const override { return codeLevel; }
  int threads() const override { return pool->threads(); }

  ThreadPool *threadPool() override { return pool.get(); }

private:
  CpuDevice(CodeLibrary code, std::unique_ptr<ThreadPool> pool, std::string level)
      : code(std::move(code)), pool(std::move(pool)), codeLevel(std::move(level)) {}
  Result<void> resolve(const plan::Plan &plan);

  CodeLibrary code;
  std::unique_ptr<ThreadPool> pool;
  std::string codeLevel;
  std::vector<GrokKernel> kernels; // by the plan's kernel number
  Memory scratch;                  // [threads, scratchStride]
  uint64_t scratchStride = 0;
  const GrokStepInfo *step = nullptr;
};

} // namespace grok::runtime
