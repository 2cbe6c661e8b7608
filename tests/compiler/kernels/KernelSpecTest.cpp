// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/KernelSpec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grok::compiler {

using Element = WeightFormat::Element;

TEST(WeightFormatTest, orderOfTheReleasesMatrices) {
  WeightFormat gate = WeightFormat::forContraction(Element::i8, 6144);
  EXPECT_EQ(gate.slices, 16);
  EXPECT_EQ(gate.unit, 128);
  WeightFormat down = WeightFormat::forContraction(Element::i8, 32768, 8);
  EXPECT_EQ(down.slices, 16);
  EXPECT_EQ(down.unit, 512);
  EXPECT_EQ(down.groups, 8);
}

TEST(WeightFormatTest, oddContractionsHaveSmallUnits) {
  WeightFormat even = WeightFormat::forContraction(Element::i8, 90);
  EXPECT_EQ(even.unit, 2);
  EXPECT_EQ(even.slices, 1);
  EXPECT_EQ(even.kPack(), 1);
  WeightFormat grouped = WeightFormat::forContraction(Element::i8, 344, 2);
  EXPECT_EQ(grouped.unit, 4);
  EXPECT_EQ(grouped.slices, 2);
  EXPECT_EQ(grouped.kPack(), 4);
}

TEST(WeightFormatTest, kPackFollowsElementAndUnit) {
  EXPECT_EQ(WeightFormat::forContraction(Element::i8, 64).kPack(), 4);
  EXPECT_EQ(WeightFormat::forContraction(Element::bf16, 64).kPack(), 2);
  EXPECT_EQ(WeightFormat::forContraction(Element::bf16, 45).kPack(), 1);
  EXPECT_EQ(WeightFormat::forContraction(Element::f32, 64).kPack(), 1);
}

TEST(WeightFormatTest, integerSumsHaveShortUnits) {
  WeightFormat down = WeightFormat::forContraction(Element::i8, 32768, 8, Numerics::fast);
  EXPECT_EQ(down.slices, 16);
  EXPECT_EQ(down.unit, 128);
  EXPECT_EQ(WeightFormat::forContraction(Element::bf16, 32768, 8, Numerics::fast).unit, 512);
}

TEST(WeightFormatTest, chainsOfCodesEndWithTheirMultiplier) {
  WeightFormat exact = WeightFormat::forContraction(Element::i4, 6144, 8, Numerics::f32, 64);
  EXPECT_EQ(exact.unit, 64);
  EXPECT_EQ(exact.groups, 8);
  EXPECT_EQ(WeightFormat::forContraction(Element::i4, 6144, 8, Numerics::fast, 64).unit, 128);
}

// 512 inputs are two whole super-groups, 192 three groups of a first one.
TEST(WeightFormatTest, panelsHoldCodesAndMultipliers) {
  EXPECT_EQ(WeightFormat::forContraction(Element::i8, 512).panelBytes(512), 16 * 512);
  WeightFormat i4 = WeightFormat::forContraction(Element::i4, 512, 1, Numerics::fast, 64);
  EXPECT_EQ(i4.panelBytes(512), 2 * (64 + 4 * 8 * 64));
  WeightFormat i3 = WeightFormat::forContraction(Element::i3, 192, 1, Numerics::fast, 64);
  EXPECT_EQ(i3.panelBytes(192), 3 * 16 + 3 * 6 * 64);
}

static KernelSpec linearSpec() {
  KernelSpec spec;
  spec.in = 384;
  spec.out = 64;
  spec.weight = WeightFormat::forContraction(Element::i8, 384);
  return spec;
}

TEST(KernelSpecTest, textNamesWhatTheOpUses) {
  EXPECT_EQ(canonicalText(linearSpec()),
            "linear numerics=f32 in=384 out=64 tile_panels=4 element=i8 groups=1 unit=64 "
            "slices=2 form=gemv");
}

// Kernels of equal text are made once, so what changes the code must show.
TEST(KernelSpecTest, textTellsFormsOfDownCombineApart) {
  KernelSpec plain;
  plain.op = KernelOp::downCombine;
  KernelSpec adding = plain, apart = plain;
  adding.accumulate = 1;
  apart.separate = 1;
  EXPECT_NE(canonicalText(plain), canonicalText(adding));
  EXPECT_NE(canonicalText(plain), canonicalText(apart));
  EXPECT_NE(canonicalText(adding), canonicalText(apart));
}

