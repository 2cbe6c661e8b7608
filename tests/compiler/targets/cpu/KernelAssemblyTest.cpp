// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What must be, and must not be, in the inner loops. Executed speed is measured
// by bench-cpu-kernels; this also covers levels that the host lacks.
#include "tests/compiler/targets/cpu/TestKernels.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using ::testing::HasSubstr;
using ::testing::Not;

static std::string assembly(const KernelSpec &spec, const char *level) {
  auto text = assembleCpuKernel({"kernel", spec}, *cpuLevelNamed(level));
  EXPECT_TRUE(text) << text.error();
  return text ? *text : "";
}

// The basic block with the most multiply-adds (v3, v4) or products (v2), or
// other `products`.
static std::string innerLoop(const std::string &text,
                             std::initializer_list<const char *> products = {"vfmadd", "mulps"}) {
  std::string block, densest;
  size_t most = 0;
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(text).split(lines, '\n');
  for (llvm::StringRef line : lines) {
    if (line.starts_with(".LBB"))
      block.clear();
    block += line.str() + '\n';
    if (!line.starts_with("\tj"))
      continue;
    size_t count = 0;
    for (const char *product : products)
      count += llvm::StringRef(block).count(product);
    if (count > most) {
      most = count;
      densest = block;
    }
    block.clear();
  }
  return densest;
}

TEST(KernelAssembly, gemvOnAvx512StaysInRegisters) {
  std::string loop = innerLoop(assembly(int8Linear(6144, 6144, 1), "x86-64-v4"));
  EXPECT_THAT(loop, HasSubstr("vfmadd231ps\t%zmm"));
  EXPECT_THAT(loop, HasSubstr("vpshufb\t%zmm"));
  EXPECT_THAT(loop, HasSubstr("prefetcht0"));
  EXPECT_THAT(loop, Not(HasSubstr("(%rsp)")));
}

// Sixteen ymm registers do not hold four panels, four inputs and the shuffle
// masks at once: a few spills, which cost less than walking fewer panels.
TEST(KernelAssembly, gemvOnAvx2UsesItsVectors) {
  std::string loop = innerLoop(assembly(int8Linear(6144, 6144, 1), "x86-64-v3"));
  EXPECT_THAT(loop, HasSubstr("vfmadd231ps\t%ymm"));
  EXPECT_THAT(loop, Not(HasSubstr("%zmm")));
}

TEST(KernelAssembly, gemmStaysInRegisters) {
  for (const char *level : {"x86-64-v3", "x86-64-v4"}) {
    std::string loop = innerLoop(assembly(int8Linear(6144, 6144, 512), level));
    EXPECT_THAT(loop, HasSubstr("vbroadcastss")) << level;
    EXPECT_THAT(loop, Not(HasSubstr("(%rsp)"))) << level;
  }
}

// v2 has no FMA instruction, and a call of fmaf would be an import.
TEST(KernelAssembly, sse4MultipliesThenAdds) {
  std::string text = assembly(int8Linear(6144, 6144, 1), "x86-64-v2");
  EXPECT_THAT(innerLoop(text), HasSubstr("mulps"));
  EXPECT_THAT(text, Not(HasSubstr("fma")));
  EXPECT_THAT(text, Not(HasSubstr("call")));
}

// rms_norm multiplies, then adds to the residual: never contracted.
TEST(KernelAssembly, separateProductsAndSumsStaySeparate) {
  KernelSpec spec = norm(6144);
  spec.op = KernelOp::residualNorm;
  std::string text = assembly(spec, "x86-64-v4");
  llvm::StringRef rest = text;
  size_t multiplyAdds = rest.count("vfmadd"), squares = 8; // two norms, four chains each
  EXPECT_EQ(multiplyAdds, squares);
}

// ---- fast numerics

