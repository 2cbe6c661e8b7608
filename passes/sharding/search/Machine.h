// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the search knows of a machine: numbers only, each from a machine file.
#pragma once

#include "passes/sharding/search/Result.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

namespace grok::search {

/// Of one device to another; `bandwidth` in one direction.
struct Link {
  double seconds = 0; // latency of the smallest message
  double bandwidth = 0;

  double secondsFor(double bytes) const { return seconds + bytes / bandwidth; }
};

/// One known time of an all-reduce.
struct AllReduceTime {
  int64_t ranks = 0;
  int64_t nodes = 1; // that the ranks lie on
  double bytes = 0;
  std::string algorithm;
  double seconds = 0;
  std::string source;
};

/// Per second. Ranks that share a node's cores are bound twice: each by the cores
/// that it has, and all together by what the node reaches.
struct Rates {
  double rank = 0;
  double node = std::numeric_limits<double>::infinity();

  /// Until the rank with the most work is done, and all of them.
  double secondsFor(double most, double sum) const { return std::max(most / rank, sum / node); }
};

struct Machine {
  std::string name;
  std::string digest; // SHA-256 of the file, hexadecimal
  int64_t nodes = 1;
  int64_t devicesPerNode = 1;
  /// Cores that the ranks of a node share; 0 = every rank has a device of its own.
  /// Then memory, bandwidth and peaks below are those of a core.
  int64_t sharedCores = 0;

  double memoryBytes = 0;              // of a device; of the node if its cores are shared
  double reservedBytes = 0;            // of it, for the driver
  double communicatorBytes = 0;        // of it, if there is more than one rank
  double budgetBytes = 0;              // a rank may take no more; 0 = what is there
  double bandwidth = 0;                // bytes per second
  double nodeBandwidth = 0;            // of all cores together, if they are shared
  double bandwidthShare = 1;           // of it that kernels reach
  std::map<std::string, double> peaks; // operations per second by number format
  double peakShare = 1;
  double launchSeconds = 0; // from the end of a kernel to the start of the next
  Link inside, across;      // a node; between nodes
  std::vector<AllReduceTime> allReduces;
  std::map<std::string, std::string> sources; // of the values, by key of the file

  int64_t devices() const { return nodes * devicesPerNode; }
  /// Name of the peak that kernels for `weights` (f32, bf16, int8, ...) reach.
  std::string peakNameFor(const std::string &weights) const;

  /// What ops of the ranks of a node reach, of which `busy` work at a time.
  Rates bandwidthOf(int64_t ranksOnNode, int64_t busy) const;
  Rates peakOf(const std::string &weights, int64_t ranksOnNode, int64_t busy) const;
  /// Usable bytes of one rank.
  double rankMemory(int64_t ranksOnNode) const;

  /// Time to add `bytes` of each of `ranks` ranks that lie on `nodes` nodes: the
  /// fastest of the algorithms in the table, or what the links allow.
  double allReduceSeconds(int64_t ranks, int64_t nodes, double bytes) const;
  /// A cell of the table's algorithm that is the fastest; null without one.
  const AllReduceTime *fastestAllReduce(int64_t ranks, int64_t nodes, double bytes) const;
  /// Time until every rank has the `bytes` of each.
  double allGatherSeconds(int64_t ranks, int64_t nodes, double bytes) const;
  const Link &link(int64_t nodesSpanned) const { return nodesSpanned > 1 ? across : inside; }
};

/// The first `devices` of a machine: of one node, or whole nodes.
Result<Machine> takePart(Machine machine, int64_t devices);

} // namespace grok::search
