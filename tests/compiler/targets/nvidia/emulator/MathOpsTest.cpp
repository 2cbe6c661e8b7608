// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "cvt", "dp4a", "prmt", "ex2", "rcp", "rsqrt".
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include <bit>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

using namespace grok::test;
using testing::HasSubstr;

// out[thread] = `code` of %x = in[thread], both words.
static std::string wordKernel(const std::string &code) {
  return R"(
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %from = llvm.getelementptr %in[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %x = llvm.load %from : !llvm.ptr<1> -> i32
    %f = llvm.bitcast %x : i32 to f32
)" + code +
         R"(
    llvm.store %result, %to : i32, !llvm.ptr<1>
    gpu.return
  })";
}

static std::vector<uint32_t> apply(const std::string &code, std::vector<uint32_t> in) {
  in.resize(32);
  std::vector<uint32_t> out(32);
  const EmulatedKernel kernel(wordKernel(code));
  EXPECT_EQ(kernel.run({}, {readOnly(in, "in"), buffer(out, "out")}), "");
  return out;
}

static uint32_t bitsOf(float value) { return std::bit_cast<uint32_t>(value); }

TEST(MathOps, RoundsToBf16ToNearestEven) {
  const std::string code = R"(
    %half = llvm.fptrunc %f : f32 to bf16
    %bits = llvm.bitcast %half : bf16 to i16
    %result = llvm.zext %bits : i16 to i32)";
  const auto out = apply(code, {bitsOf(1), 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff,
                                bitsOf(-2), 0x7f7fffff, 0x7f800000, 0x7f800001, 0xffc00000});
  const uint32_t expected[] = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x3f80,
                               0xc000, 0x7f80, 0x7f80, 0x7fff, 0x7fff};
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(out[i], expected[i]) << i;
}

TEST(MathOps, RoundsPairsToBf16) {
  const auto out = apply(R"(
    %two = llvm.mlir.constant(2.0 : f32) : f32
    %pair = nvvm.convert.f32x2.to.bf16x2 %two, %f {rnd = #nvvm.fp_rnd_mode<rn>} : vector<2xbf16>
    %result = llvm.bitcast %pair : vector<2xbf16> to i32)",
                         {bitsOf(1)});
  EXPECT_EQ(out[0], 0x40003f80u); // the first operand is the upper half
}

TEST(MathOps, WidensBf16AndKeepsFmaApart) {
  const auto out = apply(R"(
    %bits = llvm.trunc %x : i32 to i16
    %half = llvm.bitcast %bits : i16 to bf16
    %wide = llvm.fpext %half : bf16 to f32
    %result = llvm.bitcast %wide : f32 to i32)",
                         {0x4049});
  EXPECT_EQ(out[0], 0x40490000u);
  // (1 + 2^-12)^2 - 1: rounded products lose 2^-24, a fused one does not.
  const float x = 1 + 0x1p-12f;
  const std::string one = "%one = llvm.mlir.constant(-1.0 : f32) : f32\n";
  EXPECT_EQ(apply(one + "%p = llvm.fmul %f, %f : f32\n%s = llvm.fadd %p, %one : f32\n"
                        "%result = llvm.bitcast %s : f32 to i32",
                  {bitsOf(x)})[0],
            bitsOf(0x1p-11f));
  EXPECT_EQ(apply(one + "%s = llvm.intr.fma(%f, %f, %one) : (f32, f32, f32) -> f32\n"
                        "%result = llvm.bitcast %s : f32 to i32",
                  {bitsOf(x)})[0],
            bitsOf(0x1p-11f + 0x1p-24f));
}

TEST(MathOps, ApproximatesFunctions) {
  const auto call = [](const std::string &name) {
    return "%r = llvm.call_intrinsic \"llvm.nvvm." + name +
           "\"(%f) : (f32) -> f32\n%result = llvm.bitcast %r : f32 to i32";
  };
  EXPECT_EQ(apply(call("ex2.approx.ftz"), {bitsOf(-3)})[0], bitsOf(0.125f));
  EXPECT_EQ(apply(call("ex2.approx.ftz"), {bitsOf(-130)})[0], 0u);
  EXPECT_EQ(apply(call("rsqrt.approx.ftz.f"), {bitsOf(16)})[0], bitsOf(0.25f));
  EXPECT_EQ(apply(call("lg2.approx.ftz"), {bitsOf(0.5f)})[0], bitsOf(-1));
  EXPECT_EQ(apply("%r = nvvm.rcp.approx.ftz.f %f : f32\n%result = llvm.bitcast %r : f32 to i32",
                  {bitsOf(-8)})[0],
            bitsOf(-0.125f));
}

