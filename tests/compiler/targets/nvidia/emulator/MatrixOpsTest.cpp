// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "Matrix Fragments for mma.m16n8k16" and its neighbours,
// "ldmatrix", "stmatrix". Element i of a lane's fragment, with e elements in a
// register, g = lane / 4 and t = lane % 4:
//   A: row g + 8 (i / e % 2), column e t + i % e + 4 e (i / 2 e)
//   B: row e t + i % e + 4 e (i / e), column g
//   C: row g + 8 (i / 2), column 2 t + i % 2
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include <bit>
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace grok::test;
using testing::HasSubstr;

namespace {

// A type of multiplicand: numbers -8..8 are exact in each.
struct Element {
  const char *name;
  int perRegister;
  uint32_t (*encode)(int value); // low bits
};

uint32_t encodeSmallFloat(int value, int exponentBits, int fractionBits) {
  if (value == 0)
    return 0;
  const int exponent = std::ilogb(std::abs(value));
  const int fraction = (std::abs(value) << fractionBits >> exponent) - (1 << fractionBits);
  const int bias = (1 << (exponentBits - 1)) - 1;
  return static_cast<uint32_t>((value < 0) << (exponentBits + fractionBits) |
                               (exponent + bias) << fractionBits | fraction);
}

const Element s8 = {"s8", 4, [](int v) { return static_cast<uint32_t>(v) & 0xff; }};
const Element u8 = {"u8", 4, [](int v) { return static_cast<uint32_t>(v) & 0xff; }};
const Element bf16 = {"bf16", 2,
                      [](int v) { return std::bit_cast<uint32_t>(static_cast<float>(v)) >> 16; }};
const Element f16 = {"f16", 2, [](int v) { return encodeSmallFloat(v, 5, 10); }};
// The lowest 13 bits of tf32 are not read.
const Element tf32 = {
    "tf32", 1, [](int v) { return std::bit_cast<uint32_t>(static_cast<float>(v)) | 0x1fff; }};
const Element e4m3 = {"e4m3", 4, [](int v) { return encodeSmallFloat(v, 4, 3); }};
const Element e5m2 = {"e5m2", 4, [](int v) { return encodeSmallFloat(v, 5, 2); }};

bool isFloat8(const Element &element) { return element.name[0] == 'e'; }
bool isInteger(const Element &element) { return element.name[0] == 's' || element.name[0] == 'u'; }

struct Mma {
  Element a, b;
  int k;
  bool saturates = false;
  int registersA() const { return k / a.perRegister / 2; }
};

std::string productOf(const Mma &mma, const std::string &a, const std::string &b,
                      const std::string &c, const std::string &sum) {
  const std::string sums = "!llvm.struct<(" + sum + ", " + sum + ", " + sum + ", " + sum + ")>\n";
  std::ostringstream text;
  if (isFloat8(mma.a)) {
    text << "llvm.call_intrinsic \"llvm.nvvm.mma.m16n8k" << mma.k << ".row.col.f32." << mma.a.name
         << "." << mma.b.name << ".f32\"(" << a << ", " << b << ", " << c
         << ") : (i32, i32, i32, i32, i32, i32, f32, f32, f32, f32) -> " << sums;
    return text.str();
  }
  const char *multiplicand = mma.a.name == f16.name ? "vector<2xf16>" : "i32";
  text << "nvvm.mma.sync A[" << a << "] B[" << b << "] C[" << c << "] {";
  if (isInteger(mma.a))
    text << "intOverflowBehavior = #nvvm.mma_int_overflow<"
         << (mma.saturates ? "satfinite" : "wrapped") << ">, ";
  text << "layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, "
       << "multiplicandAPtxType = #nvvm.mma_type<" << mma.a.name << ">, "
       << "multiplicandBPtxType = #nvvm.mma_type<" << mma.b.name << ">, "
       << "shape = #nvvm.shape<m = 16, n = 8, k = " << mma.k << ">} : (" << multiplicand << ", "
       << multiplicand << ", " << sum << ") -> " << sums;
  return text.str();
}

std::string mmaKernel(const Mma &mma) {
  const int countA = mma.registersA(), countB = countA / 2, count = countA + countB + 4;
  const bool integer = isInteger(mma.a);
  const bool half = mma.a.name == f16.name;
  std::ostringstream text, a, b, c;
  text << "gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {\n"
       << "%lane = nvvm.read.ptx.sreg.laneid : i32\n"
       << "%count = llvm.mlir.constant(" << count << " : i32) : i32\n"
       << "%first = llvm.mul %lane, %count : i32\n"
       << "%from = llvm.getelementptr %in[%first] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n";
  for (int r = 0; r < count; ++r) {
    const bool isSum = r >= countA + countB;
    const char *type = isSum && !integer ? "f32" : "i32";
    text << "%p" << r << " = llvm.getelementptr %from[" << r
         << "] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i32\n"
         << "%w" << r << " = llvm.load %p" << r << " : !llvm.ptr<1> -> " << type << "\n";
    std::string name = "%w" + std::to_string(r);
    if (half && !isSum) {
      text << "%v" << r << " = llvm.bitcast %w" << r << " : i32 to vector<2xf16>\n";
      name = "%v" + std::to_string(r);
    }
    std::ostringstream &list = r < countA ? a : isSum ? c : b;
    list << (list.str().empty() ? "" : ", ") << name;
  }
  const char *sum = integer ? "i32" : "f32";
  text << "%d = " << productOf(mma, a.str(), b.str(), c.str(), sum);
  text << "%four = llvm.mlir.constant(4 : i32) : i32\n"
       << "%last = llvm.mul %lane, %four : i32\n"
       << "%to = llvm.getelementptr %out[%last] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n";
  for (int i = 0; i < 4; ++i)
    text << "%d" << i << " = llvm.extractvalue %d[" << i << "] : !llvm.struct<(" << sum << ", "
         << sum << ", " << sum << ", " << sum << ")>\n"
         << "%q" << i << " = llvm.getelementptr %to[" << i
         << "] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i32\n"
         << "llvm.store %d" << i << ", %q" << i << " : " << sum << ", !llvm.ptr<1>\n";
  text << "gpu.return\n}";
  return text.str();
}

class MmaTest : public testing::TestWithParam<Mma> {};

} // namespace

