// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a step works on, in the memory of a GPU.
#pragma once

#include "runtime/device/cuda/CudaContext.h"
#include "runtime/plan/KernelABI.h"
#include <vector>

namespace grok::runtime::cuda {

/// One block of device memory whose address never changes, so that graphs stay valid:
/// a GrokStepInfo, then the arrays that it points to.
class CudaStep {
public:
  /// For steps of that plan.
  static Result<CudaStep> create(const CudaContext &context, const plan::Plan &plan);

  /// Queues the copying of `step`. The copy before must have ended.
  Result<void> send(const GrokStepInfo &step);
  Address address() const { return addressOf(block->data()); }

private:
  explicit CudaStep(const CudaContext &context) : context(&context) {}
  template <typename Entry> const Entry *append(const Entry *from, int64_t count);
  const int32_t *appendPageTable(const GrokStepInfo &step, const int32_t *&sequences);

  const CudaContext *context;
  int64_t maxRows = 0, maxStride = 0;
  std::unique_ptr<DeviceMemory> block;
  PinnedMemory staging; // of the same form
  uint64_t used = 0;    // bytes of the block, so far
  // A session has any number of sequences, a step those of its rows: they are counted
  // anew, so that the block has a fixed size.
  std::vector<int32_t> numberOf; // by sequence of the session, -1 = not in this step
  std::vector<int32_t> numbers;  // [rows]
};

} // namespace grok::runtime::cuda
