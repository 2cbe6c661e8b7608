// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-plan/PlanningOptions.h"

#include "compiler/planning/SearchJson.h"
#include "compiler/planning/ShapeOf.h"

#include <algorithm>

namespace grok::tools {
using runtime::fail;
using runtime::Result;

static void declareSizes(CLI::App &command, search::Workload &workload) {
  const auto add = [&](const char *name, int64_t &value, int64_t least, const char *help) {
    command.add_option(name, value, help)
        ->type_name("N")
        ->check(CLI::Range(least, int64_t(1) << 24).description(""))
        ->capture_default_str();
  };
  add("--batch", workload.batch, 1, "Sequences at a time, on the whole machine");
  add("--context", workload.context, 1, "Positions of each sequence that its cache holds");
  add("--prompt", workload.prompt, 1, "Tokens of a prompt");
  add("--new-tokens", workload.newTokens, 1, "Tokens written after a prompt");
  add("--max-step-rows", workload.stepRows, 1, "Most token rows in one step");
}

void declareWorkload(CLI::App &command, PlanningOptions &options) {
  command.add_option("MODEL", options.model, "A preset (grok-1) or a folder with config.json")
      ->required()
      ->type_name("");
  command
      .add_option("--devices", options.devices,
                  "Known machine (8xh100), a part of one (4xh100), a number of ranks on this kind "
                  "of processor, or a machine file (see grokc --list machines)")
      ->required()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("MACHINE,...");
  command
      .add_option("--weights", options.weights,
                  "f32, bf16, int8, int4, int3, or auto: the most bits that fit")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("FORMAT,...")
      ->default_str("auto");
  command.add_option("--kv", options.kv, "Element type of the key/value cache")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "fp8"}))
      ->capture_default_str();
  command
      .add_option("--goal", options.goal,
                  "latency: least time between tokens; throughput: most new tokens per second, "
                  "prompts included; first-token: least time from prompt to first token")
      ->check(CLI::IsMember({"latency", "throughput", "first-token"}))
      ->capture_default_str();
  command
      .add_option("--sharding", options.sharding,
                  "auto, or sizes that are given, such as tp8 or tp4.pp2; tp2.ep4:hidden=all (or "
                  "=0-3,7) lets ep too split the hidden size in those layers")
      ->type_name("SHARDING")
      ->capture_default_str();
  command
      .add_option("--memory-budget", options.memoryBudget,
                  "Most bytes on a rank, such as 60GiB (default: what the device has)")
      ->type_name("SIZE");
  declareSizes(command, options.workload);
  command.add_flag("--all-devices", options.allDevices, "Only plans with a rank on every device");
  command.add_flag("--reproducible", options.workload.isReproducible,
                   "Count sums that have the same bits for every sharding");
  command.add_flag("--json", options.json, "Print JSON");
}

Result<search::ModelShape> modelOf(const PlanningOptions &options) {
  const auto source = graph::findModel(options.model);
  if (!source)
    return tl::unexpected(source.error());
  return planning::shapeOf(source->config);
}

Result<search::Workload> workloadOf(const PlanningOptions &options) {
  search::Workload workload = options.workload;
  workload.goal = planning::goalNamed(options.goal).value_or(search::Goal::latency);
  workload.cacheElementBits = options.kv == "f32" ? 32 : options.kv == "bf16" ? 16 : 8;
  return workload;
}

Result<search::Limits> limitsOf(const PlanningOptions &options, int64_t layers) {
  search::Limits limits;
  limits.usesAllDevices = options.allDevices;
  const bool isAuto = std::ranges::count(options.weights, "auto") > 0;
  if (isAuto && options.weights.size() > 1)
    return fail("--weights, auto chooses by itself, give it alone");
  for (const std::string &name : options.weights)
    if (!isAuto) {
      const auto format = search::weightFormatNamed(name);
      if (!format)
        return fail("--weights, ", format.error());
      limits.formats.push_back(*format);
    }
  if (options.sharding != "auto") {
    const auto sharding = search::parseSharding(options.sharding, layers);
    if (!sharding)
      return fail("--sharding, ", sharding.error());
    limits.tp = sharding->tp;
    limits.ep = sharding->ep;
    limits.pp = sharding->pp;
    limits.dp = sharding->dp;
    limits.hiddenLayers = sharding->hiddenLayers;
  }
  if (!options.memoryBudget.empty()) {
    const Result<uint64_t> bytes = parseSize(options.memoryBudget);
    if (!bytes)
      return fail("--memory-budget, ", bytes.error());
    limits.memoryBudget = static_cast<double>(*bytes);
  }
  return limits;
}

} // namespace grok::tools