TEST_P(MmaTest, IsTheProductOfItsFragments) {
  const Mma &mma = GetParam();
  const int e = mma.a.perRegister, countA = mma.registersA(), countB = countA / 2;
  const int count = countA + countB + 4;
  std::mt19937 random(7);
  int a[16][64], b[64][8], c[16][8];
  const auto draw = [&](const Element &element) {
    const int value = static_cast<int>(random() % 17) - (element.name == u8.name ? 0 : 8);
    return value;
  };
  for (auto &row : a)
    for (int &value : row)
      value = draw(mma.a);
  for (auto &row : b)
    for (int &value : row)
      value = draw(mma.b);
  for (auto &row : c)
    for (int &value : row)
      value = static_cast<int>(random() % 2001) - 1000;
  std::vector<uint32_t> in(size_t(32) * count), out(128);
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    uint32_t *registers = &in[size_t(lane) * count];
    const int bits = 32 / e;
    for (int i = 0; i < countA * e; ++i)
      registers[i / e] |=
          mma.a.encode(a[g + 8 * (i / e % 2)][e * t + i % e + 4 * e * (i / (2 * e))])
          << bits * (i % e);
    for (int i = 0; i < countB * e; ++i)
      registers[countA + i / e] |= mma.b.encode(b[e * t + i % e + 4 * e * (i / e)][g])
                                   << bits * (i % e);
    for (int i = 0; i < 4; ++i) {
      const int sum = c[g + 8 * (i / 2)][2 * t + i % 2];
      registers[countA + countB + i] = isInteger(mma.a)
                                           ? static_cast<uint32_t>(sum)
                                           : std::bit_cast<uint32_t>(static_cast<float>(sum));
    }
  }
  const EmulatedKernel kernel(mmaKernel(mma));
  ASSERT_EQ(kernel.everySchedule({}, {readOnly(in, "in"), buffer(out, "out")}, [] {}), "");
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
      int expected = c[row][column];
      for (int k = 0; k < mma.k; ++k)
        expected += a[row][k] * b[k][column];
      const uint32_t word = out[size_t(lane) * 4 + i];
      const int got =
          isInteger(mma.a) ? static_cast<int>(word) : static_cast<int>(std::bit_cast<float>(word));
      EXPECT_EQ(got, expected) << "row " << row << ", column " << column;
    }
}

INSTANTIATE_TEST_SUITE_P(EveryType, MmaTest,
                         testing::Values(Mma{s8, s8, 32}, Mma{u8, s8, 32}, Mma{s8, u8, 32},
                                         Mma{u8, u8, 32}, Mma{s8, s8, 16}, Mma{s8, s8, 32, true},
                                         Mma{bf16, bf16, 16}, Mma{bf16, bf16, 8}, Mma{f16, f16, 16},
                                         Mma{tf32, tf32, 8}, Mma{tf32, tf32, 4},
                                         Mma{e4m3, e4m3, 32}, Mma{e4m3, e5m2, 32},
                                         Mma{e5m2, e4m3, 32}, Mma{e5m2, e5m2, 32}),
                         [](const testing::TestParamInfo<Mma> &info) {
                           return std::string(info.param.a.name) + "_" + info.param.b.name + "_k" +
                                  std::to_string(info.param.k) +
                                  (info.param.saturates ? "_satfinite" : "");
                         });

