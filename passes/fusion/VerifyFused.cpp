// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The end of the fusion phase: a kernel exists for every grok op that is left.
#include "passes/fusion/Passes.h"

#include "mlir/Dialect/Shard/IR/ShardOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_VERIFYFUSED
#include "passes/fusion/Passes.h.inc"
} // namespace grok

static LogicalResult expectFused(Operation *op, StringRef fused, StringRef pass) {
  return op->emitOpError() << "expects to be part of " << fused
                           << ": no kernel computes it alone, and " << pass << " did not take it";
}

/// Whether `value` holds the rows that want logits, as chosen or normed.
static bool areChosenRows(Value value) {
  if (auto norm = value.getDefiningOp<RMSNormOp>())
    return areChosenRows(norm.getX());
  return value.getDefiningOp<LogitRowsOp>() != nullptr;
}

/// No kernel stores chosen rows: norms work on every row, and that of unembed
/// walks the rows that the step names.
static LogicalResult verifyChosenRows(Operation *op) {
  for (Operation *user : op->getUsers())
    if (!isa<RMSNormOp, UnembedOp>(user)) {
      InFlightDiagnostic error = op->emitOpError(
          "expects only grok.rms_norm and grok.unembed after grok.logit_rows: no kernel stores "
          "the chosen rows");
      error.attachNote(user->getLoc()) << "also used here";
      return error;
    }
  return success();
}

static LogicalResult verifyNorm(RMSNormOp op) {
  return areChosenRows(op.getResult()) ? verifyChosenRows(op) : success();
}

static LogicalResult verifyUnembed(UnembedOp op) {
  if (areChosenRows(op.getX()))
    return success();
  return op->emitOpError("expects grok.logit_rows before it: its kernel computes those rows alone");
}

static LogicalResult verifyAttention(AttentionOp op) {
  if (cast<RankedTensorType>(op.getType()).getElementType().isBF16())
    return success();
  return op->emitOpError("expects the flash form for float32 activations: the two-pass kernel "
                         "exists for bf16 alone, and grok-fuse-attention did not change it");
}

/// Whether the outputs of experts are completed over ranks before they are
/// weighed (`grok.reproducible`): then matmul and sum are kernels of their own.
static bool isCompletedApart(CombineOp sum) {
  return sum.getX().getDefiningOp<shard::AllReduceOp>() != nullptr;
}

static bool isCompletedApart(ExpertMatmulOp down) {
  return llvm::all_of(down->getUsers(), [](Operation *user) {
    return isa<shard::AllReduceOp>(user) &&
           llvm::all_of(user->getUsers(), llvm::IsaPred<CombineOp>);
  });
}

/// `kernels` counts the ops that a kernel stands for.
static LogicalResult verifyHasKernel(Operation *op, Pass::Statistic &kernels) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<EmbedOp, LinearOp, RouteOp, LocalExpertsOp, LocalTokensOp, CutColumnsOp>(
          [&](auto) { return ++kernels, success(); })
      .Case<FusedInterface>([&](auto) { return ++kernels, success(); })
      .Case([&](AttentionOp attention) { return ++kernels, verifyAttention(attention); })
      .Case([&](UnembedOp unembed) { return ++kernels, verifyUnembed(unembed); })
      .Case([&](RMSNormOp norm) { return ++kernels, verifyNorm(norm); })
      .Case([](LogitRowsOp rows) { return verifyChosenRows(rows); })
      .Case([](WeightOp) { return success(); })
      .Case<RopeOp, CacheWriteOp>(
          [&](auto) { return expectFused(op, "grok.fused_qkv", "grok-fuse-attention"); })
      .Case<GeluGateOp>(
          [&](auto) { return expectFused(op, "grok.fused_gate_up", "grok-fuse-gating"); })
      .Case([&](CombineOp sum) {
        if (isCompletedApart(sum))
          return ++kernels, success();
        return expectFused(op, "grok.fused_down_combine", "grok-fuse-down-combine");
      })
      .Case([&](ExpertMatmulOp down) {
        if (isCompletedApart(down))
          return ++kernels, success();
        return expectFused(op, "grok.fused_gate_up or grok.fused_down_combine",
                           "neither grok-fuse-gating nor grok-fuse-down-combine");
      })
      .Case<AddOp>(
          [&](auto) { return expectFused(op, "grok.fused_residual_norm", "grok-fuse-residual"); })
      .Default([](Operation *other) {
        return other->emitOpError("expects to be gone after fusion: no kernel computes it");
      });
}

namespace {

struct VerifyFused : grok::impl::VerifyFusedBase<VerifyFused> {
  void runOnOperation() override {
    bool isFused = true;
    getOperation()->walk([&](Operation *op) {
      if (isa_and_nonnull<GrokDialect>(op->getDialect()))
        isFused &= succeeded(verifyHasKernel(op, numKernelOps));
    });
    if (!isFused)
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace
