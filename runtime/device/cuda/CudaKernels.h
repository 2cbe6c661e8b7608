// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan's GPU kernels, loaded: functions of the driver and how they are launched.
#pragma once

#include "runtime/device/cuda/CudaContext.h"
#include "runtime/plan/GpuKernels.h"
#include <vector>

namespace grok::runtime::cuda {

struct CudaKernel {
  std::string name;
  Function function = nullptr;
  unsigned blocks = 1, threads = 32, clusterBlocks = 1;
  unsigned sharedBytes = 0;
  uint32_t operands = 0;
  Address scratch = 0;        // zero-filled before the first launch
  bool isCooperative = false; // its blocks wait for each other
  bool startsEarly = false;   // waits itself for the launches before

  /// What the launch needs said beside its size; only if attributeCount().
  LaunchAttribute attribute() const {
    return isCooperative ? LaunchAttribute{.id = cooperative} : cluster();
  }
  unsigned attributeCount() const { return isCooperative || clusterBlocks > 1 ? 1 : 0; }

  LaunchAttribute cluster() const {
    return {.id = clusterDimension, .padding = 0, .cluster = {clusterBlocks, 1, 1}, .rest = {}};
  }
};

class CudaKernels {
public:
  /// Loads all kernels of the GPU's code and sizes their grids: as many blocks as the
  /// GPU holds at a time, or as have work. Outlived by the context.
  static Result<CudaKernels> load(const CudaContext &context, const plan::Plan &plan);
  CudaKernels(CudaKernels &&) = default;
  ~CudaKernels();

  /// By the number of gpuKernelsOf.
  const CudaKernel &operator[](uint32_t kernel) const { return kernels[kernel]; }
  /// Number of the service for `op`, or nothing.
  std::optional<uint32_t> service(std::string_view op) const { return services.find(op); }
  /// Most operands of any kernel.
  uint32_t mostOperands() const;

  /// Bytes of the scratch memory that load() takes.
  static uint64_t scratchBytes(const plan::Plan &plan, const plan::GpuCode &code);

private:
  explicit CudaKernels(const CudaContext &context) : context(&context) {}
  Result<void> loadModule(CudaKernel &kernel, const plan::GpuKernel &from);
  Result<void> tryImage(Module &module, const void *image) const;
  Result<void> size(CudaKernel &kernel, const plan::GpuKernel &from) const;

  const CudaContext *context;
  std::vector<CudaKernel> kernels;
  ServiceNumbers services;
  std::vector<Module> modules;
  std::unique_ptr<DeviceMemory> scratch;
};

} // namespace grok::runtime::cuda