TEST(KernelSpecTest, quantizeOfPairsTakesTheGroups) {
  KernelSpec spec;
  spec.op = KernelOp::quantize;
  EXPECT_EQ(operandCount(spec), 2);
  std::string ofRows = canonicalText(spec);
  spec.selected = 2;
  EXPECT_EQ(operandCount(spec), 3);
  EXPECT_NE(canonicalText(spec), ofRows);
}

TEST(KernelSpecTest, textNamesTheSecondDigit) {
  KernelSpec spec = linearSpec();
  spec.numerics = Numerics::fast;
  const std::string ofOne = canonicalText(spec);
  EXPECT_THAT(ofOne, ::testing::Not(::testing::HasSubstr("digits")));
  spec.digits = 2;
  EXPECT_EQ(canonicalText(spec), ofOne + " digits=2");
}

TEST(KernelSpecTest, digitsAreOfQuantizedRows) {
  KernelSpec product = linearSpec(), quantize = linearSpec();
  product.numerics = Numerics::fast;
  quantize.op = KernelOp::quantize;
  for (KernelSpec spec : {product, quantize}) {
    spec.digits = 2;
    EXPECT_EQ(problemIn(spec), std::nullopt);
    spec.digits = 3;
    EXPECT_EQ(problemIn(spec),
              std::string(nameOf(spec.op)) + " kernel: digits is 3, expected 1..2");
    spec.digits = 0;
    EXPECT_THAT(problemIn(spec).value_or(""), ::testing::HasSubstr("digits is 0"));
  }
  product.digits = 2;
  product.numerics = Numerics::f32; // rows stay float32
  EXPECT_EQ(problemIn(product), "linear kernel: digits are of quantised rows alone");
}

TEST(KernelSpecTest, textIgnoresWhatTheOpDoesNotUse) {
  KernelSpec a = linearSpec(), b = linearSpec();
  b.vocab = 1000;
  b.softcap = 30;
  EXPECT_EQ(canonicalText(a), canonicalText(b));
}

TEST(KernelSpecTest, manyRowBucketsShareAKernel) {
  KernelSpec a = linearSpec(), b = linearSpec();
  a.maxRows = 64;
  b.maxRows = 512;
  EXPECT_EQ(canonicalText(a), canonicalText(b));
  EXPECT_NE(canonicalText(a), canonicalText(linearSpec()));
}

TEST(KernelSpecTest, namesRoundTrip) {
  for (int op = 0; op <= static_cast<int>(KernelOp::quantize); ++op)
    EXPECT_EQ(kernelOpNamed(nameOf(static_cast<KernelOp>(op))), static_cast<KernelOp>(op));
  EXPECT_EQ(kernelOpNamed("matmul"), std::nullopt);
}

TEST(KernelSpecTest, problemsAreNamed) {
  EXPECT_EQ(problemIn(linearSpec()), std::nullopt);
  KernelSpec broken = linearSpec();
  broken.weight.unit = 100;
  EXPECT_THAT(problemIn(broken).value_or(""), ::testing::HasSubstr("powers of two"));
  broken = linearSpec();
  broken.weight.slices = 16; // 24 inputs a slice, in units of 128
  EXPECT_THAT(problemIn(broken).value_or(""), ::testing::HasSubstr("does not divide a slice"));
  broken = linearSpec();
  broken.out = 0;
  EXPECT_THAT(problemIn(broken).value_or(""), ::testing::HasSubstr("out is 0"));
  broken = linearSpec();
  broken.weight = WeightFormat::forContraction(Element::i4, 384, 1, Numerics::fast, 64);
  EXPECT_THAT(problemIn(broken), std::nullopt); // 384 = 6 * 64: unit and group agree
  broken.numerics = Numerics::bf16;
  EXPECT_THAT(problemIn(broken).value_or(""), ::testing::HasSubstr("bf16"));
  broken.numerics = Numerics::fast;
  broken.weight.unit = 32;
  EXPECT_THAT(problemIn(broken).value_or(""), ::testing::HasSubstr("multiplier group"));
  KernelSpec attention;
  attention.op = KernelOp::attention;
  attention.qHeads = 6;
  attention.kvHeads = 4;
  attention.headDim = 16;
  attention.layers = 1;
  attention.maxContext = 64;
  attention.pageTokens = 16;
  EXPECT_THAT(problemIn(attention).value_or(""), ::testing::HasSubstr("kv_heads"));
  attention.kvHeads = 3;
  attention.pageTokens = 24;
  EXPECT_THAT(problemIn(attention).value_or(""), ::testing::HasSubstr("page_tokens"));
}

} // namespace grok::compiler
