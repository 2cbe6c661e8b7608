// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merges post-norm, residual add and the next pre-norm.
#include "passes/fusion/Passes.h"
#include "passes/fusion/Rewriting.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_FUSERESIDUAL
#include "passes/fusion/Passes.h.inc"
} // namespace grok

/// The operand of `add` that is a norm used by nothing else, right one first:
/// the graph writes `h + norm(block)`.
static const OpOperand *findPostNorm(AddOp add) {
  for (const OpOperand *operand : {&add.getRhsMutable(), &add.getLhsMutable()})
    if (operand->get().getDefiningOp<RMSNormOp>() && operand->get().hasOneUse())
      return operand;
  return nullptr;
}

/// Puts one op in for `add` and the norm that is its operand `normed`. Nothing
/// reads its second result, a norm by `nextScale`, yet.
static FusedResidualNormOp mergeSum(PatternRewriter &rewriter, AddOp add, const OpOperand *normed,
                                    Type nextType, Value nextScale) {
  auto post = normed->get().getDefiningOp<RMSNormOp>();
  Value residual = normed == &add.getRhsMutable() ? add.getLhs() : add.getRhs();
  auto fused =
      FusedResidualNormOp::create(rewriter, add.getLoc(), add.getType(), nextType, residual,
                                  post.getX(), post.getScale(), nextScale, post.getEpsAttr());
  rewriter.replaceOp(add, fused.getSum());
  rewriter.eraseOp(post);
  return fused;
}

namespace {

struct MergeResidual : OpRewritePattern<RMSNormOp> {
  MergeResidual(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(RMSNormOp next, PatternRewriter &rewriter) const override {
    auto add = next.getX().getDefiningOp<AddOp>();
    if (!add || add->getBlock() != next->getBlock())
      return rewriter.notifyMatchFailure(next, "does not norm a residual sum");
    const OpOperand *normed = findPostNorm(add);
    if (!normed)
      return rewriter.notifyMatchFailure(next, "no summand is a norm without other users");
    auto post = normed->get().getDefiningOp<RMSNormOp>();
    if (post.getEpsAttr() != next.getEpsAttr())
      return rewriter.notifyMatchFailure(next, "the norms have different eps");
    if (post.getScale().getType() != next.getScale().getType())
      return rewriter.notifyMatchFailure(next, "the norms have scales of different types");
    // The fused op stands where `next` does: its scale may be defined just there.
    if (!isOnlyUsedFrom(add.getResult(), next))
      return rewriter.notifyMatchFailure(next, "the sum is used before it is normed");

    FusedResidualNormOp fused = mergeSum(rewriter, add, normed, next.getType(), next.getScale());
    rewriter.replaceOp(next, fused.getNormed());
    ++numFused;
    return success();
  }

private:
  Pass::Statistic &numFused;
};

/// The residual that a pipeline stage hands on is normed by the next stage. Here
/// its block's own scale stands in for that norm, whose result nobody reads.
struct MergeLastResidual : OpRewritePattern<AddOp> {
  MergeLastResidual(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(AddOp add, PatternRewriter &rewriter) const override {
    if (!llvm::all_of(add->getUsers(), llvm::IsaPred<func::ReturnOp>) || add->use_empty())
      return rewriter.notifyMatchFailure(add, "is not what a function returns");
    const OpOperand *normed = findPostNorm(add);
    if (!normed)
      return rewriter.notifyMatchFailure(add, "no summand is a norm without other users");
    auto post = normed->get().getDefiningOp<RMSNormOp>();
    mergeSum(rewriter, add, normed, add.getType(), post.getScale());
    ++numFused;
    return success();
  }

private:
  Pass::Statistic &numFused;
};

struct FuseResidual : grok::impl::FuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<MergeResidual, MergeLastResidual>(&getContext(), numFused);
    if (failed(applyFusionPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
