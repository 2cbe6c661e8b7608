// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/ShardingTask.h"

#include "compiler/machines/MachineFile.h"
#include "compiler/pipeline/Compile.h"
#include "passes/sharding/search/Sharding.h"

using namespace grok;
using namespace grok::compiler;

static search::Workload workloadOf(const CompileOptions &options, int64_t maxContext) {
  search::Workload workload = options.workload;
  workload.context = maxContext;
  workload.stepRows = options.maxStepRows;
  workload.cacheElementBits = bytesOf(options.kv) * 8;
  workload.isReproducible = options.reproducible;
  return workload;
}

Result<ShardingTask> compiler::shardingTaskOf(const CompileOptions &options, int64_t maxContext) {
  ShardingTask task;
  const bool isAuto = options.sharding.empty() || options.sharding == "auto";
  if (!isAuto)
    task.text = options.sharding;
  if (options.devices.empty()) {
    if (options.sharding == "auto")
      return tl::unexpected(
          std::string("--sharding=auto: give the machine to search for, such as --devices=4"));
    return task;
  }
  auto machine = machines::findMachine(options.devices);
  if (!machine)
    return tl::unexpected("--devices: " + machine.error());
  // What is no sharding is explained by the pass that reads it.
  const auto given = search::parseSharding(task.text.substr(0, task.text.find(':')));
  if (!isAuto && given && given->ranks() != machine->devices())
    return tl::unexpected("--sharding=" + options.sharding + " makes " +
                          std::to_string(given->ranks()) + " ranks, --devices=" + options.devices +
                          " has " + std::to_string(machine->devices()) +
                          " devices; give shardings and devices of one number");
  if (!isAuto)
    return task;
  task.machine = *machine;
  task.workload = workloadOf(options, maxContext);
  return task;
}
