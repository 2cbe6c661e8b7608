// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A group of GPUs: messages go from device memory to device memory. NCCL moves
// bytes only, sums are made by our own kernel in our own order.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/collectives/nccl/NcclLibrary.h"

namespace grok::runtime {

/// What a device offers to a group: a queue of work on its memory, in order.
class DeviceQueue {
public:
  virtual ~DeviceQueue() = default;
  virtual nccl::Stream stream() = 0;
  virtual Result<void *> allocate(size_t bytes) = 0;
  virtual void release(void *memory) = 0;
  /// Queues: `rows` times `bytes` between memories of different row strides.
  virtual Result<void> copyRows(void *to, size_t toStride, const void *from, size_t fromStride,
                                int64_t rows, size_t bytes) = 0;
  /// Queues: sum[i] = treeSum of parts[p][i], parts being [numParts][count].
  virtual Result<void> treeSum(const float *parts, int numParts, float *sum, int64_t count) = 0;
  /// Is all that was queued done? Error: the device failed.
  virtual Result<bool> isIdle() = 0;
};

class NcclGroup : public Group {
public:
  /// Collective over `members`, who tell each other how to meet through `host`.
  /// Both, the functions' library and the queue outlive the group.
  static Result<std::unique_ptr<NcclGroup>> create(std::span<const int> members, Communicator &host,
                                                   DeviceQueue &queue,
                                                   const nccl::Functions &functions);
  ~NcclGroup() override;

  bool sharesMemory() const override { return false; }
  /// All pointers are the device's; returns when the work is queued.
  Result<void> allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) override;
  Result<void> allReduceRows(const float *own, float *sum, int64_t rows, int64_t columns) override;
  /// Returns when the queue is empty. Within a step that has a deadline: NCCL
  /// itself waits for ever for a rank that is gone.
  Result<void> wait();

private:
  NcclGroup(std::vector<int> members, int index, WaitRules &rules, DeviceQueue &queue,
            const nccl::Functions &functions);
  Result<void> connect(const nccl::UniqueId &id);
  Result<void> settle(const char *collective, int code);
  Result<void> gather(const char *collective, const void *own, void *all, size_t bytes);
  Result<void> stage(size_t bytes);
  int nextRank() const;

  WaitRules &rules;
  DeviceQueue &queue;
  const nccl::Functions &functions;
  nccl::Comm comm = nullptr;
  bool failed = false;
  void *staging = nullptr; // all members' parts, on the device
  size_t stagingBytes = 0;
};

} // namespace grok::runtime