TEST(MathOps, SumsFourProducts) {
  const auto dot = [](const char *a, const char *b) {
    return std::string("%v = llvm.bitcast %x : i32 to vector<4xi8>\n"
                       "%c = llvm.mlir.constant(1000 : i32) : i32\n"
                       "%result = nvvm.dot.accumulate.4way %v <") +
           a + ">, %v <" + b + ">, %c : vector<4xi8>, vector<4xi8>";
  };
  // Bytes 255, 2, 3, 128: signed -1, 2, 3, -128.
  const uint32_t word = 0x800302ff;
  EXPECT_EQ(apply(dot("signed", "signed"), {word})[0], 1000u + 1 + 4 + 9 + 128 * 128);
  EXPECT_EQ(apply(dot("unsigned", "signed"), {word})[0], 1000u - 255 + 4 + 9 - 128 * 128);
}

TEST(MathOps, PermutesBytes) {
  EXPECT_EQ(apply("%high = llvm.mlir.constant(1985229328 : i32) : i32\n" // 0x76543210
                  "%selector = llvm.mlir.constant(29031 : i32) : i32\n"  // 0x7167
                  "%result = nvvm.prmt #nvvm.permute_mode<default> %selector, %x, %high : i32",
                  {0xaabbccdd})[0],
            0x76cc5476u);
}

TEST(Translation, RefusesWhatItCannotRun) {
  EXPECT_THAT(translationError(wordKernel(
                  "%r = llvm.call_intrinsic \"llvm.nvvm.saturate.f\"(%f) : (f32) -> f32\n"
                  "%result = llvm.bitcast %r : f32 to i32")),
              HasSubstr("kernel kernel for the emulator: operation 'llvm.call_intrinsic' of "
                        "llvm.nvvm.saturate.f is not emulated"));
  EXPECT_THAT(translationError(wordKernel(
                  "%result = llvm.inline_asm \"mov.u32 $0, $1;\", \"=r,r\" %x : (i32) -> i32")),
              HasSubstr("operation 'llvm.inline_asm' is not emulated"));
  EXPECT_THAT(translationError("llvm.func @other(i32) -> i32\n" +
                               wordKernel("%result = llvm.call @other(%x) : (i32) -> i32")),
              HasSubstr("function 'other' is not defined"));
}

TEST(Translation, CallsFunctionsOfTheModule) {
  const EmulatedKernel kernel("llvm.func @lane() -> i32 {\n"
                              "%lane = nvvm.read.ptx.sreg.laneid : i32\n"
                              "llvm.return %lane : i32 }\n" +
                              wordKernel("%result = llvm.call @lane() : () -> i32"));
  std::vector<uint32_t> in(32), out(32);
  EXPECT_EQ(kernel.run({}, {readOnly(in, "in"), buffer(out, "out")}), "");
  EXPECT_EQ(out[9], 9u);
}

// 32-bit addresses of shared memory, as descriptors and inline PTX use them.
TEST(Translation, RebuildsSharedAddressesFromTheirLowBits) {
  const EmulatedKernel kernel(
      "llvm.mlir.global internal @first() {addr_space = 3 : i32, alignment = 4 : i64} : "
      "!llvm.array<4 x i8>\n"
      "llvm.mlir.global internal @words() {addr_space = 3 : i32, alignment = 128 : i64} : "
      "!llvm.array<128 x i8>\n" +
      wordKernel(R"(
    %words = llvm.mlir.addressof @words : !llvm.ptr<3>
    %low = llvm.ptrtoint %words : !llvm.ptr<3> to i32
    %four = llvm.mlir.constant(4 : i32) : i32
    %offset = llvm.mul %tid, %four : i32
    %address = llvm.add %low, %offset : i32
    %slot = llvm.inttoptr %address : i32 to !llvm.ptr<3>
    llvm.store %x, %slot : i32, !llvm.ptr<3>
    %own = llvm.getelementptr %words[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32
    %result = llvm.load %own : !llvm.ptr<3> -> i32)"));
  std::vector<uint32_t> in(32), out(32);
  for (uint32_t i = 0; i < 32; ++i)
    in[i] = 100 + i;
  EXPECT_EQ(kernel.run({}, {readOnly(in, "in"), buffer(out, "out")}), "");
  EXPECT_EQ(out, in);
}
