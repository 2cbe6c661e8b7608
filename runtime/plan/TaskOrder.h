// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which launches of a step must have ended before another one may touch memory: what a
// device needs to know that does them side by side (docs/gpu.md, "A step in one launch").
#pragma once

#include "runtime/Result.h"
#include "runtime/plan/plan_generated.h"
#include <cstdint>
#include <vector>

namespace grok::runtime {

/// Bytes [begin, end) of a kind of memory that a task reads, or also writes.
struct MemoryUse {
  plan::BufferKind kind = plan::BufferKind::arena;
  uint64_t begin = 0, end = 0;
  bool writes = false;
};

/// A launch. Tasks of one kernel share its scratch memory, and so exclude each other.
struct TaskUses {
  int32_t kernel = 0;
  std::vector<MemoryUse> uses;
};

/// For each task the earlier tasks that it waits for, the latest first.
using TaskWaits = std::vector<std::vector<uint32_t>>;

/// Of a checked bucket without collectives. Weights are only read, and left out.
std::vector<TaskUses> taskUsesOf(const plan::Bucket &bucket);

/// Whether one must have ended before the other begins: both touch a byte, and one of
/// them writes it, or they are of one kernel.
bool conflict(const TaskUses &one, const TaskUses &other);

/// The fewest waits, of at most `most` a task, after which every task finds all ended that
/// it conflicts with. A task that waits for another one also waits for all that this
/// one has waited for. If one task needs more, it and all before it go one by one.
TaskWaits orderTasks(const std::vector<TaskUses> &tasks, size_t most);

/// Whether tasks may be done so: each waits for earlier ones only, so that whoever takes
/// them in turn waits for nothing that is still before him; and no two that conflict
/// are without order. The error names the first that is wrong.
Result<void> checkTaskOrder(const std::vector<TaskUses> &tasks, const TaskWaits &waits);

} // namespace grok::runtime