TEST(Mma, WrapsOrSaturates) {
  for (bool saturates : {false, true}) {
    const EmulatedKernel kernel(mmaKernel({s8, s8, 32, saturates}));
    std::vector<uint32_t> in(320, 0x01010101), out(128);
    for (size_t lane = 0; lane < 32; ++lane)
      for (size_t i = 6; i < 10; ++i)
        in[lane * 10 + i] = INT32_MAX - 3;
    ASSERT_EQ(kernel.run({}, {readOnly(in, "in"), buffer(out, "out")}), "");
    EXPECT_EQ(static_cast<int32_t>(out[5]), saturates ? INT32_MAX : INT32_MIN + 28);
  }
}

// ---- ldmatrix and stmatrix on four 8x8 matrices of 16-bit numbers

static std::string tileKernel(const std::string &code) {
  return R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<512 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %lane = nvvm.read.ptx.sreg.laneid : i32
    %row = llvm.getelementptr %tile[%lane] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %from = llvm.getelementptr %in[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %to = llvm.getelementptr %out[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %words = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
)" + code +
         "\ngpu.return }";
}

static std::vector<uint16_t> numbers() {
  std::vector<uint16_t> values(256);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<uint16_t>(i);
  return values;
}

// What lane `lane` has in register `matrix` of fragments of consecutive numbers.
static std::pair<int, int> fragment(int matrix, int lane, bool transposed) {
  const int g = lane / 4, t = lane % 4;
  const auto at = [&](int row, int column) { return matrix * 64 + row * 8 + column; };
  if (transposed)
    return {at(2 * t, g), at(2 * t + 1, g)};
  return {at(g, 2 * t), at(g, 2 * t + 1)};
}

TEST(LoadMatrix, GivesEachLaneItsPairs) {
  for (int count : {1, 2, 4})
    for (bool transposed : {false, true}) {
      std::ostringstream code;
      code << "llvm.store %words, %row : vector<4xi32>, !llvm.ptr<3>\nnvvm.barrier0\n"
           << "%r = nvvm.ldmatrix %row {num = " << count << " : i32, layout = #nvvm.mma_layout<"
           << (transposed ? "col" : "row")
           << ">, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = "
              "#nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> ";
      std::string type = "i32";
      if (count > 1)
        type = count == 2 ? "!llvm.struct<(i32, i32)>" : "!llvm.struct<(i32, i32, i32, i32)>";
      code << type << "\nllvm.store %r, %to : " << type << ", !llvm.ptr<1>";
      const EmulatedKernel kernel(tileKernel(code.str()));
      const auto in = numbers();
      std::vector<uint16_t> out(256);
      ASSERT_EQ(kernel.everySchedule({}, {readOnly(in, "in"), buffer(out, "out")}, [] {}), "");
      for (int lane = 0; lane < 32; ++lane)
        for (int m = 0; m < count; ++m) {
          const auto [low, high] = fragment(m, lane, transposed);
          EXPECT_EQ(out[size_t(lane) * 8 + 2 * m], low) << count << transposed;
          EXPECT_EQ(out[size_t(lane) * 8 + 2 * m + 1], high) << count << transposed;
        }
    }
}

TEST(StoreMatrix, IsLoadMatrixBackwards) {
  for (bool transposed : {false, true}) {
    std::ostringstream code;
    for (int i = 0; i < 4; ++i)
      code << "%c" << i << " = llvm.mlir.constant(" << i << " : i32) : i32\n%w" << i
           << " = llvm.extractelement %words[%c" << i << " : i32] : vector<4xi32>\n";
    code << "nvvm.stmatrix %row, %w0, %w1, %w2, %w3 {layout = #nvvm.mma_layout<"
         << (transposed ? "col" : "row")
         << ">, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = "
            "#nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32, i32, i32, i32\n"
         << "nvvm.barrier0\n%back = llvm.load %row : !llvm.ptr<3> -> vector<4xi32>\n"
         << "llvm.store %back, %to : vector<4xi32>, !llvm.ptr<1>";
    const EmulatedKernel kernel(tileKernel(code.str()));
    std::vector<uint16_t> in(256), out(256);
    for (int lane = 0; lane < 32; ++lane)
      for (int m = 0; m < 4; ++m) {
        const auto [low, high] = fragment(m, lane, transposed);
        in[size_t(lane) * 8 + 2 * m] = static_cast<uint16_t>(low);
        in[size_t(lane) * 8 + 2 * m + 1] = static_cast<uint16_t>(high);
      }
    ASSERT_EQ(kernel.everySchedule({}, {readOnly(in, "in"), buffer(out, "out")}, [] {}), "");
    EXPECT_EQ(out, numbers());
  }
}

TEST(LoadMatrix, RefusesRowsThatAreNotAligned) {
  const EmulatedKernel kernel(tileKernel(R"(
    %off = llvm.getelementptr %tile[8] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %r = nvvm.ldmatrix %off {num = 1 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> i32)"));
  const auto in = numbers();
  std::vector<uint16_t> out(256);
  EXPECT_THAT(kernel.run({}, {readOnly(in, "in"), buffer(out, "out")}),
              HasSubstr("read at shared byte 8 is not aligned to 16 (nvvm.ldmatrix #1 at "
                        "kernel.mlir:12)"));
}
