// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Fewer, smaller and later collectives.
#include "passes/sharding/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace grok;
using shard::AllGatherOp;
using shard::AllReduceOp;
using shard::AllSliceOp;
using shard::GridAxis;
using Axes = SmallVector<GridAxis>;

namespace grok {
#define GEN_PASS_DEF_OPTIMIZECOLLECTIVES
#include "passes/sharding/Passes.h.inc"
} // namespace grok

static bool isSum(AllReduceOp op) { return op.getReduction() == shard::ReductionKind::Sum; }

static AllReduceOp reduceOver(OpBuilder &builder, Location loc, AllReduceOp like, Value input,
                              ArrayRef<GridAxis> axes) {
  return AllReduceOp::create(builder, loc, input.getType(), like.getGrid(), axes, input,
                             like.getReduction());
}

/// The same collective over fewer axes; its input where none is left.
static void reduceOverOnly(PatternRewriter &rewriter, AllReduceOp op, ArrayRef<GridAxis> kept) {
  if (kept.empty())
    rewriter.replaceOp(op, op.getInput());
  else
    rewriter.replaceOp(op, reduceOver(rewriter, op.getLoc(), op, op.getInput(), kept));
}

/// The experts of this rank that a matmul's ids name; null if it knows all.
static LocalExpertsOp localExpertsOf(ExpertMatmulOp matmul) {
  return matmul.getExperts().getDefiningOp<LocalExpertsOp>();
}

