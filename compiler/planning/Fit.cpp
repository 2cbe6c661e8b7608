// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/planning/Fit.h"

#include <algorithm>
#include <cstdio>

namespace grok::planning {

using search::Plan;
using search::Term;

std::string formatNumber(const char *pattern, double value) {
  char text[48];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

std::string gigabytes(double bytes) {
  return bytes < 1e8 ? formatNumber("%.1f MB", bytes / 1e6) : formatNumber("%.1f GB", bytes / 1e9);
}

std::vector<NamedTime> namedTimes(const search::Times &times) {
  return {{times.reading, "reading memory"},
          {times.computing, "arithmetic"},
          {times[Term::collectives], "collectives"},
          {times[Term::hops], "hops between stages"},
          {times[Term::launches], "launch gaps"},
          {times[Term::waiting], "waiting for the longest stage"}};
}

std::string sharesOf(const Plan &plan) {
  std::vector<NamedTime> shares = namedTimes(plan.token);
  std::ranges::sort(shares, std::ranges::greater(), &NamedTime::first);
  std::string text;
  for (const auto &[seconds, name] : shares)
    if (const double share = 100 * seconds / plan.tokenSeconds; share >= 1)
      text += std::string(text.empty() ? "" : ", ") + name + formatNumber(" %.0f %%", share);
  return text;
}

static std::string partsOf(const search::Memory &memory) {
  return "weights " + gigabytes(memory.weights) + ", cache " + gigabytes(memory.cache) +
         ", activations " + gigabytes(memory.arena) + ", communicator " +
         gigabytes(memory.communicator);
}

static std::string ranksText(const Plan &plan) {
  const int64_t ranks = plan.sharding.ranks();
  return plan.sharding.text() + " on " + std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks");
}

static std::string whyItFits(const Plan &plan, double roof) {
  return ranksText(plan) + ": " + gigabytes(plan.memory.total()) + " of " +
         gigabytes(plan.availableBytes) + " a rank (" + partsOf(plan.memory) + "); " +
         formatNumber("%.3g", plan.tokensPerSecond) + " of " + formatNumber("%.3g", roof) +
         " tokens/s that bandwidth alone would allow: " + sharesOf(plan);
}

static std::string whyItDoesNot(const Plan &plan) {
  return "needs " + gigabytes(plan.memory.total()) + " a rank as " + ranksText(plan) + " (" +
         partsOf(plan.memory) + "), has " + gigabytes(plan.availableBytes);
}

search::Result<FitRow> fitOn(const search::ModelShape &model, const search::Machine &machine,
                             const search::Workload &workload, const search::Limits &limits) {
  const search::Result<search::RankedPlans> ranked =
      searchShardings(model, machine, workload, limits);
  if (!ranked)
    return search::fail(machine.name, ": ", ranked.error());
  FitRow row;
  row.devices = machine.name;
  row.fits = !ranked->plans.empty();
  if (!row.fits && !ranked->smallest)
    return search::fail(machine.name, ": no sharding with the given sizes");
  const Plan &plan = row.fits ? ranked->plans.front() : *ranked->smallest;
  const search::CostModel costs(model, machine, workload);
  row.roofTokensPerSecond = double(workload.batch) / costs.roofSeconds(plan.format);
  row.weights = plan.format.name;
  row.sharding = plan.sharding.text();
  row.bytesPerRank = plan.memory.total();
  row.tokensPerSecond = row.fits ? plan.tokensPerSecond : 0;
  row.boundBy = row.fits ? plan.boundBy() : "memory";
  row.why = row.fits ? whyItFits(plan, row.roofTokensPerSecond) : whyItDoesNot(plan);
  return row;
}

nlohmann::ordered_json toJson(const std::vector<FitRow> &rows) {
  auto list = nlohmann::ordered_json::array();
  for (const FitRow &row : rows)
    list.push_back({{"devices", row.devices},
                    {"weights", row.weights},
                    {"fits", row.fits},
                    {"bytes_per_rank", static_cast<uint64_t>(row.bytesPerRank)},
                    {"tokens_per_second", row.fits ? nlohmann::ordered_json(row.tokensPerSecond)
                                                   : nlohmann::ordered_json()},
                    {"bound_by", row.boundBy},
                    {"why", row.why}});
  return list;
}

} // namespace grok::planning
