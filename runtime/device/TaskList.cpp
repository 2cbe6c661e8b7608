// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/TaskList.h"
#include <algorithm>
#include <iterator>

namespace grok::runtime {

Result<std::unique_ptr<TaskList>> TaskList::create(Device &device,
                                                   std::span<const DeviceLaunch> launches) {
  const std::optional<uint32_t> kernel = device.service("persistent");
  if (!kernel)
    return nullptr;
  std::unique_ptr<TaskList> list(new TaskList(device, *kernel));
  list->tasks.push_back({static_cast<int64_t>(launches.size()), {}});
  for (const DeviceLaunch &launch : launches) {
    GrokTask &task = list->tasks.emplace_back();
    task.kernel = launch.kernel;
    if (launch.operands.size() > std::size(task.operands))
      return fail("a task has ", launch.operands.size(), " operands, at most ",
                  std::size(task.operands), " are possible");
    std::copy(launch.operands.begin(), launch.operands.end(), task.operands);
  }
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
