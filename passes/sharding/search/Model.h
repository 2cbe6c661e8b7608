// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the search knows of a model: its sizes, and how its weights are stored.
#pragma once

#include "passes/sharding/search/Result.h"

#include <cstdint>
#include <vector>

namespace grok::search {

struct ModelShape {
  std::string name;
  int64_t vocabulary = 0;
  int64_t width = 0; // of the residual stream
  int64_t layers = 0;
  int64_t queryHeads = 0;
  int64_t keyValueHeads = 0;
  int64_t headSize = 0;
  int64_t hidden = 0; // of one expert
  int64_t experts = 0;
  int64_t selectedExperts = 0;
  /// Groups of int8 scales along the contraction of the attention's output and
  /// of the experts' down projection.
  int64_t rowGroups = 1;

  int64_t attentionWeights() const; // of one layer
  int64_t expertWeights() const;    // of one expert of one layer
  int64_t tableWeights() const { return vocabulary * width; }
  int64_t matrixWeights() const; // of the whole model, the router not counted
};

/// How the matrices of one kind are stored.
struct MatrixFormat {
  double bits = 32;           // of one weight; an average where formats mix
  int64_t multiplierRows = 0; // rows that share a one-byte multiplier; 0 = none
  int64_t scaleBytes = 0;     // of one scale per row group and column; 0 = none

  /// [rows, columns] with `rowGroups` groups of rows.
  double bytes(double rows, double columns, double rowGroups) const;
};

/// Layers whose experts are stored alike, where those of others are not.
struct ExpertGroup {
  std::vector<int64_t> layers; // ascending
  MatrixFormat experts;        // on average
  /// Formats of experts repeat after so many: a rank may have whole periods.
  int64_t period = 1;
};

struct WeightFormat {
  std::string name;
  MatrixFormat experts, attention, table;
  /// Every layer is in one of them; none: all layers are alike.
  std::vector<ExpertGroup> groups = {};

  /// Bits of a weight on average, scales counted.
  double averageBits(const ModelShape &model) const;
  double totalBytes(const ModelShape &model) const;
};

/// f32, bf16, int8, int4, int3: what grokc's --weights of the same name stores.
Result<WeightFormat> weightFormatNamed(const std::string &name);
std::vector<std::string> weightFormatNames();

/// Experts' matrices of which `share` are stored as in `high` and the others as
/// in `low`; attention and table as in `high`. Named after the average bits.
WeightFormat mixFormats(const WeightFormat &low, const WeightFormat &high, double share);

} // namespace grok::search
