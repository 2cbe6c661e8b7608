// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/TaskList.h"
#include <algorithm>

namespace grok::runtime {

Result<void> TaskList::add(const DeviceLaunch &launch, std::span<const uint32_t> waits) {
  if (launch.operands.size() > grokTaskOperands)
    return fail("a task has ", launch.operands.size(), " operands, at most ", grokTaskOperands,
                " are possible");
  GrokTask &task = tasks.emplace_back();
  task.kernel = static_cast<int32_t>(launch.kernel);
  task.waits = static_cast<int32_t>(waits.size());
  std::copy(launch.operands.begin(), launch.operands.end(), task.operands);
  GrokTaskWait *wait = task.after;
  for (uint32_t awaited : waits) // behind the first entry
    *wait++ = {static_cast<int32_t>(awaited), tasks[1 + awaited].kernel};
  return {};
}

Result<std::unique_ptr<TaskList>> TaskList::create(Device &device,
                                                   std::span<const DeviceLaunch> launches,
                                                   const std::vector<TaskUses> &uses) {
  const std::optional<uint32_t> kernel = device.service("persistent");
  if (!kernel)
    return nullptr;
  const TaskWaits waits = orderTasks(uses, grokTaskWaits);
  if (auto checked = checkTaskOrder(uses, waits); !checked)
    return fail("the persistent kernel's tasks: ", checked.error());
  std::unique_ptr<TaskList> list(new TaskList(device, *kernel));
  auto counters =
      device.allocate((launches.size() + 1) * grokCounterBytes, "the persistent kernel's counters");
  if (!counters)
    return fail(counters.error());
  list->counters = std::move(*counters);
  list->tasks.push_back({static_cast<int32_t>(launches.size()), 0, {list->counters->data()}, {}});
  for (size_t i = 0; i < launches.size(); ++i)
    if (auto added = list->add(launches[i], waits[i]); !added)
      return fail(added.error());
  auto placed =
      device.place(std::as_bytes(std::span(list->tasks)), "the persistent kernel's tasks");
  if (!placed)
    return fail(placed.error());
  list->memory = std::move(*placed);
  return list;
}

Result<void> TaskList::run() {
  const void *operands[] = {memory->data()};
  return device.launch({kernel, operands}, 1);
}

} // namespace grok::runtime
