// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bytes and arithmetic of the fused ops of one step on one rank. With everything
// on one rank they are what the ops' CostInterface says, to the byte.
#pragma once

#include "passes/sharding/search/Sharding.h"
#include "passes/sharding/search/Workload.h"

#include <string_view>

namespace grok::search {

struct OpCost {
  std::string_view op; // as the grok dialect names it
  double weightBytes = 0, activationBytes = 0, cacheBytes = 0, flops = 0;

  double bytes() const { return weightBytes + activationBytes + cacheBytes; }
};

/// What one step does.
struct Step {
  int64_t rows = 1;
  double cacheReads = 1; // sequences whose cache attention reads
  int64_t context = 0;   // positions that a row sees
  int64_t logitRows = 1;
  /// Experts whose matrices a rank reads, and (row, expert) pairs that it computes.
  double distinctExperts = 2, pairs = 2;
  int64_t busyStages = 1; // that work at a time, on other rows
};

/// The part of the model on one rank.
struct LocalShape {
  /// Of layers whose hidden columns ep splits too, or of the others.
  LocalShape(const ModelShape &model, const Sharding &sharding, bool splitsHidden = false);

  const ModelShape &model;
  double queryColumns, keyColumns, hidden, experts, tokens;
};

class OpCosts {
public:
  OpCosts(const LocalShape &local, const WeightFormat &format, const Workload &workload)
      : local(local), format(format), workload(workload) {}

  std::vector<OpCost> embed(const Step &step) const;
  /// Of one layer. The first norm of the model is part of its first op.
  std::vector<OpCost> layer(const Step &step) const;
  OpCost firstNorm(const Step &step) const;
  std::vector<OpCost> head(const Step &step) const;

  /// Bytes that stay on a rank: of a layer, of the table, of a cached position of
  /// one layer.
  double layerWeightBytes() const;
  double tableBytes() const;
  double cacheRowBytes() const;

private:
  OpCost qkv(const Step &step) const;
  OpCost attention(const Step &step) const;
  double expertBytes() const; // of one expert's part
  double activations(double elements) const { return elements * double(workload.activationBytes); }

  const LocalShape &local;
  const WeightFormat &format;
  const Workload &workload;
};

} // namespace grok::search
