// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pictures of the report on a sharding search.
#pragma once

#include "compiler/planning/SearchJson.h"

namespace grok::report {

using Legend = std::vector<std::pair<std::string, std::string>>; // CSS class and text

/// The machine's devices as boxes, node by node, each with its part of the model
/// and a bar of its memory; of a machine too large to draw, the first nodes.
std::string drawDevices(const planning::SearchDocument &document);
Legend legendOfMemory();

/// The time of a token of every plan, by what it is spent on.
std::string drawTimes(const std::vector<search::Plan> &plans);
Legend legendOfTimes();

/// A plan at one batch, as a point of latency and throughput.
struct PlanPoint {
  std::string sharding, weights;
  int64_t batch = 0;
  double milliseconds = 0, tokensPerSecond = 0;
  bool isFront = false; // no other point is both sooner and more
};

/// Plans over batches of 1, 2, 4, ... 256.
std::vector<PlanPoint> pointsOf(const planning::SearchDocument &document);
std::string drawPareto(const std::vector<PlanPoint> &points);

} // namespace grok::report
