// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Options that fit and search share.
#pragma once

#include "passes/sharding/search/Search.h"
#include "tools/commandline/CommandLine.h"

namespace grok::tools {

struct PlanningOptions {
  std::string model;
  std::vector<std::string> devices;
  std::vector<std::string> weights = {"auto"};
  std::string kv = "bf16";
  std::string goal = "latency";
  std::string sharding = "auto";
  std::string memoryBudget;
  search::Workload workload;
  bool allDevices = false;
  bool json = false;
  // Of search:
  int64_t top = 10;
  std::string certificate, report; // files to write
  int64_t measure = 0;             // plans to compile and run
  std::string machineOut;          // file for what they say of the machine
};

/// MODEL, --devices, --weights, --kv, --goal, --sharding, --json and the sizes
/// of the workload.
void declareWorkload(CLI::App &command, PlanningOptions &options);

/// What they ask for.
runtime::Result<search::ModelShape> modelOf(const PlanningOptions &options);
runtime::Result<search::Workload> workloadOf(const PlanningOptions &options);
runtime::Result<search::Limits> limitsOf(const PlanningOptions &options, int64_t layers);

/// `grok-plan search`.
runtime::Result<void> searchPlans(const PlanningOptions &options);
/// `grok-plan check`.
runtime::Result<void> checkCertificate(const std::string &path);

} // namespace grok::tools
