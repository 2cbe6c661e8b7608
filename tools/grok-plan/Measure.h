// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The tuner: compiles and runs the best plans of a search on this computer.
#pragma once

#include "compiler/planning/SearchJson.h"
#include "tools/grok-plan/PlanningOptions.h"

namespace grok::tools {

/// A plan as predicted and as run. Rates are tokens per second of all sequences.
struct MeasuredPlan {
  std::string sharding, weights;
  double predicted = 0, measured = 0;

  double error() const { return predicted / measured - 1; }
};

/// Compiles the first `options.measure` plans with grokc and decodes with
/// grok-bench, both beside this program. The model's own weights, or random ones
/// where it has none. Error: a tool failed; its own line stands on standard error.
runtime::Result<std::vector<MeasuredPlan>> measurePlans(const PlanningOptions &options,
                                                        const std::vector<search::Plan> &plans);

/// A table, the fastest plan, and how far the prediction is off.
std::string showMeasured(const std::vector<MeasuredPlan> &plans);

/// The text of a machine file with the share of its bandwidth that the plans
/// reached, `model` and the date as its source.
runtime::Result<std::string> calibrateMachine(const std::string &text, const std::string &model,
                                              const std::vector<MeasuredPlan> &plans);

} // namespace grok::tools
