// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether a model fits a machine, how fast it would be, and why.
#pragma once

#include "passes/sharding/search/Search.h"

#include <nlohmann/json.hpp>

namespace grok::planning {

struct FitRow {
  std::string devices; // as named
  std::string weights; // format
  bool fits = false;
  double bytesPerRank = 0;    // on the fullest rank, of the plan that needs least if none fits
  double tokensPerSecond = 0; // 0 if it does not fit
  double roofTokensPerSecond = 0;
  std::string sharding;
  std::string boundBy; // "memory" if it does not fit
  std::string why;
};

/// The best plan for the workload's goal, in one row.
search::Result<FitRow> fitOn(const search::ModelShape &model, const search::Machine &machine,
                             const search::Workload &workload, const search::Limits &limits);

/// [{devices, weights, fits, bytes_per_rank, tokens_per_second, bound_by, why}].
nlohmann::ordered_json toJson(const std::vector<FitRow> &rows);

/// "39.6 GB": powers of 1000.
std::string gigabytes(double bytes);
/// As printf does.
std::string formatNumber(const char *pattern, double value);

/// Seconds, and what they are spent on.
using NamedTime = std::pair<double, const char *>;
/// All of them, in an order of their own.
std::vector<NamedTime> namedTimes(const search::Times &times);

/// "reading 71 %, collectives 18 %, launch gaps 10 %".
std::string sharesOf(const search::Plan &plan);

} // namespace grok::planning
