// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/planning/Explanation.h"

#include "compiler/planning/Fit.h"

#include <algorithm>
#include <cmath>

namespace grok::planning {

using search::Plan;

static constexpr double millisecond = 1e-3;

std::string headlineOf(const SearchDocument &document) {
  const search::Workload &workload = document.workload;
  return document.model.name + " on " + document.devices + " for " + nameOf(workload.goal) +
         ": batch " + std::to_string(workload.batch) + ", context " +
         std::to_string(workload.context) + ", prompt " + std::to_string(workload.prompt) +
         ", new tokens " + std::to_string(workload.newTokens) +
         (workload.isReproducible ? ", reproducible" : "");
}

std::string compareTimes(const search::Times &left, const search::Times &right) {
  search::Times difference = left;
  difference.add(right, -1);
  std::vector<NamedTime> parts = namedTimes(difference);
  std::ranges::sort(parts, std::ranges::greater(),
                    [](const auto &part) { return std::abs(part.first); });
  constexpr double least = 0.005 * millisecond; // what two digits show
  std::string text;
  for (const auto &[seconds, name] : parts)
    if (std::abs(seconds) >= least)
      text += std::string(text.empty() ? "" : ", ") + name +
              formatNumber(" %.2f ms", std::abs(seconds) / millisecond) +
              (seconds < 0 ? " less" : " more");
  return text.empty() ? "no difference" : text;
}

/// What the goal counts, for people.
static std::string goalText(const search::Workload &workload, double objective) {
  switch (workload.goal) {
  case search::Goal::latency:
    return formatNumber("%.2f ms a token", objective / millisecond);
  case search::Goal::throughput:
    return formatNumber("%.1f tokens/s with prompts", 1 / objective);
  case search::Goal::firstToken:
    break;
  }
  return formatNumber("%.1f ms to the first token", objective / millisecond);
}

std::string explainLead(const SearchDocument &document) {
  const std::vector<Plan> &plans = document.certificate.ranked.plans;
  if (plans.empty())
    return "No plan fits.";
  const Plan &best = plans.front();
  const std::string first = best.sharding.text() + ", " + best.format.name + ": " +
                            goalText(document.workload, best.objective) + " (" + sharesOf(best) +
                            ").";
  if (plans.size() == 1)
    return first + " No other plan fits.";
  const Plan &next = plans[1];
  return first + " Next is " + next.sharding.text() + ", " + next.format.name + ": " +
         goalText(document.workload, next.objective) +
         formatNumber(", %.1f %% behind.", 100 * (next.objective / best.objective - 1)) +
         (document.workload.goal == search::Goal::firstToken
              ? ""
              : " A token of the first has " + compareTimes(best.token, next.token) + ".");
}

/// "36.0", "3.35e+12": three digits.
static std::string numberText(double value) {
  return formatNumber(value >= 1e5 ? "%.3g" : "%.1f", value);
}

static void addFlips(std::vector<std::string> &lines,
                     const std::vector<search::Interval> &intervals) {
  for (const search::Interval &interval : intervals)
    for (const auto &[flip, relation] :
         {std::pair(interval.below, " < "), std::pair(interval.above, " > ")}) {
      if (!flip)
        continue;
      const std::string line = flip->sharding + ", " + flip->weights + " wins if " +
                               interval.number + relation + numberText(flip->value) +
                               " (file says " + numberText(interval.value) +
                               (interval.source.empty() ? "" : "; " + interval.source) + ")";
      if (!std::ranges::count(lines, line))
        lines.push_back(line);
    }
}

std::vector<std::string> explainFlips(const SearchDocument &document) {
  std::vector<std::string> lines;
  addFlips(lines, document.certificate.intervals);
  addFlips(lines, document.certificate.runnerUp);
  return lines;
}

std::string explainProof(const SearchDocument &document) {
  const search::RankedPlans &ranked = document.certificate.ranked;
  const auto byMemory = std::ranges::count_if(
      ranked.pruned, [](const auto &family) { return std::string_view(family.rule) == "memory"; });
  const auto byTime = static_cast<int64_t>(ranked.pruned.size()) - byMemory;
  std::string text = std::to_string(ranked.evaluated) + " plans were evaluated; " +
                     std::to_string(byTime) +
                     " families were left out because not even their bound is fast enough, " +
                     std::to_string(byMemory) + " because they cannot fit.";
  if (document.certificate.inseparable > 0)
    text += " An error of 10 % in the model could put " +
            std::to_string(document.certificate.inseparable) + " of the plans below first.";
  return text;
}

} // namespace grok::planning
