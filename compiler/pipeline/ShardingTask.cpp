// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/ShardingTask.h"

#include "compiler/machines/MachineFile.h"
#include "compiler/pipeline/Compile.h"

#include <charconv>

using namespace grok;
using namespace grok::compiler;

/// The product of the degrees in "tp2.pp2"; 0 for what is no sharding, which the
/// pass that reads it explains.
static int64_t countRanks(std::string_view sharding) {
  int64_t ranks = 1;
  while (!sharding.empty()) {
    const std::string_view part = sharding.substr(0, sharding.find('.'));
    sharding.remove_prefix(std::min(part.size() + 1, sharding.size()));
    int64_t degree = 0;
    if (part.size() < 3 ||
        std::from_chars(part.data() + 2, part.data() + part.size(), degree).ec != std::errc() ||
        degree < 1 || degree > 4096)
      return 0;
    ranks *= degree;
  }
  return ranks;
}

static search::Workload workloadOf(const CompileOptions &options, int64_t maxContext) {
  search::Workload workload;
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
  const int64_t ranks = countRanks(task.text);
  if (!isAuto && ranks != 0 && ranks != machine->devices())
    return tl::unexpected("--sharding=" + options.sharding + " makes " + std::to_string(ranks) +
                          " ranks, --devices=" + options.devices + " has " +
                          std::to_string(machine->devices()) +
                          " devices; give shardings and devices of one number");
  if (!isAuto)
    return task;
  task.machine = *machine;
  task.workload = workloadOf(options, maxContext);
  return task;
}
