// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "Asynchronous warpgroup level matrix instructions":
// "Matrix descriptor format", "Shared memory matrix layout", "Register fragments
// for wgmma". A tile has 64 rows of A or 16 columns of B, 32 bytes of k, written
// by the host in the layout that the descriptor names.
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include <bit>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace grok::test;
using testing::HasSubstr;

namespace {

constexpr int rowsOfA = 64, mostColumnsOfB = 256, tileBytes = 8192;

struct Layout {
  const char *name;
  int swizzle;         // bytes: 0, 32, 64, 128
  bool isTransposed;   // contiguous along rows or columns instead of k
  int leading, stride; // bytes, as descriptors have them
};

// Where byte `k` (or, transposed, element `k` of 2 bytes) of row `row` stands.
// Lines of `swizzle` bytes come in groups of eight; within the group's 128-byte
// lines, the 16-byte column is xored with the number of the line.
int placeOf(const Layout &layout, int row, int k) {
  const int line = layout.swizzle ? layout.swizzle : 16;
  int offset = 0;
  if (layout.isTransposed) {
    const int perLine = line / 2;
    const int outer = layout.swizzle ? layout.leading : layout.stride;
    const int inner = layout.swizzle ? layout.stride : layout.leading;
    offset = row / perLine * outer + k / 8 * inner + k % 8 * line + row % perLine * 2;
  } else {
    offset = row / 8 * layout.stride + row % 8 * line + k % line + k / line * layout.leading;
  }
  const int bits = layout.swizzle / 16 ? layout.swizzle / 16 - 1 : 0;
  return offset ^ ((offset / 128 & bits) * 16);
}

uint64_t descriptorOf(const Layout &layout, uint64_t start) {
  const uint64_t code = layout.swizzle == 0     ? 0
                        : layout.swizzle == 128 ? 1
                        : layout.swizzle == 64  ? 2
                                                : 3;
  return start >> 4 | uint64_t(layout.leading >> 4) << 16 | uint64_t(layout.stride >> 4) << 32 |
         code << 62;
}

struct Case {
  const char *type, *sum; // "bf16", "f32"
  Layout a, b;
  int n = 16; // columns of B
};

std::string structOf(const char *type, int count) {
  std::string list = type;
  for (int i = 1; i < count; ++i)
    list += std::string(", ") + type;
  return "!llvm.struct<(" + list + ")>";
}

// Copies tiles (A at 0, B at 8192) to shared memory; D = A B twice, the second
// time added to the first; every lane stores its n / 2 sums.
std::string wgmmaKernel(const Case &which) {
  const std::string type = structOf(which.sum, which.n / 2);
  const bool integer = which.sum[0] == 's';
  const std::string sums = structOf(integer ? "i32" : "f32", which.n / 2);
  const int k = which.type[0] == 'b' || which.type[0] == 'f' ? 16 : 32;
  const auto product = [&](const char *result, const char *from, const char *scale) {
    std::ostringstream text;
    text << result << " = nvvm.wgmma.mma_async %a, %b, " << from
         << ", #nvvm.shape<m = 64, n = " << which.n << ", k = " << k << ">, D[" << which.sum
         << ", #nvvm.wgmma_scale_out<" << scale << ">], A[" << which.type
         << ", #nvvm.wgmma_scale_in<one>, #nvvm.mma_layout<"
         << (which.a.isTransposed ? "col" : "row") << ">], B[" << which.type
         << ", #nvvm.wgmma_scale_in<one>, #nvvm.mma_layout<"
         << (which.b.isTransposed ? "row" : "col") << ">] : " << sums << " -> " << sums << "\n";
    std::string out = text.str();
    for (const char *name : {"D[", "A[", "B["}) {
      const size_t at = out.find(name) + 2;
      out.insert(at, "#nvvm.wgmma_type<");
      out.insert(out.find(',', at), ">");
    }
    return out;
  };
  std::ostringstream text;
  text << R"(
  llvm.mlir.global internal @tiles() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<16384 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tiles = llvm.mlir.addressof @tiles : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c8 = llvm.mlir.constant(8 : i32) : i32
    %c128 = llvm.mlir.constant(128 : i32) : i32
    llvm.br ^copy(%c0 : i32)
  ^copy(%i: i32):
    %start = llvm.mul %i, %c128 : i32
    %piece = llvm.add %start, %tid : i32
    %from = llvm.getelementptr %in[%piece] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %to = llvm.getelementptr %tiles[%piece] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %words = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
    llvm.store %words, %to : vector<4xi32>, !llvm.ptr<3>
    %j = llvm.add %i, %c1 : i32
    %more = llvm.icmp "slt" %j, %c8 : i32
    llvm.cond_br %more, ^copy(%j : i32), ^multiply
  ^multiply:
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    nvvm.barrier0
    %base = llvm.ptrtoint %tiles : !llvm.ptr<3> to i64
    %mask = llvm.mlir.constant(262143 : i64) : i64
    %four = llvm.mlir.constant(4 : i64) : i64
    %low = llvm.and %base, %mask : i64
    %unit = llvm.lshr %low, %four : i64
)";
  const auto signedText = [](uint64_t bits) { return std::to_string(static_cast<int64_t>(bits)); };
  text << "%da = llvm.mlir.constant(" << signedText(descriptorOf(which.a, 0)) << " : i64) : i64\n"
       << "%db = llvm.mlir.constant(" << signedText(descriptorOf(which.b, tileBytes))
       << " : i64) : i64\n"
       << "%a = llvm.add %da, %unit : i64\n%b = llvm.add %db, %unit : i64\n"
       << "%zero = llvm.mlir.zero : " << sums << "\n"
       << "nvvm.wgmma.fence.aligned\n"
       << product("%first", "%zero", "one") << product("%second", "%first", "one")
       << "nvvm.wgmma.commit.group.sync.aligned\nnvvm.wgmma.wait.group.sync.aligned 0\n"
       << "%perLane = llvm.mlir.constant(" << which.n / 2 << " : i32) : i32\n"
       << "%line = llvm.mul %tid, %perLane : i32\n"
       << "%sums = llvm.getelementptr %out[%line] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n";
  for (int i = 0; i < which.n / 2; ++i)
    text << "%s" << i << " = llvm.extractvalue %second[" << i << "] : " << sums << "\n%p" << i
         << " = llvm.getelementptr %sums[" << i << "] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i32\n"
         << "llvm.store %s" << i << ", %p" << i << " : " << (integer ? "i32" : "f32")
         << ", !llvm.ptr<1>\n";
  text << "gpu.return\n}";
  return text.str();
}

