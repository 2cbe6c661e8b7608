// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The experts of a layer whose matrices are packed, and multiplied, together.
#pragma once

#include "dialects/grok/GrokDialect.h"

namespace grok::plan {

/// Experts of one layer in one format.
struct ExpertSubset {
  llvm::SmallVector<int64_t> experts = {}; // ascending; empty = all of the layer
  int64_t number = 0;                      // among the subsets of the layer

  bool isWhole() const { return experts.empty(); }
  /// What the names of the subset's tensors add to the weight's: ".subset1".
  std::string suffix() const;
};

/// Cuts the experts so that those of a subset agree in the format of each of
/// `weights`, matrices [experts, ..]. Subsets stand in the order of their first
/// experts.
llvm::SmallVector<ExpertSubset> subsetsOf(llvm::ArrayRef<mlir::RankedTensorType> weights);

/// The subsets that the kernels of a layer run over: experts agree in the formats
/// of gate, up and of the down projection behind them.
llvm::SmallVector<ExpertSubset> subsetsOf(FusedGateUpOp op);

/// The format of the subset's experts in a weight of this type; null for floats.
mlir::Attribute formatOf(mlir::RankedTensorType weight, const ExpertSubset &subset);

} // namespace grok::plan
