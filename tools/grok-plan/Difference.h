// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-plan diff`: two artifacts, or two searches, side by side.
#pragma once

#include "tools/grok-plan/Show.h"

#include <optional>

namespace grok::tools {

/// One thing that is said of a plan.
struct Fact {
  std::string name, text;
  std::optional<double> number; // where a change has a size
};

/// What differs; `left` or `right` is empty where only one side has it.
struct Difference {
  std::string name, left, right;
  std::optional<double> change; // right / left - 1
};

/// Of the JSON of `grok-plan show`, or of `grok-plan search`.
std::vector<Fact> factsOf(const nlohmann::ordered_json &shown);

std::vector<Difference> compareFacts(const std::vector<Fact> &left, const std::vector<Fact> &right);

/// The facts of an artifact's folder or of a file that search wrote.
runtime::Result<std::vector<Fact>> readFacts(const std::string &path);

/// Prints the differences of A and B, as a table with a sentence before it or as
/// JSON.
runtime::Result<void> diff(const std::string &left, const std::string &right, bool asJson);

} // namespace grok::tools
