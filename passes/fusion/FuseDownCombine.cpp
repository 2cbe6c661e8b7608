// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merges the down expert matmul with the gate-weighted sum over its experts.
#include "passes/fusion/Passes.h"
#include "passes/fusion/Rewriting.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_FUSEDOWNCOMBINE
#include "passes/fusion/Passes.h.inc"
} // namespace grok

namespace {

struct MergeDownAndSum : OpRewritePattern<CombineOp> {
  MergeDownAndSum(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(CombineOp sum, PatternRewriter &rewriter) const override {
    auto down = sum.getX().getDefiningOp<ExpertMatmulOp>();
    if (!down || !down->hasOneUse())
      return rewriter.notifyMatchFailure(sum, "the summands come from, or go, elsewhere");
    if (down.getExperts() != sum.getExperts())
      return rewriter.notifyMatchFailure(sum, "matmul and sum name different experts");
    auto x = cast<RankedTensorType>(down.getX().getType());
    if (x.getRank() != 3 || !x.getElementType().isF32())
      return rewriter.notifyMatchFailure(sum, "expects a float32 row per selected expert");
    bool isLiteral = cast<RankedTensorType>(sum.getType()).getElementType().isBF16();
    if (down.getBf16Weight() != isLiteral)
      return rewriter.notifyMatchFailure(sum, "weight and sum are of different numerics");

    rewriter.replaceOpWithNewOp<FusedDownCombineOp>(
        sum, sum.getType(), down.getX(), down.getWeight(), sum.getGates(), sum.getExperts());
    rewriter.eraseOp(down);
    ++numFused;
    return success();
  }

private:
  Pass::Statistic &numFused;
};

struct FuseDownCombine : grok::impl::FuseDownCombineBase<FuseDownCombine> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<MergeDownAndSum>(&getContext(), numFused);
    if (failed(applyFusionPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
