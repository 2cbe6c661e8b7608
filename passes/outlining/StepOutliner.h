// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One walk over the fused step, for one bucket.
#pragma once

#include "passes/outlining/BucketBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Shard/IR/ShardOps.h"

namespace grok::plan {

/// What holds for the whole plan; the numbers are checked.
struct StepSettings {
  llvm::StringRef numerics; // "f32", "bf16" or "fast"
  llvm::StringRef kv;       // "f32" or "bf16"
  int64_t pageTokens, maxContext, tilePanels;
  grok::CacheType cache;
  int64_t layerBytes; // of one layer in a page
  // Of grok.sharding:
  int64_t tensorRanks = 1, expertRanks = 1;
  bool rowAttention = false; // fast attention of one row is a kernel of its own
  bool isStage = false;      // one of several
  int64_t firstLayer = 0;    // of the stage

  bool isLiteral() const { return numerics == "bf16"; }
};

/// What rows hold.
struct RowCodes {
  int64_t unit = 0; // inputs of one scale in quantised rows; 0 = float32 rows
  int64_t digits = 1;
};

/// The rows that a matrix product reads.
struct ProductInput {
  mlir::Value buffer;
  RowCodes codes;
};

/// The expert matmuls of one layer, for a subset of its experts.
struct ExpertShape {
  int64_t ffn, experts, selected;
  std::optional<int64_t> layer;
};

/// What gate_up made for a subset, in the order of the groups.
struct ExpertRows {
  ExpertSubset subset;
  mlir::Value groups, rows;
  int64_t selected = 0;
};

/// Of a value that is not the cache.
inline mlir::RankedTensorType typeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}

RowCodes codesOf(mlir::Value x);

/// The layer that a value is computed for: that of a weight beside it.
std::optional<int64_t> layerOfUsers(mlir::Value value);

/// Emits the launches of a step into a bucket. Each `outline` returns failure
/// after an error at the op.
class StepOutliner {
public:
  StepOutliner(const StepSettings &settings, LayoutBuilder &layout, BucketBuilder &bucket)
      : settings(settings), layout(layout), bucket(bucket) {}

  mlir::LogicalResult outline(mlir::func::FuncOp step);

private:
  mlir::LogicalResult outlineOp(mlir::Operation &op);
  mlir::LogicalResult outline(EmbedOp op);
  mlir::LogicalResult outline(QuantizeOp op);
  mlir::LogicalResult outline(RMSNormOp op);
  mlir::LogicalResult outline(LinearOp op);
  mlir::LogicalResult outline(FusedResidualNormOp op);
  mlir::LogicalResult outline(LogitRowsOp op);
  mlir::LogicalResult outline(UnembedOp op);
  mlir::LogicalResult outline(mlir::func::ReturnOp op);
  // AttentionLaunches.cpp
  mlir::LogicalResult outline(FusedQKVOp op);
  mlir::LogicalResult outline(FlashAttentionOp op);
  mlir::LogicalResult outline(AttentionOp op);
  // ExpertLaunches.cpp
  mlir::LogicalResult outline(RouteOp op);
  mlir::LogicalResult outline(FusedGateUpOp op);
  mlir::LogicalResult outline(FusedDownCombineOp op);
  // RankLaunches.cpp
  mlir::LogicalResult outline(mlir::shard::AllReduceOp op);
  mlir::LogicalResult outline(mlir::shard::AllGatherOp op);
  mlir::LogicalResult outline(CutColumnsOp op);
  mlir::LogicalResult outline(LocalTokensOp op);
  mlir::LogicalResult outline(LocalExpertsOp op);
  mlir::LogicalResult outline(ExpertMatmulOp op);
  mlir::LogicalResult outline(CombineOp op);
  void receiveArguments(mlir::func::FuncOp step);
  /// Ranks that a collective goes over.
  struct RankGroup {
    llvm::SmallVector<llvm::StringRef> over;
    int64_t ranks = 1;
  };
  mlir::FailureOr<RankGroup> groupOf(mlir::Operation *op, llvm::ArrayRef<int16_t> axes) const;

  mlir::LogicalResult launchNorm(mlir::Operation *op, mlir::Value x, mlir::Value scale, double eps,
                                 std::optional<int64_t> layer, mlir::Value &normed);
  mlir::LogicalResult launchAttention(mlir::Operation *op, mlir::Value query, mlir::Value result,
                                      int64_t inStage, KernelParams params);
  /// Local ids of the experts in `subset`, from those of all.
  mlir::FailureOr<mlir::Value> mapExperts(mlir::Operation *op, mlir::Value experts,
                                          const PackedTensor &slots, const ExpertShape &shape);
  mlir::Value groupRows(mlir::Operation *op, mlir::Value experts, const ExpertShape &shape);
  mlir::LogicalResult launchGateUp(FusedGateUpOp op, const ExpertSubset &subset,
                                   const ProductInput &x);
  mlir::LogicalResult launchDownCombine(FusedDownCombineOp op, const ExpertRows &rows,
                                        mlir::Value gates, mlir::Value &out);
  void quantizePairs(QuantizeOp op);
  /// The launch of what `op` computes needs them, and a buffer of that shape.
  KernelParams makeQuantizeParams(QuantizeOp op);
  static mlir::RankedTensorType recordsOf(QuantizeOp op);
  mlir::LogicalResult checkCache(mlir::Operation *op, mlir::Value used);

  /// The buffer that holds `value`, or an error at `user`.
  mlir::FailureOr<mlir::Value> bufferOf(mlir::Operation *user, mlir::Value value);
  /// The same as the input of a matrix product: floats, or quantised rows.
  mlir::FailureOr<ProductInput> inputOf(mlir::Operation *user, mlir::Value x);
  mlir::FailureOr<PackedMatrix> packTable(mlir::Operation *user, mlir::Value table, int64_t unit);
  /// `input` is the product's, `weight` its matrix format: products
  /// of integers and of bf16 are kernels of their own, all else in the fast mode
  /// is as in the f32 mode.
  KernelParams makeParams(RowCodes input = {}, mlir::DictionaryAttr weight = {});
  /// Adds what kernels that use the cache know of it.
  void addCacheParams(KernelParams &params, int64_t queryHeads) const;
  KernelParams makeAttentionParams(mlir::Value query) const;
  KernelParams makeExpertParams(const ExpertShape &shape, int64_t emb, const PackedMatrix &matrix,
                                RowCodes input);
  /// Constants that the literal mode rounds before use.
  double roundConstant(const llvm::APFloat &value) const;
  int64_t countTiles(int64_t panels) const;

  const StepSettings &settings;
  LayoutBuilder &layout;
  BucketBuilder &bucket;
  llvm::DenseMap<mlir::Value, mlir::Value> buffers;
  /// Instead of `buffers`: rows of gate_up, by subsets of the experts.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<ExpertRows>> expertRows;
  /// Of sums over ranks that their readers make: the number of parts in a row.
  llvm::DenseMap<mlir::Value, int64_t> partsOf;
  llvm::DenseSet<mlir::Value> chosen; // rows that logits are wanted of
  mlir::Value cache;                  // as last written
};

} // namespace grok::plan