namespace {

template <typename OpType> struct CountedPattern : OpRewritePattern<OpType> {
  CountedPattern(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern<OpType>(context), count(count) {}
  Pass::Statistic &count;
};

/// Ranks alone on their axes have nothing to add.
struct DropSizeOne : CountedPattern<AllReduceOp> {
  using CountedPattern::CountedPattern;

  LogicalResult matchAndRewrite(AllReduceOp op, PatternRewriter &rewriter) const override {
    auto grid = SymbolTable::lookupNearestSymbolFrom<shard::GridOp>(op, op.getGridAttr());
    if (!grid)
      return rewriter.notifyMatchFailure(op, "the grid is unknown");
    Axes kept;
    for (GridAxis axis : op.getGridAxes())
      if (grid.getShape()[axis] != 1)
        kept.push_back(axis);
    if (kept.size() == op.getGridAxes().size())
      return rewriter.notifyMatchFailure(op, "every axis has several ranks");
    reduceOverOnly(rewriter, op, kept);
    ++count;
    return success();
  }
};

/// A sum over one axis and then another is one over both.
struct MergeReduces : CountedPattern<AllReduceOp> {
  using CountedPattern::CountedPattern;

  LogicalResult matchAndRewrite(AllReduceOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<AllReduceOp>();
    if (!inner || !inner->hasOneUse() || inner.getGrid() != op.getGrid())
      return rewriter.notifyMatchFailure(op, "does not add what nothing but another sum reads");
    if (!isSum(op) || !isSum(inner))
      return rewriter.notifyMatchFailure(op, "is no sum of sums");
    Axes axes(op.getGridAxes());
    for (GridAxis axis : inner.getGridAxes()) {
      if (llvm::is_contained(axes, axis))
        return rewriter.notifyMatchFailure(op, "both add over the same ranks");
      axes.push_back(axis);
    }
    llvm::sort(axes);
    rewriter.replaceOp(op, reduceOver(rewriter, op.getLoc(), op, inner.getInput(), axes));
    rewriter.eraseOp(inner);
    ++count;
    return success();
  }
};

/// What only a matmul of the rank's own experts reads need not be completed for
/// the others: their rows are zeros here and are skipped there.
struct KeepExpertsApart : CountedPattern<AllReduceOp> {
  using CountedPattern::CountedPattern;

  LogicalResult matchAndRewrite(AllReduceOp op, PatternRewriter &rewriter) const override {
    auto matmul = op.getInput().getDefiningOp<ExpertMatmulOp>();
    if (!matmul || !localExpertsOf(matmul) || !llvm::is_contained(op.getGridAxes(), GridAxis(0)))
      return rewriter.notifyMatchFailure(op, "does not add experts of several ranks");
    if (!isReadByOwnExperts(op.getResult(), matmul.getExperts()))
      return rewriter.notifyMatchFailure(op, "is read for experts of other ranks");
    Axes kept(op.getGridAxes());
    llvm::erase(kept, GridAxis(0));
    reduceOverOnly(rewriter, op, kept);
    ++count;
    return success();
  }

private:
  static bool isReadByOwnExperts(Value value, Value experts) {
    return llvm::all_of(value.getUses(), [&](OpOperand &use) {
      if (auto gelu = dyn_cast<GeluGateOp>(use.getOwner()))
        return isReadByOwnExperts(gelu.getResult(), experts);
      auto matmul = dyn_cast<ExpertMatmulOp>(use.getOwner());
      return matmul && use.getOperandNumber() == 0 && matmul.getExperts() == experts;
    });
  }
};

/// combine(sum of parts) is the sum of combined parts, and k times smaller. Not
/// where sums must not depend on the ranks.
struct SinkBelowCombine : CountedPattern<CombineOp> {
  using CountedPattern::CountedPattern;

  LogicalResult matchAndRewrite(CombineOp op, PatternRewriter &rewriter) const override {
    auto reduce = op.getX().getDefiningOp<AllReduceOp>();
    if (!reduce || !reduce->hasOneUse() || !isSum(reduce))
      return rewriter.notifyMatchFailure(op, "does not combine a sum over ranks");
    auto matmul = reduce.getInput().getDefiningOp<ExpertMatmulOp>();
    if (!matmul)
      return rewriter.notifyMatchFailure(op, "the parts are not those of experts");
    auto combine = CombineOp::create(rewriter, op.getLoc(), op.getType(), matmul.getResult(),
                                     op.getGates(), matmul.getExperts());
    rewriter.replaceOp(
        op, reduceOver(rewriter, op.getLoc(), reduce, combine.getResult(), reduce.getGridAxes()));
    rewriter.eraseOp(reduce);
    ++count;
    return success();
  }
};

/// A rank's own part of what was gathered is what it had.
struct DropGatherOfSlice : CountedPattern<AllSliceOp> {
  using CountedPattern::CountedPattern;

  LogicalResult matchAndRewrite(AllSliceOp op, PatternRewriter &rewriter) const override {
    auto gather = op.getInput().getDefiningOp<AllGatherOp>();
    if (!gather || gather.getGrid() != op.getGrid() || gather.getGridAxes() != op.getGridAxes() ||
        gather.getGatherAxis() != op.getSliceAxis() || gather.getInput().getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "does not slice what was gathered alike");
    rewriter.replaceOp(op, gather.getInput());
    ++count;
    return success();
  }
};

/// A rank's own part of a sum needs no other part of it.
struct ScatterSlicedSum : CountedPattern<AllSliceOp> {
  using CountedPattern::CountedPattern;

  LogicalResult matchAndRewrite(AllSliceOp op, PatternRewriter &rewriter) const override {
    auto reduce = op.getInput().getDefiningOp<AllReduceOp>();
    if (!reduce || !reduce->hasOneUse() || reduce.getGrid() != op.getGrid() ||
        reduce.getGridAxes() != op.getGridAxes())
      return rewriter.notifyMatchFailure(op, "does not slice a sum over the same ranks");
    rewriter.replaceOpWithNewOp<shard::ReduceScatterOp>(op, op.getType(), op.getGrid(),
                                                        op.getGridAxes(), reduce.getInput(),
                                                        reduce.getReduction(), op.getSliceAxis());
    rewriter.eraseOp(reduce);
    ++count;
    return success();
  }
};

struct OptimizeCollectives : grok::impl::OptimizeCollectivesBase<OptimizeCollectives> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<DropSizeOne>(&getContext(), numRemoved);
    patterns.add<DropGatherOfSlice>(&getContext(), numRemoved);
    patterns.add<KeepExpertsApart>(&getContext(), numRemoved);
    patterns.add<MergeReduces>(&getContext(), numMerged);
    patterns.add<ScatterSlicedSum>(&getContext(), numMerged);
    if (!getOperation()->hasAttr("grok.reproducible"))
      patterns.add<SinkBelowCombine>(&getContext(), numSunk);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    getOperation()->walk([&](Operation *op) {
      if (isa<AllReduceOp, AllGatherOp, shard::ReduceScatterOp, shard::AllToAllOp>(op))
        ++numLeft;
    });
  }
};

} // namespace
