// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The ways in which each item of a model could be stored, as numbers for the
// solver and as types for the IR.
#pragma once

#include "passes/quantization/Sensitivities.h"
#include "passes/quantization/Solver.h"

namespace grok::quantization {

/// Losses are whole numbers of 2^-36 nats, so that equal input gives equal
/// choices everywhere.
int64_t toFixedPoint(double nats);
double toNats(int64_t fixedPoint);

/// One way to store an item.
struct ItemOption {
  std::vector<MatrixForm> forms; // of the item's weights, in their order
  int64_t bytes = 0;
  double loss = 0; // nats

  /// Of the forms: "int8", or "int4g32+int8" where one matrix cannot be int4.
  std::string name() const;
  bool isSameAs(const ItemOption &other) const;
};

class ItemOptions {
public:
  ItemOptions(const ModelWeights &model, const Sensitivities &sensitivities)
      : model(model), sensitivities(sensitivities) {}

  /// What is left of `storage` for the item: matrices that cannot have it are int8.
  ItemOption make(const WeightItem &item, Storage storage) const;
  /// The option of a model that is stored alike: `storage` for experts' matrices
  /// and, if that has fewer bits, int8 for the others. The table of an int8
  /// checkpoint stays as it is under int8.
  ItemOption makeFlat(const WeightItem &item, Storage storage) const;

private:
  ItemOption makeUnmeasured(const WeightItem &item, Storage storage, double &error) const;
  double scaleOf(const WeightItem &item) const;

  const ModelWeights &model;
  const Sensitivities &sensitivities;
};

} // namespace grok::quantization
