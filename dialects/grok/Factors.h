// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the dimensions of each op's tensors range over, as in an einsum: one
// table, which says how an op may be split over ranks and what its shapes must
// have in common.
#pragma once

#include "dialects/grok/GrokDialect.h"

namespace grok {

/// The factors of one op. Tensors are lists of letters, one for each dimension,
/// separated by commas; `_` is a value without dimensions (cache, step), `*` any
/// dimensions, the same in every `*`. Equal letters have equal extents.
struct OpFactors {
  llvm::StringRef op;       // without "grok."
  llvm::StringRef operands; // "ti,io"
  llvm::StringRef results;  // "to"
  llvm::StringRef summed;   // contracted: a part of them gives a part of the sum
  llvm::StringRef tp;       // may be split over tensor ranks; "*" for those of `*`
  llvm::StringRef ep;       // may be split over expert ranks
  llvm::StringRef padded;   // zeros at the end of a part change nothing
};

/// All entries. An op of several forms has one entry for each.
llvm::ArrayRef<OpFactors> allFactors();

/// Letters of the dimensions of an op's operands and results. Wildcards are
/// 'A' + dimension; a value that is no tensor has none.
struct FactorLetters {
  const OpFactors *factors = nullptr;
  llvm::SmallVector<std::string> operands, results;

  /// Each letter once, in order of first appearance.
  std::string loops() const;
  bool isSummed(char letter) const { return factors->summed.contains(letter); }
  bool isPadded(char letter) const { return isIn(letter, factors->padded); }
  /// Whether ranks on `axis` ("tp" or "ep") may split this factor.
  bool maySplit(char letter, llvm::StringRef axis) const {
    return isIn(letter, axis == "ep" ? factors->ep : factors->tp);
  }

private:
  static bool isIn(char letter, llvm::StringRef set) {
    return set.contains(letter) || (letter < 'a' && set.contains('*'));
  }
};

/// The entry that fits an op's operands and ranks; fails if there is none.
mlir::FailureOr<FactorLetters> lettersOf(mlir::Operation *op);

/// One error if a letter stands for two extents.
mlir::LogicalResult verifyExtents(mlir::Operation *op);

/// ShardingInterface of every op. A loop that no rank may split is a reduction
/// of kind generic.
llvm::SmallVector<mlir::utils::IteratorType> loopsOf(mlir::Operation *op);
llvm::SmallVector<mlir::shard::ReductionKind> reductionsOf(mlir::Operation *op);
llvm::SmallVector<mlir::AffineMap> mapsOf(mlir::Operation *op);

/// Builds what each rank computes of `op` from its parts of the operands, with an
/// all-reduce over the ranks that split a contracted factor, and maps the results.
/// Shardings of values that are no tensors are null: a cache has the type of the
/// operand. One error if the op cannot be split so; extents are checked.
mlir::LogicalResult partitionOp(mlir::Operation *op, llvm::ArrayRef<mlir::Value> operands,
                                llvm::ArrayRef<mlir::shard::Sharding> operandShardings,
                                llvm::ArrayRef<mlir::shard::Sharding> resultShardings,
                                mlir::IRMapping &mapping, mlir::SymbolTableCollection &symbols,
                                mlir::OpBuilder &builder);

} // namespace grok
