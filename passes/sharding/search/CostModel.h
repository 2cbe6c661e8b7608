// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Predicts memory and time of one way to run a model. An op takes the longer of
// its bytes at the reachable bandwidth and its arithmetic at the reachable peak;
// a step is the sum of its ops, collectives and gaps between kernels.
#pragma once

#include "passes/sharding/search/OpCosts.h"

#include <array>

namespace grok::search {

/// On the fullest rank, in bytes.
struct Memory {
  double weights = 0;
  double cache = 0;        // keys and values of all sequences at full context
  double arena = 0;        // activations and logits of the largest step
  double communicator = 0; // buffers of collectives

  double total() const { return weights + cache + arena + communicator; }
};

/// What a step spends its time on.
enum class Term { attention, experts, norms, table, collectives, hops, launches, waiting };
inline constexpr size_t numTerms = 8;
const char *nameOf(Term term);

/// Seconds by term, and how ops divide into those that wait for memory and those
/// that compute.
struct Times {
  std::array<double, numTerms> terms = {};
  double reading = 0, computing = 0;

  double &operator[](Term term) { return terms[static_cast<size_t>(term)]; }
  double operator[](Term term) const { return terms[static_cast<size_t>(term)]; }
  double total() const;
  void add(const Times &other, double count = 1);
};

struct Plan {
  Sharding sharding; // with the layers of every stage
  WeightFormat format;
  int64_t microBatches = 1;
  Memory memory;
  double availableBytes = 0;  // for all that, on a rank
  Times token;                // of one token of every sequence
  double tokenSeconds = 0;    // = token.total()
  double tokensPerSecond = 0; // of all sequences, while they decode
  double firstTokenSeconds = 0;
  double servedPerSecond = 0; // new tokens, prompts counted
  double objective = 0;       // seconds; less is better

  bool fits() const { return memory.total() <= availableBytes; }
  /// "memory bandwidth", "arithmetic", "collectives", "launch gaps", "stage imbalance".
  std::string boundBy() const;
};

class CostModel {
public:
  CostModel(const ModelShape &model, const Machine &machine, const Workload &workload)
      : model(model), machine(machine), workload(workload) {}

  /// The same on another machine.
  CostModel(const CostModel &other, const Machine &machine)
      : model(other.model), machine(machine), workload(other.workload), distinct(other.distinct),
        pairs(other.pairs) {}

  /// `sharding` passes checkSharding. If it has no layers per stage, they are
  /// chosen: for the least objective among those that fit, else as even as the
  /// time allows.
  Plan evaluate(const Sharding &sharding, const WeightFormat &format, int64_t microBatches) const {
    return evaluate(sharding, format, microBatches, /*needsPrompts=*/true);
  }
  /// Its objective alone, sooner.
  double objectiveOf(const Sharding &sharding, const WeightFormat &format,
                     int64_t microBatches) const;

  /// Seconds of a token if nothing but reading weights and cache took time, at
  /// the full bandwidth of all of the machine's devices.
  double roofSeconds(const WeightFormat &format) const;

  /// expectedMostDistinct and expectedMostPairs of the model. Remembered, so a
  /// CostModel is for one thread.
  double mostDistinctExperts(int64_t rows, int64_t groups) const;
  double mostPairs(int64_t rows, int64_t groups) const;

  const ModelShape &model;
  const Machine &machine;
  const Workload &workload;

private:
  Plan evaluate(const Sharding &sharding, const WeightFormat &format, int64_t microBatches,
                bool needsPrompts) const;

  mutable std::map<std::pair<int64_t, int64_t>, double> distinct, pairs; // by rows and groups
};

/// Micro-batches worth trying for a replica of `batch` sequences.
std::vector<int64_t> microBatchChoices(int64_t stages, int64_t batch);

} // namespace grok::search
