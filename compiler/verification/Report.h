// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a verification found.
#pragma once

#include "compiler/verification/Recording.h"

namespace grok::verification {

/// The largest difference of one launch.
struct Finding {
  int64_t step = 0;
  std::string launch; // "layer3.gate_up"
  std::string op;     // "gate_up"
  int32_t layer = -1;
  std::string what; // where in which buffer, both values
  /// Of what rounding can explain; more than 1 is a true difference.
  double share = 0;
};

/// All launches of one op.
struct OpSummary {
  std::string op;
  int64_t launches = 0;
  int64_t values = 0;
  double worstShare = 0;
};

struct Report {
  int64_t steps = 0;
  int64_t rows = 0;
  int64_t launches = 0;
  int64_t values = 0;
  std::vector<OpSummary> ops;   // in the order of their first launch
  std::optional<Finding> first; // the earliest true difference
  std::optional<Finding> worst; // the largest share, true difference or not

  bool passed() const { return !first; }
  /// Counts a launch whose largest difference is `finding`.
  void add(Finding finding, int64_t launchValues);
};

/// Lines for people: a table by op, the first and the worst difference, the
/// verdict. Ends with a line break.
std::string textOf(const Report &report);

} // namespace grok::verification
