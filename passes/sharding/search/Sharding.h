// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One way to split a model over ranks, and which ways there are.
#pragma once

#include "passes/sharding/search/Machine.h"
#include "passes/sharding/search/Model.h"
#include "passes/sharding/search/Workload.h"

namespace grok::search {

/// Rank r = ((d * pp + p) * ep + e) * tp + t.
struct Sharding {
  int64_t tp = 1; // heads, experts' hidden units, vocabulary
  int64_t ep = 1; // experts
  int64_t pp = 1; // stages of consecutive layers
  int64_t dp = 1; // copies of all that, each with its own sequences
  /// Layers of each stage; empty = not chosen yet.
  std::vector<int64_t> stageLayers = {};
  /// Layers, ascending, of which every rank of a stage has a part of the hidden
  /// columns of all experts; in all others ep divides the experts.
  std::vector<int64_t> hiddenLayers = {};

  int64_t ranks() const { return tp * ep * pp * dp; }
  /// "tp4.pp2", "tp2.ep4:hidden=0-63"; "tp1" for one rank.
  std::string text() const;
  /// What stands behind `hidden=`: "0-3,7", or "".
  std::string hiddenText() const;
  /// Whether the layers of a stage are split alike.
  bool sameStages(const Sharding &other) const {
    return tp == other.tp && ep == other.ep && pp == other.pp && hiddenLayers == other.hiddenLayers;
  }
  bool sameSplit(const Sharding &other) const { return sameStages(other) && dp == other.dp; }
};

/// The inverse of text(): dot-joined tpN, epN, ppN, dpN, each at most once, then
/// `:hidden=` as parseHiddenLayers reads it, of a model of so many layers.
Result<Sharding> parseSharding(const std::string &text, int64_t layers = 0);

/// "hidden=0-3,7" or "hidden=all", of `layers` layers: ascending, each once.
Result<std::vector<int64_t>> parseHiddenLayers(const std::string &text, int64_t layers);

/// Fails with the first reason why the model cannot be split so, for that work.
Result<void> checkSharding(const ModelShape &model, const Sharding &sharding,
                           const Workload &workload = {});

/// Most nodes that `size` consecutive ranks lie on, of the groups that begin at
/// multiples of `size`.
int64_t nodesSpanned(const Sharding &sharding, int64_t size, const Machine &machine);

/// Steps from a stage to the next one that leave a node, in the worst replica.
int64_t hopsAcross(const Sharding &sharding, const Machine &machine);

} // namespace grok::search
