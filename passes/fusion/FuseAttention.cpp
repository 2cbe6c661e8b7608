// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merges what happens before the cache into one op, and gives attention its
// flash form where no rounding of the literal mode stands in the way.
#include "passes/fusion/Passes.h"
#include "passes/fusion/Rewriting.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_FUSEATTENTION
#include "passes/fusion/Passes.h.inc"
} // namespace grok

static Type elementOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementType();
}

namespace {

/// The three projections of one attention block and what follows them.
struct Projections {
  LinearOp query, key, value;
  RopeOp queryRope, keyRope;
};

} // namespace

static bool areSameRotation(RopeOp first, RopeOp second) {
  return first.getStep() == second.getStep() && first.getHeadDim() == second.getHeadDim() &&
         first.getBaseAttr() == second.getBaseAttr();
}

/// The rotated projection of `x` that is neither key nor value; null if there
/// is none or more than one.
static RopeOp findQueryRope(LinearOp key, LinearOp value, RopeOp keyRope) {
  RopeOp found;
  for (Operation *user : key.getX().getUsers()) {
    auto linear = dyn_cast<LinearOp>(user);
    if (!linear || linear == key || linear == value || !linear->hasOneUse())
      continue;
    auto rope = dyn_cast<RopeOp>(*linear->user_begin());
    if (!rope || !areSameRotation(rope, keyRope))
      continue;
    if (found)
      return nullptr;
    found = rope;
  }
  return found;
}

/// Walks back from the cache write. Every step on the way must have no other
/// user: it will not exist any more.
static FailureOr<Projections> findProjections(CacheWriteOp write, PatternRewriter &rewriter) {
  Projections found;
  found.keyRope = write.getKeys().getDefiningOp<RopeOp>();
  found.value = write.getValues().getDefiningOp<LinearOp>();
  if (!found.keyRope || !found.value || !found.keyRope->hasOneUse() || !found.value->hasOneUse())
    return rewriter.notifyMatchFailure(write, "keys or values come from, or go, elsewhere");
  found.key = found.keyRope.getX().getDefiningOp<LinearOp>();
  if (!found.key || !found.key->hasOneUse())
    return rewriter.notifyMatchFailure(write, "the key projection is used elsewhere");
  if (found.key.getX() != found.value.getX())
    return rewriter.notifyMatchFailure(write, "keys and values are projections of two inputs");
  if (found.keyRope.getStep() != write.getStep())
    return rewriter.notifyMatchFailure(write, "keys are rotated and written for two steps");
  if (static_cast<int64_t>(found.keyRope.getHeadDim()) != write.getCache().getType().getHeadDim())
    return rewriter.notifyMatchFailure(write, "keys are rotated by another head size");
  found.queryRope = findQueryRope(found.key, found.value, found.keyRope);
  if (!found.queryRope)
    return rewriter.notifyMatchFailure(write, "no single query projection rotates alike");
  found.query = found.queryRope.getX().getDefiningOp<LinearOp>();
  if (found.queryRope->getBlock() != write->getBlock())
    return rewriter.notifyMatchFailure(write, "the query is made in another block");
  return found;
}

namespace {

struct MergeProjections : OpRewritePattern<CacheWriteOp> {
  MergeProjections(MLIRContext *context, Pass::Statistic &numProjections, Pass::Statistic &numNorms)
      : OpRewritePattern(context), numProjections(numProjections), numNorms(numNorms) {}

  LogicalResult matchAndRewrite(CacheWriteOp write, PatternRewriter &rewriter) const override {
    FailureOr<Projections> found = findProjections(write, rewriter);
    if (failed(found))
      return failure();
    Value x = found->key.getX();
    for (LinearOp linear : {found->query, found->key, found->value})
      if (elementOf(linear.getResult()) != elementOf(x))
        return rewriter.notifyMatchFailure(write, "a projection is not rounded to x's type");
    FloatAttr eps = epsOf(x);
    if (!eps)
      return rewriter.notifyMatchFailure(write, "x does not come from a norm");
    // At the later of the two ends every operand is defined.
    Operation *end = write;
    if (write->isBeforeInBlock(found->queryRope))
      end = found->queryRope;
    if (!isOnlyUsedFrom(write.getResult(), end) ||
        !isOnlyUsedFrom(found->queryRope.getResult(), end))
      return rewriter.notifyMatchFailure(write, "a result is used before the other is made");

    merge(write, *found, eps, end, rewriter);
    ++numProjections;
    return success();
  }

private:
  static FloatAttr epsOf(Value x) {
    if (auto norm = x.getDefiningOp<RMSNormOp>())
      return norm.getEpsAttr();
    auto fused = x.getDefiningOp<FusedResidualNormOp>();
    return fused ? fused.getEpsAttr() : FloatAttr();
  }

  void merge(CacheWriteOp write, Projections &found, FloatAttr eps, Operation *end,
             PatternRewriter &rewriter) const {
    Value x = found.key.getX();
    // Three uses are the three projections.
    auto norm = x.hasNUses(3) ? x.getDefiningOp<RMSNormOp>() : RMSNormOp();
    rewriter.setInsertionPoint(end);
    auto fused = FusedQKVOp::create(
        rewriter, write.getLoc(), found.queryRope.getType(), write.getType(),
        norm ? norm.getX() : x, norm ? norm.getScale() : Value(), found.query.getWeight(),
        found.key.getWeight(), found.value.getWeight(), write.getCache(), write.getTokens(),
        write.getStep(), write.getLayerAttr(), found.keyRope.getHeadDimAttr(),
        found.keyRope.getBaseAttr(), eps);
    rewriter.replaceOp(write, fused.getUpdated());
    rewriter.replaceOp(found.queryRope, fused.getRotated());
    for (Operation *op : {found.keyRope.getOperation(), found.query.getOperation(),
                          found.key.getOperation(), found.value.getOperation()})
      rewriter.eraseOp(op);
    if (norm) {
      rewriter.eraseOp(norm);
      ++numNorms;
    }
  }

  Pass::Statistic &numProjections;
  Pass::Statistic &numNorms;
};

struct ChooseFlash : OpRewritePattern<AttentionOp> {
  ChooseFlash(MLIRContext *context, int64_t keySlice, Pass::Statistic &numFlash)
      : OpRewritePattern(context), keySlice(keySlice), numFlash(numFlash) {}

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!elementOf(op.getQuery()).isF32())
      return rewriter.notifyMatchFailure(op, "rounds the normalised weights: needs two passes");
    rewriter.replaceOpWithNewOp<FlashAttentionOp>(
        op, op.getType(), op.getQuery(), op.getCache(), op.getStep(), op.getLayerAttr(),
        op.getMultiplierAttr(), op.getSoftcapAttr(), rewriter.getI64IntegerAttr(keySlice));
    ++numFlash;
    return success();
  }

private:
  int64_t keySlice;
  Pass::Statistic &numFlash;
};

struct FuseAttention : grok::impl::FuseAttentionBase<FuseAttention> {
  using FuseAttentionBase::FuseAttentionBase;

  LogicalResult initialize(MLIRContext *context) override {
    if (keySlice >= 1)
      return success();
    return emitError(UnknownLoc::get(context))
           << getArgument() << " expects a positive key-slice, found " << keySlice.getValue();
  }

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<MergeProjections>(&getContext(), numProjections, numNorms);
    patterns.add<ChooseFlash>(&getContext(), keySlice, numFlash);
    if (failed(applyFusionPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
