// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What proves a choice, and how far the machine's numbers may be wrong before
// another one is better.
#pragma once

#include "passes/sharding/search/MachineNumbers.h"
#include "passes/sharding/search/Search.h"

namespace grok::search {

/// One end of the interval in which a choice stands.
struct Flip {
  double value = 0;     // of the number
  std::string sharding; // that is better beyond it
  std::string weights;
};

/// A number and the interval around its value in which the choice stands while
/// all other numbers stay. No flip: none within the factor of mostFactor.
struct Interval {
  std::string number;
  double value = 0;
  std::string source;
  std::optional<Flip> below, above;
};

/// Numbers are tried down to 1/mostFactor and up to mostFactor times their value.
inline constexpr double mostFactor = 4;
/// The same where only the second plan is asked for.
inline constexpr double mostFactorOfNext = 64;
/// A flip is found to this part of its value.
inline constexpr double flipTolerance = 1e-4;
/// Where rivals are close, values this far apart are tried: between two of them
/// the choice may be slower than a rival, by that ratio at the most.
inline constexpr double largestStep = 1.02;

struct Certificate {
  RankedPlans ranked;
  std::vector<Interval> intervals; // against all plans; empty if none fits
  std::vector<Interval> runnerUp;  // against the second plan alone, if there is one
  /// Plans that a model error of +-10 % could put before the choice.
  int64_t inseparable = 0;
};

/// Searches, then finds the intervals. All times are monotone in every number, so
/// a stretch is passed over in one step where the choice at its worst end is not
/// slower than every rival at its best end.
Result<Certificate> certify(const ModelShape &model, const Machine &machine,
                            const Workload &workload, const Limits &limits);

} // namespace grok::search
