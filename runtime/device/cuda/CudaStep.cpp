// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaStep.h"
#include <cstring>

namespace grok::runtime::cuda {

static constexpr uint64_t alignment = 64;

static uint64_t alignUp(uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

template <typename Entry = int32_t> static uint64_t bytesOf(int64_t count) {
  return alignUp(static_cast<uint64_t>(count) * sizeof(Entry));
}

Result<CudaStep> CudaStep::create(const CudaContext &context, const plan::Plan &plan) {
  CudaStep step(context);
  const int64_t tokens = plan.page()->tokens();
  step.maxRows = plan.max_step_rows();
  step.maxStride = (plan.max_context() + tokens - 1) / tokens;
  // tokens, positions, sequences, logit rows, draws; the page table has a row for each
  // sequence
  const uint64_t bytes = alignUp(sizeof(GrokStepInfo)) + 4 * bytesOf(step.maxRows) +
                         bytesOf<GrokDraw>(step.maxRows) + bytesOf(step.maxRows * step.maxStride);
  auto block = context.allocate(bytes, "the step's numbers");
  if (!block)
    return fail(block.error());
  auto staging = context.pin(bytes);
  if (!staging)
    return fail(staging.error());
  step.block = std::move(*block);
  step.staging = std::move(*staging);
  step.numbers.resize(static_cast<size_t>(step.maxRows));
  return step;
}

/// The place on the device.
template <typename Entry> const Entry *CudaStep::append(const Entry *from, int64_t count) {
  const uint64_t bytes = static_cast<uint64_t>(count) * sizeof(Entry);
  if (bytes > 0)
    std::memcpy(staging.data() + used, from, bytes);
  const auto *place = reinterpret_cast<const Entry *>(block->data() + used);
  used += alignUp(bytes);
  return place;
}

const int32_t *CudaStep::appendPageTable(const GrokStepInfo &step, const int32_t *&sequences) {
  int32_t count = 0;
  const uint64_t first = used;
  for (int64_t row = 0; row < step.rows; ++row) {
    const auto sequence = static_cast<size_t>(step.sequences[row]);
    if (sequence >= numberOf.size()) // grows with the session, not with its steps
      numberOf.resize(sequence + 1, -1);
    if (numberOf[sequence] < 0) {
      numberOf[sequence] = count++;
      const uint64_t bytes = static_cast<uint64_t>(step.pageTableStride) * sizeof(int32_t);
      std::memcpy(staging.data() + used,
                  step.pageTable + static_cast<int64_t>(sequence) * step.pageTableStride, bytes);
      used += bytes;
    }
    numbers[static_cast<size_t>(row)] = numberOf[sequence];
  }
  for (int64_t row = 0; row < step.rows; ++row)
    numberOf[static_cast<size_t>(step.sequences[row])] = -1;
  used = alignUp(used);
  sequences = append(numbers.data(), step.rows);
  return reinterpret_cast<const int32_t *>(block->data() + first);
}

Result<void> CudaStep::send(const GrokStepInfo &step) {
  if (step.rows > maxRows || step.logitRows > step.rows || step.pageTableStride > maxStride)
    return fail("a step of ", step.rows, " rows, ", step.logitRows, " of them with logits, and ",
                step.pageTableStride, " pages each; the plan takes ", maxRows, " and ", maxStride);
  used = alignUp(sizeof(GrokStepInfo));
  GrokStepInfo onDevice = step;
  onDevice.tokens = append(step.tokens, step.rows);
  onDevice.positions = append(step.positions, step.rows);
  onDevice.logitRow = append(step.logitRow, step.logitRows);
  if (step.draws)
    onDevice.draws = append(step.draws, step.logitRows);
  onDevice.pageTable = appendPageTable(step, onDevice.sequences);
  std::memcpy(staging.data(), &onDevice, sizeof onDevice);
  const Driver &driver = context->driver();
  return driver.check(driver.cuMemcpyHtoDAsync(address(), staging.data(), used, context->stream()),
                      "the step's numbers");
}

} // namespace grok::runtime::cuda
