// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What grok-bench prints and writes.
#pragma once

#include "runtime/measurement/Benchmark.h"
#include "runtime/measurement/Explanation.h"
#include "runtime/measurement/ReadLimit.h"
#include <nlohmann/json.hpp>

namespace grok::tools {

/// A finished measurement.
struct Run {
  runtime::BenchmarkCase measured;
  int threads = 0;
  runtime::BenchmarkResult result = {};
  double weightBytesPerToken = 0;
  runtime::ReadSample readLimit = {}; // the best beside this run
  uint64_t peakRssBytes = 0;
  // With --explain:
  runtime::Roof roof = {};
  runtime::Explanation decode = {}, prefill = {};

  /// Rate at which the decode reads weights, as a share of the read limit.
  double shareOfReadLimit() const;
};

struct Report {
  runtime::ModelInfo model;
  std::vector<Run> runs;
  bool withGraphs = false;        // of a GPU
  std::vector<std::string> notes; // what was not measured as asked
};

/// This machine: cpu, cores, memory_bytes, system.
nlohmann::ordered_json describeMachine();

nlohmann::ordered_json toJson(const Report &report);
std::string toTable(const Report &report);

/// What --explain adds: `explain` of a run, and the tables of one.
nlohmann::ordered_json explanationsToJson(const Run &run);
std::string explanationsToText(const Run &run);

/// Columns as wide as they must be, all but the first aligned right.
std::string alignRight(const std::vector<std::vector<std::string>> &rows);
std::string format(const char *pattern, double value);

/// The most memory this process has held, file pages included.
uint64_t peakRssBytes();

} // namespace grok::tools