struct Tiles {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(2 * tileBytes);
  int a[rowsOfA][32] = {}, b[mostColumnsOfB][32] = {};
};

// Small numbers in both tiles; bf16 or s8.
Tiles makeTiles(const Case &which) {
  Tiles tiles;
  std::mt19937 random(3);
  const bool wide = which.sum[0] == 'f';
  const int k = wide ? 16 : 32;
  const auto put = [&](const Layout &layout, int first, int row, int column, int value) {
    if (!wide) {
      tiles.bytes[first + placeOf(layout, row, column)] = static_cast<uint8_t>(value);
      return;
    }
    const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16;
    const int at = first + placeOf(layout, row, layout.isTransposed ? column : 2 * column);
    tiles.bytes[at] = static_cast<uint8_t>(bits);
    tiles.bytes[at + 1] = static_cast<uint8_t>(bits >> 8);
  };
  for (int column = 0; column < k; ++column) {
    for (int row = 0; row < rowsOfA; ++row)
      put(which.a, 0, row, column, tiles.a[row][column] = static_cast<int>(random() % 15) - 7);
    for (int row = 0; row < which.n; ++row)
      put(which.b, tileBytes, row, column,
          tiles.b[row][column] = static_cast<int>(random() % 15) - 7);
  }
  return tiles;
}

Grid warpgroup() {
  Grid grid;
  grid.threads = 128;
  return grid;
}

