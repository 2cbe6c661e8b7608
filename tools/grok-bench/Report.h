// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What grok-bench prints and writes.
#pragma once

#include "runtime/measurement/Benchmark.h"
#include <nlohmann/json.hpp>

namespace grok::tools {

/// A finished measurement.
struct Run {
  runtime::BenchmarkCase measured;
  int threads = 0;
  runtime::BenchmarkResult result = {};
  double weightBytesPerToken = 0;
  double readLimit = 0; // bytes per second, best loop beside this run
  uint64_t peakRssBytes = 0;

  /// Rate at which the decode reads weights, as a share of the read limit.
  double shareOfReadLimit() const;
};

struct Report {
  runtime::ModelInfo model;
  std::vector<Run> runs;
  std::vector<std::string> notes; // what was not measured as asked
};

/// This machine: cpu, cores, memory_bytes, system.
nlohmann::ordered_json describeMachine();

nlohmann::ordered_json toJson(const Report &report);
std::string toTable(const Report &report);

/// The most memory this process has held, file pages included.
uint64_t peakRssBytes();

} // namespace grok::tools
