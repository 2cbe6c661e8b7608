// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A GPU's stream, for NCCL.
#pragma once

#include "runtime/device/DeviceQueue.h"
#include "runtime/device/cuda/CudaContext.h"

namespace grok::runtime::cuda {

class CudaQueue final : public DeviceQueue {
public:
  explicit CudaQueue(const CudaContext &context) : context(context) {}

  Result<void *> enter() override;
  Result<void> copy(std::byte *to, const std::byte *from, uint64_t bytes) override;
  Result<void> tellHost(uint32_t *to, uint32_t word) override;
  void setWatch(Watch newWatch) override { ownWatch = std::move(newWatch); }

  const Watch &watch() const { return ownWatch; }

private:
  const CudaContext &context;
  Watch ownWatch;
};

} // namespace grok::runtime::cuda
