// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Matrix kernels at the shapes of Grok-1: through NVIDIA's assembler for every chip,
// where one that spills is an error of compileNvidiaKernels; and what their PTX must
// hold.
#include "compiler/targets/nvidia/NvidiaKernels.h"
#include "tests/compiler/targets/nvidia/generators/Grok1.h"
#include <gtest/gtest.h>

namespace grok::compiler {

using Element = WeightFormat::Element;

namespace {

struct Format {
  Element element;
  int64_t group = 0; // of multipliers
};

} // namespace

static KernelSpec grok1(KernelOp op, const Format &format, Numerics numerics, int64_t maxRows) {
  KernelSpec spec = testing::grok1Shapes(op);
  spec.numerics = numerics;
  spec.maxRows = maxRows;
  spec.multiplier = 0.57735026918962576;
  const bool isFloat = format.element == Element::f32 || format.element == Element::bf16;
  const bool hasGroups = op == KernelOp::linear || op == KernelOp::downCombine;
  spec.weight = WeightFormat::forContraction(format.element, contractionOf(spec),
                                             hasGroups && !isFloat ? 8 : 1, numerics, format.group);
  return spec;
}

static NvidiaCode compile(const std::vector<KernelSpec> &specs, bool assemble,
                          const std::vector<std::string> &chips = {"sm_80", "sm_90a", "sm_100a"}) {
  std::vector<NamedKernelSpec> kernels;
  for (const KernelSpec &spec : specs)
    kernels.push_back({nameOf(spec.op) + ("_" + std::to_string(kernels.size())), spec});
  NvidiaOptions options;
  options.assemble = assemble;
  auto code = compileNvidiaKernels(kernels, chips, options);
  EXPECT_TRUE(code) << code.error();
  return code ? std::move(*code) : NvidiaCode();
}

// `rowCounts`: up to how many rows the kernels are for.
static void assemble(Numerics numerics, const std::vector<Format> &formats,
                     const std::vector<int64_t> &rowCounts = {1, 8, 16, 512}, int64_t digits = 1) {
  if (!Ptxas::find())
    GTEST_SKIP() << "no ptxas";
  std::vector<KernelSpec> specs;
  for (const Format &format : formats)
    for (int64_t maxRows : rowCounts)
      for (KernelOp op :
           {KernelOp::linear, KernelOp::qkv, KernelOp::gateUp, KernelOp::downCombine}) {
        specs.push_back(grok1(op, format, numerics, maxRows));
        specs.back().digits = digits;
      }
  NvidiaCode code = compile(specs, /*assemble=*/true);
  for (const NvidiaChipCode &chip : code.chips)
    for (const NvidiaKernel &kernel : chip.kernels) {
      EXPECT_FALSE(kernel.cubin.empty());
      EXPECT_EQ(kernel.report.stackBytes, 0) << kernel.report.text;
      EXPECT_LE(kernel.report.registers * kernel.shape.threads, 64 * 1024);
    }
}

TEST(MatmulAssembly, bytes) { assemble(Numerics::fast, {{Element::i8}}); }
TEST(MatmulAssembly, fourBits) { assemble(Numerics::fast, {{Element::i4, 32}, {Element::i4, 64}}); }
TEST(MatmulAssembly, threeBits) {
  assemble(Numerics::fast, {{Element::i3, 32}, {Element::i3, 64}});
}
static void assembleTwoDigits(const Format &format) {
  assemble(Numerics::fast, {format}, {1, 8, 16, 64}, 2);
}

TEST(MatmulAssembly, bytesOfTwoDigits) { assembleTwoDigits({Element::i8}); }
TEST(MatmulAssembly, fourBitsOfTwoDigits) { assembleTwoDigits({Element::i4, 64}); }
TEST(MatmulAssembly, threeBitsOfTwoDigits) { assembleTwoDigits({Element::i3, 64}); }
TEST(MatmulAssembly, halves) { assemble(Numerics::fast, {{Element::bf16}}); }
TEST(MatmulAssembly, floats) {
  assemble(Numerics::f32, {{Element::f32}, {Element::bf16}, {Element::i8}, {Element::i4, 64}});
}

TEST(MatmulAssembly, codesOfEightBitsInTheCacheAndLogits) {
  if (!Ptxas::find())
    GTEST_SKIP() << "no ptxas";
  std::vector<KernelSpec> specs;
  for (int64_t maxRows : {1, 512}) {
    for (CacheElement kv : {CacheElement::i8, CacheElement::e4m3}) {
      specs.push_back(grok1(KernelOp::qkv, {Element::i8}, Numerics::fast, maxRows));
      specs.back().kv = kv;
    }
    specs.push_back(grok1(KernelOp::unembed, {Element::i8}, Numerics::fast, maxRows));
    specs.push_back(grok1(KernelOp::unembed, {Element::bf16}, Numerics::fast, maxRows));
  }
  for (int64_t maxRows : {8, 64})
    for (KernelOp op : {KernelOp::qkv, KernelOp::unembed}) {
      specs.push_back(grok1(op, {Element::i8}, Numerics::fast, maxRows));
      specs.back().kv = CacheElement::i8;
      specs.back().digits = 2;
    }
  compile(specs, /*assemble=*/true);
}

static size_t count(const std::string &text, const std::string &part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

// Weights come 16 bytes a lane, and meet tensor cores without being widened.
TEST(MatmulAssembly, usesTensorCoresAndWideLoads) {
  KernelSpec bytes = grok1(KernelOp::gateUp, {Element::i8}, Numerics::fast, 1);
  KernelSpec codes = grok1(KernelOp::gateUp, {Element::i4, 64}, Numerics::fast, 1);
  KernelSpec halves = grok1(KernelOp::gateUp, {Element::bf16}, Numerics::fast, 1);
  NvidiaCode code = compile({bytes, codes, halves}, /*assemble=*/false);
  for (const NvidiaChipCode &chip : code.chips) {
    ASSERT_EQ(chip.kernels.size(), 3u);
    for (const NvidiaKernel &kernel : chip.kernels) {
      // Four words, or on newer chips two of 64 bits; from the ring where there is one.
      const bool hasRing = chip.chip != "sm_80";
      const std::string load = hasRing ? "ld.shared" : "ld.global";
      EXPECT_GE(count(kernel.ptx, load + ".v4") + count(kernel.ptx, load + ".v2.b64"),
                hasRing ? 4u : 8u)
          << chip.chip;
      EXPECT_EQ(count(kernel.ptx, "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
                                  "bytes.L2::cache_hint") > 0,
                hasRing)
          << chip.chip;
      EXPECT_GE(count(kernel.ptx, ".pragma \"nounroll\""), 1u) << chip.chip;
    }
    const std::string integer = "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32";
    EXPECT_EQ(count(chip.kernels[0].ptx, integer), 8u) << chip.chip; // 128 inputs, two tiles
    EXPECT_EQ(count(chip.kernels[1].ptx, integer), 8u) << chip.chip;
    EXPECT_GE(count(chip.kernels[2].ptx, "mma.sync.aligned.m16n8k16.row.col.f32.bf16"), 8u);
  }
}

// A unit of 128 inputs is four wgmma of a full chunk's width, and of few rows' width;
// nobody reads their sums before they are there, and ptxas puts none of them in a row.
TEST(MatmulAssembly, warpgroupsMultiplyManyRows) {
  KernelSpec many = grok1(KernelOp::linear, {Element::i8}, Numerics::fast, 512);
  KernelSpec batch = grok1(KernelOp::linear, {Element::i8}, Numerics::fast, 64);
  NvidiaCode code = compile({many, batch}, Ptxas::find().has_value());
  const std::string product = "wgmma.mma_async.sync.aligned.m64n";
  for (const NvidiaChipCode &chip : code.chips) {
    EXPECT_EQ(count(chip.kernels[1].ptx, "wgmma"), 0u) << chip.chip;
    const std::string &ptx = chip.kernels[0].ptx;
    const size_t expected = chip.chip == "sm_90a" ? 4 : 0;
    EXPECT_EQ(count(ptx, product + "80k32.s32.s8.s8"), expected) << chip.chip;
    EXPECT_EQ(count(ptx, product + "32k32.s32.s8.s8"), expected) << chip.chip;
    for (size_t at = ptx.find(product); at != std::string::npos; at = ptx.find(product, at)) {
      const size_t wait = ptx.find("wgmma.wait_group", at);
      ASSERT_NE(wait, std::string::npos);
      EXPECT_GT(ptx.find("fma.rn.f32", at), wait);
      at = wait;
    }
    EXPECT_EQ(count(chip.kernels[0].report.text, "C75"), 0u) << chip.kernels[0].report.text;
  }
}

// On Blackwell they are four tcgen05.mma by one thread, from two places: before the first
// unit and beside the sums of the one before. What is loaded from tensor memory is not
// touched before its wait.
TEST(MatmulAssembly, tensorCoresMultiplyManyRows) {
  KernelSpec many = grok1(KernelOp::linear, {Element::i8}, Numerics::fast, 512);
  KernelSpec batch = grok1(KernelOp::linear, {Element::i8}, Numerics::fast, 64);
  NvidiaCode code = compile({many, batch}, /*assemble=*/false);
  for (const NvidiaChipCode &chip : code.chips) {
    EXPECT_EQ(count(chip.kernels[1].ptx, "tcgen05"), 0u) << chip.chip;
    const bool isNew = chip.chip == "sm_100a";
    const std::string &ptx = chip.kernels[0].ptx;
    EXPECT_EQ(count(ptx, "tcgen05.mma.cta_group::1.kind::i8"), isNew ? 16u : 0u) << chip.chip;
    EXPECT_EQ(count(ptx, "tcgen05.commit"), isNew ? 4u : 0u) << chip.chip;
    EXPECT_EQ(count(ptx, "tcgen05.alloc"), isNew ? 1u : 0u) << chip.chip;
    EXPECT_EQ(count(ptx, "tcgen05.dealloc"), isNew ? 1u : 0u) << chip.chip;
    const std::string load = "tcgen05.ld.sync.aligned.32x32b.x16.b32";
    EXPECT_GE(count(ptx, load), isNew ? 5u : 0u) << chip.chip;
    for (size_t at = ptx.find(load); at != std::string::npos; at = ptx.find(load, at + 1)) {
      const size_t open = ptx.find('{', at), close = ptx.find('}', open);
      const std::string first = ptx.substr(open + 1, ptx.find(',', open) - open - 1);
      const size_t wait = ptx.find("tcgen05.wait::ld", at);
      ASSERT_NE(wait, std::string::npos);
      EXPECT_GT(ptx.find(first + ",", close), wait) << ptx.substr(at, 1200);
      EXPECT_GT(ptx.find(first + ";", close), wait) << first;
    }
  }
}

// Both digits of a row by one product: no more of them than of one digit, but wider.
TEST(MatmulAssembly, manyRowsOfTwoDigits) {
  if (!Ptxas::find())
    GTEST_SKIP() << "no ptxas";
  std::vector<KernelSpec> specs;
  for (const Format &format :
       {Format{Element::i8}, Format{Element::i4, 32}, Format{Element::i3, 64}})
    for (KernelOp op : {KernelOp::linear, KernelOp::qkv, KernelOp::gateUp, KernelOp::downCombine,
                        KernelOp::unembed})
      specs.push_back(grok1(op, format, Numerics::fast, 512));
  for (CacheElement kv : {CacheElement::i8, CacheElement::e4m3}) {
    specs.push_back(grok1(KernelOp::qkv, {Element::i8}, Numerics::fast, 512));
    specs.back().kv = kv;
  }
  for (KernelSpec &spec : specs)
    spec.digits = 2;
  NvidiaCode code = compile(specs, /*assemble=*/true, {"sm_90a", "sm_100a"});
  ASSERT_EQ(code.chips.size(), 2u);
  const std::string &hopper = code.chips[0].kernels[0].ptx,
                    &blackwell = code.chips[1].kernels[0].ptx;
  EXPECT_EQ(count(hopper, "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8"), 4u);
  EXPECT_EQ(count(hopper, "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8"), 4u);
  EXPECT_EQ(count(blackwell, "tcgen05.mma.cta_group::1.kind::i8"), 16u);
  for (const NvidiaChipCode &chip : code.chips)
    for (const NvidiaKernel &kernel : chip.kernels) {
      EXPECT_EQ(kernel.report.stackBytes, 0) << kernel.report.text;
      EXPECT_EQ(count(kernel.report.text, "C75"), 0u) << kernel.report.text;
      EXPECT_LE(kernel.shape.sharedBytes, 227 * 1024); // of a block, on both chips
    }
}

// Few rows on Hopper: two blocks to a tile where whole tiles would keep a quarter of the
// multiprocessors waiting (docs/gpu.md, "Balance"); of 228 KiB, with one for the system
// beside each block, there is room for the blocks of two launches.
static void expectRoomForTheNextLaunch(int64_t maxRows, int64_t digits) {
  std::vector<KernelSpec> specs;
  for (KernelOp op : {KernelOp::linear, KernelOp::downCombine, KernelOp::qkv, KernelOp::gateUp,
                      KernelOp::unembed})
    for (const Format &format : {Format{Element::i8}, Format{Element::i3, 64}}) {
      specs.push_back(grok1(op, format, Numerics::fast, maxRows));
      specs.back().digits = digits;
    }
  NvidiaCode code = compile(specs, /*assemble=*/false);
  for (const NvidiaKernel &kernel : code.chips[1].kernels) {
    const bool isNarrow = &kernel - code.chips[1].kernels.data() < 4;
    EXPECT_EQ(kernel.shape.clusterBlocks, isNarrow ? 2 : 1);
    EXPECT_EQ(kernel.shape.threads, 256);
    EXPECT_EQ(kernel.shape.residentBlocks, 1);
    EXPECT_TRUE(kernel.shape.startsEarly);
    EXPECT_LE(2 * (kernel.shape.sharedBytes + 1024), 228 * 1024);
    EXPECT_GE(kernel.shape.sharedBytes, 72 * 1024); // 48 KiB under way while a third is in use
    EXPECT_EQ(count(kernel.ptx, "griddepcontrol.wait;"), 1u);
    EXPECT_EQ(count(kernel.ptx, "griddepcontrol.launch_dependents;"), 1u);
  }
}

TEST(MatmulAssembly, sharesTilesAndLeavesRoomForTheNextLaunch) {
  expectRoomForTheNextLaunch(1, 1);
  expectRoomForTheNextLaunch(8, 2);
}

} // namespace grok::compiler
