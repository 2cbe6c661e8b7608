// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folds and canonicalizations: a matrix is read as it is stored wherever the op
// itself does the same rounding.
#include "dialects/grok/GrokDialect.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace grok;

static bool isBF16(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementType().isBF16();
}

OpFoldResult DequantizeOp::fold(FoldAdaptor) {
  return getCodes().getType() == getResult().getType() ? getCodes() : OpFoldResult();
}

OpFoldResult CutColumnsOp::fold(FoldAdaptor) {
  return getX().getType() == getResult().getType() ? getX() : OpFoldResult();
}

namespace {

// linear(x, dequantize(w)) -> linear(x, w), where x's type asks for the same
// rounding of w as the dequantize did.
struct ReadStoredMatrix : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    auto dequantize = op.getWeight().getDefiningOp<DequantizeOp>();
    if (!dequantize)
      return rewriter.notifyMatchFailure(op, "the matrix is not dequantised");
    if (isBF16(op.getX()) != isBF16(dequantize.getResult()))
      return rewriter.notifyMatchFailure(op, "the matrix is rounded otherwise");
    rewriter.modifyOpInPlace(op, [&] { op.getWeightMutable().assign(dequantize.getCodes()); });
    return success();
  }
};

// The same for experts. A float32 x with a matrix rounded to bf16 is what
// `bf16_weight` says.
struct ReadStoredExperts : OpRewritePattern<ExpertMatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ExpertMatmulOp op, PatternRewriter &rewriter) const override {
    auto dequantize = op.getWeight().getDefiningOp<DequantizeOp>();
    if (!dequantize)
      return rewriter.notifyMatchFailure(op, "the matrix is not dequantised");
    bool isRounded = isBF16(dequantize.getResult());
    if (!isRounded && (isBF16(op.getX()) || op.getBf16Weight()))
      return rewriter.notifyMatchFailure(op, "the matrix is rounded twice");
    rewriter.modifyOpInPlace(op, [&] {
      op.getWeightMutable().assign(dequantize.getCodes());
      op.setBf16Weight(isRounded && !isBF16(op.getX()));
    });
    return success();
  }
};

} // namespace

void LinearOp::getCanonicalizationPatterns(RewritePatternSet &results, MLIRContext *context) {
  results.add<ReadStoredMatrix>(context);
}

void ExpertMatmulOp::getCanonicalizationPatterns(RewritePatternSet &results, MLIRContext *context) {
  results.add<ReadStoredExperts>(context);
}
