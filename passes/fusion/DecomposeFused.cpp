// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Replaces every fused op by the plain ops that define it.
#include "passes/fusion/Passes.h"
#include "passes/fusion/Rewriting.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_DECOMPOSEFUSED
#include "passes/fusion/Passes.h.inc"
} // namespace grok

namespace {

struct Decompose : OpInterfaceRewritePattern<FusedInterface> {
  Decompose(MLIRContext *context, Pass::Statistic &numDecomposed)
      : OpInterfaceRewritePattern(context), numDecomposed(numDecomposed) {}

  LogicalResult matchAndRewrite(FusedInterface op, PatternRewriter &rewriter) const override {
    rewriter.replaceOp(op, op.decompose(rewriter));
    ++numDecomposed;
    return success();
  }

private:
  Pass::Statistic &numDecomposed;
};

struct DecomposeFused : grok::impl::DecomposeFusedBase<DecomposeFused> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<Decompose>(&getContext(), numDecomposed);
    if (failed(applyFusionPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
