// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A search and its certificate as JSON: written, and read back to be checked.
#pragma once

#include "passes/sharding/search/Checker.h"

#include <nlohmann/json.hpp>

namespace grok::planning {

/// What was searched, and what was found.
struct SearchDocument {
  search::ModelShape model;
  std::string devices; // as named
  search::Machine machine;
  search::Workload workload;
  search::Limits limits;
  search::Certificate certificate;
};

nlohmann::ordered_json toJson(const SearchDocument &document);

/// What a checker starts from. Errors name file and key.
search::Result<search::Claim> parseClaim(std::string_view text, const std::string &file);

/// "latency", "throughput", "first-token".
const char *nameOf(search::Goal goal);
std::optional<search::Goal> goalNamed(std::string_view name);

} // namespace grok::planning
