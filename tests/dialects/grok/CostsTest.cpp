// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CostInterface against numbers counted by hand.
#include "dialects/grok/GrokDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace grok;

namespace {

// 3 rows, each seeing 10 keys.
constexpr int64_t rows = 3;
constexpr int64_t context = 10;

const char *const module = R"mlir(
!codes = tensor<8x4xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>
!experts = tensor<4x8x6xi8, #grok.format<bits = 8, group_rows = 8, scale = bf16>>
!nibbles = tensor<4x6x8xi8, #grok.format<bits = 4, group_rows = 2, scale = bf16>>
!cache = !grok.cache<2 x 1 x 16, bf16>
func.func @ops(%tokens: tensor<?xi32>, %table: tensor<16x8xf32>, %x: tensor<?x8xf32>, %s: tensor<8xf32>,
               %w: !codes, %q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %wq: tensor<8x32xf32>,
               %wk: tensor<8x16xf32>, %wr: tensor<8x4xf32>, %wg: !experts, %wd: !nibbles,
               %c: !cache, %step: !grok.step) {
  %0 = grok.weight "w" : !codes
  %1 = grok.dequantize %w : !codes -> tensor<8x4xbf16>
  %2 = grok.embed %tokens, %table {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<16x8xf32> -> tensor<?x8xf32>
  %3 = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %4 = grok.linear %x, %w : tensor<?x8xf32>, !codes -> tensor<?x4xf32>
  %5 = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x32xf32>
  %6 = grok.cache_write %c, %k, %k, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  %7 = grok.attention %q, %c, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x32xf32>, !cache
  %8, %9 = grok.route %x, %wr : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x1xf32>, tensor<?x1xi32>
  %10 = grok.expert_matmul %x, %wg, %9 : tensor<?x8xf32>, !experts, tensor<?x1xi32> -> tensor<?x1x6xf32>
  %11 = grok.gelu_gate %10, %10 : tensor<?x1x6xf32> -> tensor<?x1x6xf32>
  %12 = grok.expert_matmul %11, %wd, %9 : tensor<?x1x6xf32>, !nibbles, tensor<?x1xi32> -> tensor<?x1x8xf32>
  %13 = grok.combine %12, %8, %9 : tensor<?x1x8xf32>, tensor<?x1xf32>, tensor<?x1xi32> -> tensor<?x8xf32>
  %14 = grok.add %x, %13 : tensor<?x8xf32>
  %15 = grok.logit_rows %14, %step : tensor<?x8xf32>
  %16 = grok.unembed %15, %table {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  %17, %18 = grok.fused_qkv %x norm %s weights %wq, %wk, %wk cache %c, %tokens, %step
      {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
      : tensor<?x8xf32> norm tensor<8xf32>, tensor<8x32xf32>, tensor<8x16xf32>, tensor<8x16xf32>, !cache, tensor<?xi32> -> tensor<?x32xf32>
  %19 = grok.flash_attention %q, %c, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x32xf32>, !cache
  %20 = grok.fused_gate_up %x, %wg, %wg, %9 : tensor<?x8xf32>, !experts, !experts, tensor<?x1xi32> -> tensor<?x1x6xf32>
  %21 = grok.fused_down_combine %20, %wd, %8, %9 : tensor<?x1x6xf32>, !nibbles, tensor<?x1xf32>, tensor<?x1xi32> -> tensor<?x8xf32>
  %22, %23 = grok.fused_residual_norm %x, %21, %s, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %24 = grok.local_experts %9 {axis = "ep", count = 2 : i64} : tensor<?x1xi32>
  %25 = grok.local_tokens %tokens {axis = "tp", count = 8 : i64} : tensor<?xi32>
  %26 = grok.cut_columns %x : tensor<?x8xf32> -> tensor<?x7xf32>
  return
}
)mlir";

class CostsTest : public testing::Test {
protected:
  CostsTest() {
    context.loadDialect<GrokDialect, func::FuncDialect>();
    ops = parseSourceString<ModuleOp>(module, &context);
  }

  // Of the n-th op (from 0) of type OpType.
  template <typename OpType> Cost costOf(int n = 0) {
    Cost cost;
    int seen = 0;
    ops->walk([&](OpType op) {
      if (seen++ == n)
        cost = cast<CostInterface>(op.getOperation()).getCost(rows, ::context);
    });
    EXPECT_GT(seen, n);
    return cost;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> ops;
};

void expectCost(const Cost &cost, int weights, int activations, int cache, int flops) {
  EXPECT_EQ(cost.weightBytes, weights);
  EXPECT_EQ(cost.activationBytes, activations);
  EXPECT_EQ(cost.cacheBytes, cache);
  EXPECT_EQ(cost.flops, flops);
}

} // namespace

TEST_F(CostsTest, OfWeights) {
  expectCost(costOf<WeightOp>(), 0, 0, 0, 0);
  // 32 codes, 2 groups x 4 columns of bf16 scales; 32 bf16 values.
  expectCost(costOf<DequantizeOp>(), 32 + 16, 64, 0, 32);
}

TEST_F(CostsTest, OfRowwiseOps) {
  expectCost(costOf<EmbedOp>(), 3 * 32, 3 * 4 + 3 * 32, 0, 24);
  expectCost(costOf<RMSNormOp>(), 32, 2 * 96, 0, 4 * 24);
  expectCost(costOf<RopeOp>(), 0, 2 * 3 * 128, 0, 3 * 96);
  expectCost(costOf<AddOp>(), 0, 3 * 96, 0, 24);
  expectCost(costOf<LogitRowsOp>(), 0, 2 * 96, 0, 0);
}

TEST_F(CostsTest, OfMatrices) {
  expectCost(costOf<LinearOp>(), 48, 96 + 48, 0, 2 * 3 * 8 * 4);
  expectCost(costOf<UnembedOp>(), 16 * 8 * 4, 96 + 192, 0, 2 * 3 * 8 * 16 + 48);
  expectCost(costOf<RouteOp>(), 128, 96 + 12 + 12, 0, 2 * 3 * 8 * 4);
}

TEST_F(CostsTest, OfAttention) {
  // A row's keys and values: 2 x 16 x 2 bytes. Two heads of 16.
  expectCost(costOf<CacheWriteOp>(), 0, 2 * 192 + 12, 3 * 64, 0);
  expectCost(costOf<AttentionOp>(), 0, 2 * 384, 30 * 64, 30 * (4 * 32 + 8 * 2));
  expectCost(costOf<FlashAttentionOp>(), 0, 2 * 384, 30 * 64, 30 * (4 * 32 + 8 * 2));
  expectCost(costOf<FusedQKVOp>(), 8 * (32 + 16 + 16) * 4 + 32, 96 + 12 + 384, 3 * 64,
             2 * 3 * 8 * 64 + 4 * 24 + 3 * 3 * 48);
}

TEST_F(CostsTest, OfExpertsThatTheRowsCanSelect) {
  // One expert: 48 codes and 6 scales; three rows select three of four.
  expectCost(costOf<ExpertMatmulOp>(0), 3 * (48 + 12), 96 + 12 + 72, 0, 2 * 3 * 48);
  // 4-bit codes, two to a byte; 3 groups x 8 columns of scales.
  expectCost(costOf<ExpertMatmulOp>(1), 3 * (24 + 48), 72 + 12 + 96, 0, 2 * 3 * 48);
  expectCost(costOf<GeluGateOp>(), 0, 3 * 72, 0, 9 * 18);
  expectCost(costOf<CombineOp>(), 0, 96 + 12 + 12 + 96, 0, 2 * 24);
}

TEST_F(CostsTest, OfFusedExperts) {
  expectCost(costOf<FusedGateUpOp>(), 2 * 3 * 60, 96 + 12 + 72, 0, 2 * 288 + 9 * 18);
  expectCost(costOf<FusedDownCombineOp>(), 3 * 72, 72 + 12 + 12 + 96, 0, 288 + 2 * 24);
  expectCost(costOf<FusedResidualNormOp>(), 64, 4 * 96, 0, 2 * 96 + 24);
}

TEST_F(CostsTest, OfWhatRanksNeedBesides) {
  expectCost(costOf<LocalExpertsOp>(), 0, 2 * 12, 0, 0);
  expectCost(costOf<LocalTokensOp>(), 0, 2 * 12, 0, 0);
  expectCost(costOf<CutColumnsOp>(), 0, 2 * 84, 0, 0);
}

TEST_F(CostsTest, NeverCountsMoreExpertsThanThereAre) {
  Cost many;
  ops->walk([&](FusedGateUpOp op) { many = op.getCost(/*rows=*/100, ::context); });
  EXPECT_EQ(many.weightBytes, 2 * 4 * 60);
}
