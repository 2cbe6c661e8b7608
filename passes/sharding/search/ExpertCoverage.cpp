// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/ExpertCoverage.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace grok::search {

double expectedDistinct(int64_t experts, int64_t selected, int64_t rows) {
  const double missed = 1 - double(selected) / double(experts);
  return double(experts) * (1 - std::pow(missed, double(rows)));
}

static double choose(int64_t n, int64_t k) {
  if (k < 0 || k > n)
    return 0;
  return std::exp(std::lgamma(double(n) + 1) - std::lgamma(double(k) + 1) -
                  std::lgamma(double(n - k) + 1));
}

/// Probability of each number of distinct experts after `rows` rows: a chain of
/// rows, each of which adds new ones by the hypergeometric distribution.
static std::vector<double> distinctDistribution(int64_t experts, int64_t selected, int64_t rows) {
  const auto size = static_cast<size_t>(experts) + 1;
  const auto most = static_cast<size_t>(selected) + 1;
  std::vector<double> chance(size * most, 0.0); // [seen, fresh]
  for (size_t seen = 0; seen < size; ++seen)
    for (size_t fresh = 0; fresh < most && seen + fresh < size; ++fresh)
      chance[seen * most + fresh] = choose(experts - int64_t(seen), int64_t(fresh)) *
                                    choose(int64_t(seen), selected - int64_t(fresh)) /
                                    choose(experts, selected);
  std::vector<double> now(size, 0.0);
  now[0] = 1;
  constexpr double certain = 1 - 1e-14;
  for (int64_t row = 0; row < rows && now.back() < certain; ++row) {
    std::vector<double> next(size, 0.0);
    for (size_t seen = 0; seen < size; ++seen)
      for (size_t fresh = 0; fresh < most && seen + fresh < size; ++fresh)
        next[seen + fresh] += now[seen] * chance[seen * most + fresh];
    now = std::move(next);
  }
  return now;
}

/// Ways to choose `count` experts so that no group has more than `most`.
static double waysWithin(int64_t count, int64_t most, int64_t groupSize, int64_t groups) {
  std::vector<double> ways(size_t(count) + 1, 0.0);
  ways[0] = 1;
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t total = count; total > 0; --total)
      for (int64_t here = 1; here <= std::min({most, groupSize, total}); ++here)
        ways[size_t(total)] += ways[size_t(total - here)] * choose(groupSize, here);
  return ways[size_t(count)];
}

double expectedMostDistinct(int64_t experts, int64_t selected, int64_t rows, int64_t groups) {
  if (groups == 1)
    return expectedDistinct(experts, selected, rows);
  const std::vector<double> distinct = distinctDistribution(experts, selected, rows);
  const int64_t groupSize = experts / groups;
  double expected = 0;
  for (int64_t count = 1; count <= experts; ++count)
    for (int64_t most = 0; most < groupSize; ++most) // sum of P(largest > most)
      expected += distinct[size_t(count)] *
                  (1 - waysWithin(count, most, groupSize, groups) / choose(experts, count));
  return expected;
}

/// Expected largest of `count` independent standard normal numbers.
static double normalMaximum(int64_t count) {
  constexpr double step = 1.0 / 64;
  constexpr int steps = 512; // to 8 deviations
  double expected = 0;       // integral of P(largest > x) above 0, less P(largest < x) below
  for (int i = 0; i < steps; ++i) {
    const double x = (i + 0.5) * step;
    const double above = 0.5 * std::erfc(x / std::sqrt(2.0));
    expected += step * (1 - std::pow(1 - above, double(count)) - std::pow(above, double(count)));
  }
  return expected;
}

double expectedMostPairs(int64_t experts, int64_t selected, int64_t rows, int64_t groups) {
  const double all = double(rows * selected);
  if (groups == 1)
    return all;
  // Pairs of one expert are binomial; those of a group are nearly their sum.
  const double share = double(selected) / double(experts);
  const double deviation =
      std::sqrt(double(experts) / double(groups) * double(rows) * share * (1 - share));
  return std::min(all, all / double(groups) + deviation * normalMaximum(groups));
}

} // namespace grok::search