static KernelSpec fastLinear(WeightFormat::Element element, int64_t maxRows) {
  KernelSpec spec = int8Linear(6144, 6144, maxRows);
  spec.numerics = Numerics::fast;
  const bool hasMultipliers =
      element == WeightFormat::Element::i4 || element == WeightFormat::Element::i3;
  const int64_t group = hasMultipliers ? 64 : 0;
  spec.weight = WeightFormat::forContraction(element, 6144, 1, Numerics::fast, group);
  return spec;
}

static const WeightFormat::Element integers[] = {
    WeightFormat::Element::i8, WeightFormat::Element::i4, WeightFormat::Element::i3};

TEST(KernelAssembly, fastGemvOnAvx512UsesVnniAndStaysInRegisters) {
  for (WeightFormat::Element element : integers) {
    std::string text = assembly(fastLinear(element, 1), "x86-64-v4");
    EXPECT_THAT(text, HasSubstr("vpdpbusd")) << nameOf(element);
    EXPECT_THAT(text, HasSubstr("prefetcht0")) << nameOf(element);
    EXPECT_THAT(innerLoop(text, {"vpdpbusd"}), Not(HasSubstr("(%rsp)"))) << nameOf(element);
  }
}

TEST(KernelAssembly, fastGemvWithoutVnniMultipliesPairs) {
  for (WeightFormat::Element element : integers) {
    EXPECT_THAT(innerLoop(assembly(fastLinear(element, 1), "x86-64-v3"), {"pmaddubsw"}),
                HasSubstr("%ymm"))
        << nameOf(element);
    std::string sse4 = assembly(fastLinear(element, 1), "x86-64-v2");
    EXPECT_THAT(innerLoop(sse4, {"pmaddubsw"}), HasSubstr("%xmm")) << nameOf(element);
    EXPECT_THAT(sse4, Not(HasSubstr("call"))) << nameOf(element);
  }
}

TEST(KernelAssembly, fastGemmUsesTilesWhereThereAre) {
  for (WeightFormat::Element element : integers) {
    std::string text = assembly(fastLinear(element, 512), "x86-64-v4-amx");
    EXPECT_THAT(text, HasSubstr("tdpbssd")) << nameOf(element);
    EXPECT_THAT(text, HasSubstr("ldtilecfg")) << nameOf(element);
    EXPECT_THAT(text, HasSubstr("tilerelease")) << nameOf(element);
    EXPECT_THAT(assembly(fastLinear(element, 512), "x86-64-v4"), Not(HasSubstr("tdpbssd")));
  }
}

// One row takes the tiles of many, so that its sums have the same bits.
TEST(KernelAssembly, fastBf16UsesTilesInBothForms) {
  for (int64_t maxRows : {1, 512}) {
    std::string text = assembly(fastLinear(WeightFormat::Element::bf16, maxRows), "x86-64-v4-amx");
    EXPECT_THAT(text, HasSubstr("vcvtne2ps2bf16\t")) << maxRows;
    EXPECT_THAT(text, HasSubstr("ldtilecfg")) << maxRows;
    EXPECT_THAT(text, HasSubstr("tilerelease")) << maxRows;
    EXPECT_THAT(text, Not(HasSubstr("vfmadd"))) << maxRows;
    std::string loop = innerLoop(text, {"tdpbf16ps"});
    EXPECT_EQ(llvm::StringRef(loop).count("tdpbf16ps") % 4, 0u) << maxRows; // 2 x 2 or 1 x 4
    EXPECT_THAT(loop, HasSubstr("tdpbf16ps")) << maxRows;
    EXPECT_THAT(loop, Not(HasSubstr("Spill"))) << maxRows;
    EXPECT_THAT(loop, Not(HasSubstr("(%rsp)"))) << maxRows;
    EXPECT_THAT(assembly(fastLinear(WeightFormat::Element::bf16, maxRows), "x86-64-v4"),
                Not(HasSubstr("bf16ps")));
  }
}

} // namespace grok::compiler::testing
