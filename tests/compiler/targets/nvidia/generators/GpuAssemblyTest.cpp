// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels at the shapes of Grok-1 through NVIDIA's assembler, for every chip: one
// that spills registers is an error of compileNvidiaKernels.
#include "compiler/targets/nvidia/NvidiaKernels.h"
#include "tests/compiler/targets/nvidia/generators/Grok1.h"
#include <gtest/gtest.h>

namespace grok::compiler {

static KernelSpec grok1(KernelOp op, int64_t maxRows) {
  KernelSpec spec = testing::grok1Shapes(op);
  spec.maxRows = maxRows;
  spec.weight =
      WeightFormat::forContraction(WeightFormat::Element::i8, spec.emb, 1, Numerics::fast);
  return spec;
}

static void assemble(const std::vector<KernelSpec> &specs) {
  if (!Ptxas::find())
    GTEST_SKIP() << "no ptxas";
  std::vector<NamedKernelSpec> kernels;
  for (const KernelSpec &spec : specs)
    kernels.push_back({nameOf(spec.op) + ("_" + std::to_string(kernels.size())), spec});
  auto code = compileNvidiaKernels(kernels, {"sm_80", "sm_90a", "sm_100a"}, {});
  ASSERT_TRUE(code) << code.error();
  for (const NvidiaChipCode &chip : code->chips)
    for (const NvidiaKernel &kernel : chip.kernels) {
      EXPECT_FALSE(kernel.cubin.empty());
      EXPECT_EQ(kernel.report.stackBytes, 0) << kernel.report.text;
      EXPECT_LE(kernel.report.registers * kernel.shape.threads, 64 * 1024);
    }
}

TEST(GpuAssembly, norms) {
  KernelSpec parts = grok1(KernelOp::residualNorm, 512);
  parts.parts = 8;
  assemble({grok1(KernelOp::rmsNorm, 512), grok1(KernelOp::residualNorm, 1), parts,
            grok1(KernelOp::combine, 512)});
}

TEST(GpuAssembly, embed) {
  KernelSpec half = grok1(KernelOp::embed, 512), local = grok1(KernelOp::embed, 1);
  half.weight = WeightFormat::forContraction(WeightFormat::Element::bf16, half.emb);
  local.vocab = 16384;
  local.localTokens = 1;
  assemble({grok1(KernelOp::embed, 512), half, local});
}

TEST(GpuAssembly, routing) {
  assemble(
      {grok1(KernelOp::route, 512), grok1(KernelOp::group, 512), grok1(KernelOp::mapExperts, 512)});
}

TEST(GpuAssembly, quantize) {
  KernelSpec pairs = grok1(KernelOp::quantize, 512);
  pairs.in = pairs.ffn;
  pairs.selected = 2;
  assemble({grok1(KernelOp::quantize, 512), pairs});
}

static KernelSpec sampling() {
  KernelSpec spec = grok1(KernelOp::sample, 512);
  spec.out = spec.vocab;
  return spec;
}

TEST(GpuAssembly, sample) { assemble({sampling()}); }

// Tokens are the host's only if no product is fused with a sum.
TEST(GpuAssembly, sampleRoundsProducts) {
  NvidiaOptions options;
  options.assemble = false;
  auto code = compileNvidiaKernels({NamedKernelSpec{"s", sampling()}}, {"sm_90a"}, options);
  ASSERT_TRUE(code) << code.error();
  EXPECT_EQ(code->chips[0].kernels[0].ptx.find("fma."), std::string::npos);
}

TEST(GpuAssembly, exchange) { assemble({grok1(KernelOp::exchange, 512)}); }

TEST(GpuAssembly, merge) { assemble({grok1(KernelOp::merge, 512)}); }

TEST(GpuAssembly, exchangeNorm) { assemble({grok1(KernelOp::exchangeNorm, 2)}); }

// A word and its number must go together.
TEST(GpuAssembly, exchangesMoveEightBytesAtOnce) {
  NvidiaOptions options;
  options.assemble = false;
  const std::vector<NamedKernelSpec> specs = {{"s", grok1(KernelOp::exchange, 512)},
                                              {"n", grok1(KernelOp::exchangeNorm, 2)}};
  auto code = compileNvidiaKernels(specs, {"sm_80", "sm_90a"}, options);
  ASSERT_TRUE(code) << code.error();
  for (const NvidiaChipCode &chip : code->chips)
    for (const NvidiaKernel &kernel : chip.kernels) {
      EXPECT_NE(kernel.ptx.find("st.volatile.global.b64"), std::string::npos);
      EXPECT_NE(kernel.ptx.find("ld.volatile.global.b64"), std::string::npos);
    }
}

static KernelSpec attention(int64_t maxRows, CacheElement kv) {
  KernelSpec spec = grok1(KernelOp::attention, maxRows);
  spec.kv = kv;
  spec.numerics = kv == CacheElement::f32 ? Numerics::f32 : Numerics::fast;
  spec.multiplier = 0.08838834764831845;
  spec.softcap = 30;
  return spec;
}

TEST(GpuAssembly, attention) {
  std::vector<KernelSpec> specs;
  for (int64_t maxRows : {1, 512})
    for (CacheElement kv :
         {CacheElement::f32, CacheElement::bf16, CacheElement::i8, CacheElement::e4m3})
      specs.push_back(attention(maxRows, kv));
  assemble(specs);
}

// One token: a tile for each key head and slice of the longest context, more than a
// GPU has multiprocessors; keys come by asynchronous copies, products from tensor cores.
TEST(GpuAssembly, attentionOfOneTokenFillsTheGpu) {
  NvidiaOptions options;
  options.assemble = false;
  auto code = compileNvidiaKernels({NamedKernelSpec{"a", attention(1, CacheElement::bf16)}},
                                   {"sm_90a"}, options);
  ASSERT_TRUE(code) << code.error();
  const NvidiaKernel &kernel = code->chips[0].kernels[0];
  EXPECT_EQ(kernel.shape.maxBlocks, 8 * 32);
  for (const char *instruction :
       {"cp.async.cg.shared.global", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        "ldmatrix.sync.aligned.m8n8.x2.trans", "ex2.approx.ftz.f32", "atom"})
    EXPECT_NE(kernel.ptx.find(instruction), std::string::npos) << instruction;
}

// The ring of the attention's output projection fills while it attends: both blocks and what
// the system keeps of each fit into a multiprocessor (CUDA C++ Programming Guide, "Compute
// Capabilities": 228 KiB, 1 KiB a block).
TEST(GpuAssembly, attentionOfOneTokenLeavesRoomForTheNextLaunch) {
  NvidiaOptions options;
  options.assemble = false;
  KernelSpec output = grok1(KernelOp::linear, 1);
  output.weight =
      WeightFormat::forContraction(WeightFormat::Element::i8, output.in, 8, Numerics::fast);
  output.digits = 2;
  for (CacheElement kv : {CacheElement::bf16, CacheElement::i8, CacheElement::e4m3}) {
    auto code = compileNvidiaKernels({{"a", attention(1, kv)}, {"o", output}},
                                     {"sm_90a", "sm_100a"}, options);
    ASSERT_TRUE(code) << code.error();
    for (const NvidiaChipCode &chip : code->chips)
      EXPECT_LE(chip.kernels[0].shape.sharedBytes + chip.kernels[1].shape.sharedBytes + 2 * 1024,
                228 * 1024)
          << chip.chip << " " << nameOf(kv);
  }
}

} // namespace grok::compiler
