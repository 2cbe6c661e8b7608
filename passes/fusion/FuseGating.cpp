// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merges gate and up expert matmuls with the GELU between them.
#include "passes/fusion/Passes.h"
#include "passes/fusion/Rewriting.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_FUSEGATING
#include "passes/fusion/Passes.h.inc"
} // namespace grok

/// Whether `matmul` is what one half of grok.fused_gate_up means: one row per
/// token, rounded to the row's own type.
static bool isHalf(ExpertMatmulOp matmul) {
  auto x = cast<RankedTensorType>(matmul.getX().getType());
  auto result = cast<RankedTensorType>(matmul.getResult().getType());
  return x.getRank() == 2 && !matmul.getBf16Weight() &&
         x.getElementType() == result.getElementType();
}

namespace {

struct MergeGateAndUp : OpRewritePattern<GeluGateOp> {
  MergeGateAndUp(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(GeluGateOp gelu, PatternRewriter &rewriter) const override {
    auto gate = gelu.getGate().getDefiningOp<ExpertMatmulOp>();
    auto up = gelu.getUp().getDefiningOp<ExpertMatmulOp>();
    if (!gate || !up || !gate->hasOneUse() || !up->hasOneUse())
      return rewriter.notifyMatchFailure(gelu, "gate or up comes from, or goes, elsewhere");
    if (gate.getX() != up.getX() || gate.getExperts() != up.getExperts())
      return rewriter.notifyMatchFailure(gelu, "gate and up read different rows or experts");
    if (!isHalf(gate) || !isHalf(up))
      return rewriter.notifyMatchFailure(gelu, "gate or up does not round to x's type");
    auto gateType = cast<RankedTensorType>(gate.getWeight().getType());
    auto upType = cast<RankedTensorType>(up.getWeight().getType());
    if (gateType.getShape() != upType.getShape())
      return rewriter.notifyMatchFailure(gelu, "gate and up have different numbers of experts");

    rewriter.replaceOpWithNewOp<FusedGateUpOp>(gelu, gelu.getType(), gate.getX(), gate.getWeight(),
                                               up.getWeight(), gate.getExperts());
    rewriter.eraseOp(gate);
    rewriter.eraseOp(up);
    ++numFused;
    return success();
  }

private:
  Pass::Statistic &numFused;
};

struct FuseGating : grok::impl::FuseGatingBase<FuseGating> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<MergeGateAndUp>(&getContext(), numFused);
    if (failed(applyFusionPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
