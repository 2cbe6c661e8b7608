// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One GPU in use: its context, its memory and the queue of our work on it.
#pragma once

#include "runtime/device/DeviceMemory.h"
#include "runtime/device/cuda/Gpu.h"
#include <memory>

namespace grok::runtime::cuda {

/// "132.4 GiB", for messages.
std::string showGib(uint64_t bytes);

class CudaContext;

/// Memory of the host that the GPU reads and writes while we go on. Outlived by the context.
class PinnedMemory {
public:
  PinnedMemory() = default;
  PinnedMemory(const CudaContext &context, std::byte *address, uint64_t bytes)
      : context(&context), address(address), bytes(bytes) {}
  PinnedMemory(PinnedMemory &&other) noexcept;
  PinnedMemory &operator=(PinnedMemory &&other) noexcept;
  ~PinnedMemory();

  std::byte *data() const { return address; }
  uint64_t size() const { return bytes; }

private:
  const CudaContext *context = nullptr;
  std::byte *address = nullptr;
  uint64_t bytes = 0;
};

/// Shared with the driver's other users in this process (the primary context). Every
/// thread that calls the driver has to `enter` first.
class CudaContext {
public:
  static Result<std::unique_ptr<CudaContext>> create(const Gpu &gpu);
  ~CudaContext();
  CudaContext(const CudaContext &) = delete;
  CudaContext &operator=(const CudaContext &) = delete;

  const Gpu &gpu() const { return ownGpu; }
  const Driver &driver() const { return ownGpu.driver; }
  /// All work but the upload of weights, in order.
  Stream stream() const { return ownStream; }
  Result<void> enter() const;

  /// An error unless that many bytes are free; `what` needs them.
  Result<void> checkFree(uint64_t bytes, std::string_view what) const;
  /// Whatever it held before. Outlived by the context.
  Result<std::unique_ptr<DeviceMemory>> allocateRaw(uint64_t bytes, std::string_view what) const;
  /// Zero-filled, by the stream.
  Result<std::unique_ptr<DeviceMemory>> allocate(uint64_t bytes, std::string_view what) const;
  Result<PinnedMemory> pin(uint64_t bytes) const;

private:
  explicit CudaContext(const Gpu &gpu) : ownGpu(gpu) {}

  Gpu ownGpu;
  Context context = nullptr;
  Stream ownStream = nullptr;
};

/// Addresses of the device, which the host may not follow, as numbers.
inline Address addressOf(const void *place) { return reinterpret_cast<Address>(place); }

} // namespace grok::runtime::cuda
