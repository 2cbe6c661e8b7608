// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/plan/TaskOrder.h"
#include <algorithm>

namespace grok::runtime {

std::vector<TaskUses> taskUsesOf(const plan::Bucket &bucket) {
  std::vector<TaskUses> tasks;
  auto use = [&](int32_t number, bool writes) {
    const plan::Buffer &buffer = *bucket.buffers()->Get(static_cast<uint32_t>(number));
    if (buffer.kind() != plan::BufferKind::weight)
      tasks.back().uses.push_back(
          {buffer.kind(), buffer.offset(), buffer.offset() + buffer.bytes(), writes});
  };
  for (const plan::Launch *launch : *bucket.launches()) {
    tasks.push_back({launch->kernel(), {}});
    for (const plan::Operand *operand : *launch->operands())
      use(operand->buffer(), operand->access() != plan::OperandAccess::read);
    if (launch->tiles() && launch->tiles()->buffer() >= 0)
      use(launch->tiles()->buffer(), /*writes=*/false);
  }
  return tasks;
}

bool conflict(const TaskUses &one, const TaskUses &other) {
  if (one.kernel == other.kernel)
    return true;
  for (const MemoryUse &left : one.uses)
    for (const MemoryUse &right : other.uses)
      if ((left.writes || right.writes) && left.kind == right.kind && left.begin < right.end &&
          right.begin < left.end)
        return true;
  return false;
}

namespace {

/// Of each task, the tasks that have ended once its waits are over.
class Ended {
public:
  explicit Ended(size_t tasks) : sets(tasks, std::vector<bool>(tasks)) {}

  bool has(size_t task, size_t other) const { return sets[task][other]; }
  void addWait(size_t task, size_t awaited) {
    for (size_t i = 0; i < awaited; ++i)
      if (sets[awaited][i])
        sets[task][i] = true;
    sets[task][awaited] = true;
  }
  void addAllBefore(size_t task) {
    std::fill_n(sets[task].begin(), static_cast<std::ptrdiff_t>(task), true);
  }

private:
  std::vector<std::vector<bool>> sets;
};

} // namespace

TaskWaits orderTasks(const std::vector<TaskUses> &tasks, size_t most) {
  TaskWaits waits(tasks.size());
  Ended ended(tasks.size());
  for (size_t task = 0; task < tasks.size(); ++task) {
    // From the latest on: what an earlier one would add is then known to be needed.
    for (size_t other = task; other-- > 0;)
      if (!ended.has(task, other) && conflict(tasks[task], tasks[other])) {
        waits[task].push_back(static_cast<uint32_t>(other));
        ended.addWait(task, other);
      }
    if (waits[task].size() <= most)
      continue;
    for (size_t i = 1; i <= task; ++i) {
      waits[i] = {static_cast<uint32_t>(i - 1)};
      ended.addAllBefore(i);
    }
  }
  return waits;
}

Result<void> checkTaskOrder(const std::vector<TaskUses> &tasks, const TaskWaits &waits) {
  if (waits.size() != tasks.size())
    return fail(waits.size(), " tasks have waits, there are ", tasks.size());
  Ended ended(tasks.size());
  for (size_t task = 0; task < tasks.size(); ++task) {
    for (uint32_t awaited : waits[task]) {
      if (awaited >= task)
        return fail("task ", task, " waits for task ", awaited, ", which comes after it");
      ended.addWait(task, awaited);
    }
    for (size_t other = 0; other < task; ++other)
      if (!ended.has(task, other) && conflict(tasks[task], tasks[other]))
        return fail("task ", task, " does not wait for task ", other,
                    ", which uses the same memory");
  }
  return {};
}

} // namespace grok::runtime
