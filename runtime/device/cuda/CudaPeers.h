// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Memory of GPUs of several processes that their kernels reach.
#pragma once

#include "runtime/device/PeerMemory.h"
#include "runtime/device/cuda/CudaContext.h"

namespace grok::runtime::cuda {

/// Windows go from process to process by handles of the driver, between GPUs that reach
/// each other's memory. Threads of one process have none: they cannot open their own.
class CudaPeers final : public PeerMemory {
public:
  explicit CudaPeers(const CudaContext &context) : context(context) {}

  bool mapsOwnWindows() const override { return false; }
  /// Its memory lasts as long as the process.
  Result<std::unique_ptr<DeviceMemory>> makeWindow(uint64_t bytes, WindowOffer &offer) override;
  Result<std::unique_ptr<DeviceMemory>> mapWindow(const WindowOffer &offer) override;
  Result<std::unique_ptr<DeviceMemory>> allocateOnHost(uint64_t bytes) override;
  void setWatch(Watch newWatch) override { watch = std::move(newWatch); }

  bool isWatched() const { return bool(watch); }
  /// Waits until the stream is idle: its status, or what the watch or `another` found.
  Result<int> await(Stream stream, const Watch &another) const;

private:
  const CudaContext &context;
  Watch watch;
};

} // namespace grok::runtime::cuda
