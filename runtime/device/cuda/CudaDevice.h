// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An NVIDIA GPU as a device.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/cuda/CudaKernels.h"
#include "runtime/device/cuda/CudaPeers.h"
#include "runtime/device/cuda/CudaQueue.h"
#include "runtime/device/cuda/CudaStep.h"
#include "runtime/device/cuda/CudaUpload.h"
#include <string>
#include <vector>

namespace grok::runtime {

/// Queues everything on one stream; only wait() and download() wait for it. Any thread
/// may call, one at a time. With CUDA_LAUNCH_BLOCKING=1 in the environment every
/// launch is waited for, so that an error names its launch.
class CudaDevice final : public Device {
public:
  /// Loads the kernels on the GPU that was found, if the rank's weights fit beside them.
  static Result<std::unique_ptr<CudaDevice>> create(const plan::Plan &plan, uint32_t rank,
                                                    const cuda::Gpu &gpu,
                                                    cuda::UploadSettings settings);
  ~CudaDevice() override;

  Result<std::unique_ptr<DeviceMemory>> allocate(uint64_t bytes, std::string_view what) override;
  Result<std::unique_ptr<DeviceMemory>> place(std::span<const std::byte> bytes,
                                              std::string_view what) override;
  Result<std::unique_ptr<DeviceMemory>> placeFiller(uint64_t bytes, std::string_view what) override;
  bool sharesHostMemory() const override { return false; }
  Result<void> download(std::span<std::byte> to, const std::byte *from) override;
  Result<void> upload(std::byte *to, std::span<const std::byte> from) override;

  bool countsTiles() const override { return true; }
  Result<void> begin(const GrokStepInfo &newStep) override;
  Result<void> launch(const DeviceLaunch &launch, int64_t tiles) override;
  Result<void> wait() override;
  std::optional<uint32_t> service(std::string_view op) const override {
    return kernels.service(op);
  }
  PeerMemory *peers() override { return &ownPeers; }
  DeviceQueue *queue() override { return &ownQueue; }
  Result<std::unique_ptr<DeviceGraph>> record(std::span<const DeviceLaunch> launches) override;
  Result<void> launch(DeviceGraph &graph) override;
  void setTiming(bool on) override;
  std::optional<double> secondsOfLastLaunch() override;
  Result<std::optional<double>> measureReadRate() override;

  std::string_view level() const override { return levelText; }
  std::string_view hardware() const override { return context->gpu().bus; }
  int threads() const override { return 1; }

private:
  class RecordedGraph;

  CudaDevice(std::unique_ptr<cuda::CudaContext> context, cuda::CudaKernels kernels,
             cuda::CudaStep step, cuda::UploadSettings settings);
  const cuda::Driver &driver() const { return context->driver(); }
  Result<void> check(int status, std::string_view what) const {
    return driver().check(status, what);
  }
  Result<std::optional<double>> measureReadRate(uint64_t bytes, uint32_t kernel);
  Result<std::optional<double>> timeReads(const DeviceLaunch &launch);
  Result<cuda::GraphExec> instantiate(std::span<const DeviceLaunch> launches, bool mayStartEarly);
  void **parametersOf(const DeviceLaunch &launch);

  std::unique_ptr<cuda::CudaContext> context;
  cuda::CudaPeers ownPeers;
  cuda::CudaQueue ownQueue;
  cuda::CudaKernels kernels;
  cuda::CudaStep step;
  cuda::UploadSettings settings;
  std::string levelText;
  cuda::PinnedMemory transfers;          // what comes and goes passes through it
  std::vector<cuda::Address> parameters; // of the launch in hand: operands, step, scratch
  std::vector<void *> parameterPlaces;
  bool isBlocking = false;
  bool isBusy = false;         // work was queued since the last wait
  bool isUploading = false;    // some of it reads `transfers`
  uint64_t launchesQueued = 0; // since then
  std::string lastLaunch;
  cuda::Event timeBegin = nullptr, timeEnd = nullptr; // while timing
};

} // namespace grok::runtime
