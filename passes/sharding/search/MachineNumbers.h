// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The numbers of a machine that a choice may depend on, each of which can be
// made larger or smaller by itself.
#pragma once

#include "passes/sharding/search/Machine.h"

namespace grok::search {

struct MachineNumber {
  enum class Kind {
    bandwidth,
    peak,
    launchGap,
    insideLatency,
    insideBandwidth,
    acrossLatency,
    acrossBandwidth,
    allReduce, // all cells of one number of ranks on one number of nodes
  };
  Kind kind;
  int64_t ranks = 0, nodes = 0; // of allReduce

  /// Key in the machine file; "all_reduce[8 ranks, 1 node].microseconds".
  std::string name() const;
  /// Whether nothing is slower if the number is larger.
  bool isRate() const;
  /// In the unit of the machine file; of an all-reduce of `bytes` bytes.
  double valueIn(const Machine &machine, const std::string &weights, double bytes) const;
  /// Of an all-reduce: that of the fastest algorithm at `bytes` bytes.
  std::string sourceIn(const Machine &machine, double bytes) const;
};

/// Those that `machine` has.
std::vector<MachineNumber> numbersOf(const Machine &machine);

/// The machine with the number times `factor`.
Machine scaled(Machine machine, const MachineNumber &number, double factor);

} // namespace grok::search
