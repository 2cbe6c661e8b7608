// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The packed form of every weight that the step reads.
#pragma once

#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"
#include "dialects/plan/SumOrder.h"
#include "passes/outlining/ExpertSubsets.h"

#include "llvm/ADT/StringMap.h"

namespace grok::plan {

/// Columns of one panel: a panel row of float32 is a cache line.
inline constexpr int64_t panelColumns = 16;

int64_t padToPanel(int64_t columns);

/// A tensor of the layout and what a launch must know to name it.
struct PackedTensor {
  mlir::SymbolRefAttr symbol;
  mlir::RankedTensorType type;
};

/// A matrix, or one for each expert.
struct PackedMatrix {
  PackedTensor values, scales; // without quantisation `scales` is `values`
  mlir::DictionaryAttr format; // element, group, groups, unit, slices
  int64_t inputs = 0, columns = 0, panels = 0;
  int64_t experts = 0; // of the subset; 0 = no expert axis
};

/// How a matrix is to be packed beyond what its type says.
struct MatrixOrder {
  int64_t columnGroup = 0; // columns padded to a panel together; 0 = all
  bool transposed = false; // stored [columns, inputs]
  int64_t unit = 0;        // of the quantised inputs; 0 = inputs are floats
};

/// What a weight's type says about its elements.
struct StoredForm;

/// The value's `grok.weight`, or an error at `user`.
mlir::FailureOr<grok::WeightOp> findWeight(mlir::Operation *user, mlir::Value value);

/// The layer in a checkpoint path, if it names one.
std::optional<int64_t> layerOf(llvm::StringRef path);

/// Makes `plan.tensor` ops inside a layout. A tensor asked for twice is made
/// once; asked for in two orders is an error.
class LayoutBuilder {
public:
  /// `reproducible`: refuses orders of sums that depend on the number of ranks.
  LayoutBuilder(LayoutOp layout, bool reproducible);

  mlir::FailureOr<PackedMatrix> packMatrix(mlir::Operation *user, mlir::Value weight,
                                           MatrixOrder order = {}, const ExpertSubset &subset = {});
  /// Of every expert its number in the subset, or -1. `weight` names the layer.
  mlir::FailureOr<PackedTensor> packSlots(mlir::Operation *user, mlir::Value weight,
                                          const ExpertSubset &subset);
  /// Of every expert its number on the rank, which holds a part of `weight`'s.
  mlir::FailureOr<PackedTensor> packRankSlots(mlir::Operation *user, mlir::Value weight);
  mlir::FailureOr<PackedTensor> packVector(mlir::Operation *user, mlir::Value weight);
  /// The rotation table: a row of cosines and one of sines for each position.
  mlir::FailureOr<PackedTensor> packRope(mlir::Operation *user, int64_t positions, int64_t headDim,
                                         double base);
  /// The number of the first row that a rank holds of `weight`.
  mlir::FailureOr<PackedTensor> packFirst(mlir::Operation *user, mlir::Value weight);

  int64_t size() const { return tensors.size(); }

private:
  /// The attributes of a `plan.tensor` but its name.
  struct Record {
    std::string packing;
    llvm::SmallVector<int64_t> logical;
    mlir::RankedTensorType type;
    int64_t rowGroups = 1, unit = 0, slices = 1;
    MatrixOrder order;
    mlir::FloatAttr ropeBase;
    llvm::SmallVector<int64_t> experts; // empty = all
    mlir::DictionaryAttr part;          // that a rank holds; null = all

    bool operator==(const Record &other) const;
  };

  Record recordOf(grok::WeightOp weight, const PackedMatrix &matrix, const StoredForm &form,
                  const SumOrder &sums);
  /// Of `stored` int32 about the first dimension, `extent` long, of a weight.
  Record recordOfNumbers(llvm::StringRef packing, int64_t extent, int64_t stored);
  /// `name` is that of the source, if the tensor is all of it.
  mlir::FailureOr<PackedTensor> add(mlir::Operation *user, llvm::StringRef source, Record record,
                                    llvm::StringRef name = "");
  mlir::FailureOr<PackedTensor> packScales(mlir::Operation *user, grok::WeightOp weight,
                                           const Record &values, int64_t panels,
                                           const ExpertSubset &subset);

  LayoutOp layout;
  bool reproducible;
  mlir::OpBuilder builder;
  llvm::StringMap<Record> tensors;
};

} // namespace grok::plan