const Layout plain = {"plain", 0, false, 128, 256};
const Layout swizzle32 = {"swizzle32", 32, false, 0, 256};
const Layout swizzle64 = {"swizzle64", 64, false, 0, 512};
const Layout swizzle128 = {"swizzle128", 128, false, 0, 1024};
// 64 rows or 16 columns as lines of 128 or 32 bytes; groups of eight k apart.
const Layout transposed128 = {"transposed128", 128, true, 0, 1024};
const Layout transposed32 = {"transposed32", 32, true, 0, 256};

class WgmmaTest : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(WgmmaTest, IsTheProductOfItsTiles) {
  const Case &which = GetParam();
  const Tiles tiles = makeTiles(which);
  const EmulatedKernel kernel(wgmmaKernel(which));
  const int perLane = which.n / 2;
  std::vector<uint32_t> out(static_cast<size_t>(128) * perLane);
  ASSERT_EQ(kernel.everySchedule(warpgroup(), {readOnly(tiles.bytes, "in"), buffer(out, "out")},
                                 [&] { std::fill(out.begin(), out.end(), 0); }),
            "");
  for (int t = 0; t < 128; ++t)
    for (int i = 0; i < perLane; ++i) {
      // Row 16 w + g + 8 (i / 2 % 2), column 8 (i / 4) + 2 t + i % 2.
      const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8;
      const int column = i / 4 * 8 + t % 4 * 2 + i % 2;
      int expected = 0;
      for (int k = 0; k < 32; ++k)
        expected += 2 * tiles.a[row][k] * tiles.b[column][k];
      const uint32_t word = out[static_cast<size_t>(t) * perLane + i];
      const int got = which.sum[0] == 's' ? static_cast<int>(word)
                                          : static_cast<int>(std::bit_cast<float>(word));
      ASSERT_EQ(got, expected) << "row " << row << ", column " << column;
    }
}

INSTANTIATE_TEST_SUITE_P(
    EveryLayout, WgmmaTest,
    testing::Values(Case{"bf16", "f32", plain, plain}, Case{"bf16", "f32", swizzle32, swizzle64},
                    Case{"bf16", "f32", swizzle128, swizzle128},
                    Case{"bf16", "f32", transposed128, transposed32},
                    Case{"s8", "s32", swizzle128, swizzle32}, Case{"s8", "s32", plain, swizzle64},
                    Case{"s8", "s32", swizzle64, swizzle32, 256}),
    [](const testing::TestParamInfo<Case> &info) {
      return std::string(info.param.type) + "_" + info.param.a.name + "_" + info.param.b.name;
    });

// ---- seeded bugs

static std::string errorWithout(const std::string &what, const std::string &instead = "") {
  const Case which = {"bf16", "f32", swizzle128, swizzle128};
  const Tiles tiles = makeTiles(which);
  std::string text = wgmmaKernel(which);
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos);
  const EmulatedKernel kernel(text.replace(at, what.size(), instead));
  std::vector<uint32_t> out(128 * 8);
  return kernel.run(warpgroup(), {readOnly(tiles.bytes, "in"), buffer(out, "out")});
}

TEST(WgmmaBug, AccumulatorReadBeforeItsWait) {
  EXPECT_THAT(errorWithout("nvvm.wgmma.wait.group.sync.aligned 0"),
              HasSubstr("an accumulator is read before the wgmma.wait_group"));
  EXPECT_THAT(errorWithout("aligned 0", "aligned 1"),
              HasSubstr("an accumulator is read before the wgmma.wait_group"));
}

TEST(WgmmaBug, MissingProxyFence) {
  EXPECT_THAT(errorWithout("nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = "
                           "#nvvm.shared_space<cta>}"),
              HasSubstr("wrote without a fence.proxy.async since (nvvm.wgmma.mma_async #1"));
}

TEST(WgmmaBug, MissingRegisterFence) {
  EXPECT_THAT(errorWithout("nvvm.wgmma.fence.aligned"), HasSubstr("without a wgmma.fence since"));
}

TEST(WgmmaBug, ReadOfAccumulatorsThatAnotherTookOver) {
  EXPECT_THAT(errorWithout("%second[0]", "%first[0]"), HasSubstr("has overwritten"));
}
