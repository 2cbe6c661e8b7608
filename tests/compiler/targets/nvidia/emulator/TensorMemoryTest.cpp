// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "TensorCore 5th Generation Family Instructions": "Instruction
// descriptor", "Shared memory descriptor", "Canonical layouts", "Data path layout
// organization" (layout D: row i of the product is lane i, column j column j), "Tensor
// Memory allocation", "tcgen05.ld" (32x32b: a warp's lanes are 32 times its number modulo
// 4 on). Tiles are written by the host in the layout that the descriptor names.
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace grok::test;
using testing::HasSubstr;

namespace {

constexpr int rowsOfA = 128, depth = 64; // two products of 32 bytes
constexpr int startOfB = 16384, tileBytes = 32768, threads = 256;
constexpr int piece = 16; // columns of a load

struct Layout {
  const char *name;
  int swizzle;         // bytes: 0, 32, 64, 128
  int leading, stride; // bytes, as descriptors have them
};

const Layout plain = {"plain", 0, 128, 512};
const Layout swizzle32 = {"swizzle32", 32, 16, 256};
const Layout swizzle64 = {"swizzle64", 64, 16, 512};
const Layout swizzle128 = {"swizzle128", 128, 16, 1024};

struct Case {
  Layout a, b;
  bool isSignedA, isSignedB;
  int n;
};

// From the first 32 inputs to the next.
int advanceOf(const Layout &layout, int rows) {
  if (layout.swizzle == 0)
    return 2 * layout.leading;
  return layout.swizzle == 32 ? rows * 32 : 32;
}

// Where byte `k` of row `row` stands. Without swizzle 8 rows of 16 bytes are together,
// `leading` from one to the next along k; else lines of `swizzle` bytes come in groups of
// eight, and the 16-byte column is xored with the number of the 128 bytes.
int placeOf(const Layout &layout, int rows, int row, int k) {
  if (layout.swizzle == 0)
    return row / 8 * layout.stride + k / 16 * layout.leading + row % 8 * 16 + k % 16;
  int offset = row / 8 * layout.stride + row % 8 * layout.swizzle;
  if (layout.swizzle == 32)
    offset += k / 32 * advanceOf(layout, rows) + k % 32;
  else
    offset += k;
  return offset ^ ((offset / 128 & (layout.swizzle / 16 - 1)) * 16);
}

uint64_t descriptorOf(const Layout &layout, uint64_t start) {
  const uint64_t code = layout.swizzle == 0     ? 0
                        : layout.swizzle == 128 ? 2
                        : layout.swizzle == 64  ? 4
                                                : 6;
  return start >> 4 | uint64_t(layout.leading >> 4) << 16 | uint64_t(layout.stride >> 4) << 32 |
         uint64_t(1) << 46 | code << 61;
}

// Sums of 32 bits, m 128.
int instructionOf(const Case &which) {
  return 2 << 4 | int(which.isSignedA) << 7 | int(which.isSignedB) << 10 | which.n / 8 << 17 |
         128 / 16 << 24;
}

std::string constant(const std::string &name, uint64_t value, const char *type) {
  std::ostringstream text;
  text << name << " = llvm.mlir.constant(" << static_cast<int64_t>(value) << " : " << type
       << ") : " << type << "\n";
  return text.str();
}

std::string addressAt(const std::string &name, const std::string &from, int columns) {
  std::ostringstream text;
  text << constant(name + "c", columns, "i32") << name << "i = llvm.add " << from << ", " << name
       << "c : i32\n"
       << name << " = llvm.inttoptr " << name << "i : i32 to !llvm.ptr<6>\n";
  return text.str();
}

// Tiles to shared memory; the product of a thread, read by all warps: warps 0 to 3 the
// sums as they are, warps 4 to 7 by way of columns of their own, where they store them.
std::string tensorKernel(const Case &which) {
  const std::string shape = "{shape = #nvvm.tcgen05_ldst_shape<shape_32x32b>} : vector<16xi32>\n";
  std::ostringstream text;
  text << R"(
  llvm.mlir.global internal @tiles() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<32768 x i8>
  llvm.mlir.global internal @bar() {addr_space = 3 : i32, alignment = 8 : i64} : !llvm.array<8 x i8>
  llvm.mlir.global internal @address() {addr_space = 3 : i32, alignment = 4 : i64} : !llvm.array<4 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tiles = llvm.mlir.addressof @tiles : !llvm.ptr<3>
    %bar = llvm.mlir.addressof @bar : !llvm.ptr<3>
    %address = llvm.mlir.addressof @address : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c3 = llvm.mlir.constant(3 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c5 = llvm.mlir.constant(5 : i32) : i32
    %c8 = llvm.mlir.constant(8 : i32) : i32
    %c21 = llvm.mlir.constant(21 : i32) : i32
    %c256 = llvm.mlir.constant(256 : i32) : i32
    %false = llvm.mlir.constant(false) : i1
    %true = llvm.mlir.constant(true) : i1
    %ticks = llvm.mlir.constant(1000 : i32) : i32
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    %warp = llvm.lshr %tid, %c5 : i32
    %isFirst = llvm.icmp "eq" %warp, %c0 : i32
    llvm.cond_br %isFirst, ^allocate, ^start
  ^allocate:
    nvvm.tcgen05.alloc %address, %columns : !llvm.ptr<3>, i32
    nvvm.tcgen05.relinquish_alloc_permit
    llvm.br ^start
  ^start:
    nvvm.mbarrier.init %bar, %c1, predicate = %leads : !llvm.ptr<3>, i32, i1
    llvm.br ^copy(%c0 : i32)
  ^copy(%i: i32):
    %start = llvm.mul %i, %c256 : i32
    %number = llvm.add %start, %tid : i32
    %from = llvm.getelementptr %in[%number] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %to = llvm.getelementptr %tiles[%number] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %words = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
    llvm.store %words, %to : vector<4xi32>, !llvm.ptr<3>
    %j = llvm.add %i, %c1 : i32
    %more = llvm.icmp "slt" %j, %c8 : i32
    llvm.cond_br %more, ^copy(%j : i32), ^copied
  ^copied:
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    nvvm.barrier0
    %base = llvm.load %address : !llvm.ptr<3> -> i32
    %d = llvm.inttoptr %base : i32 to !llvm.ptr<6>
    llvm.cond_br %leads, ^multiply, ^read
  ^multiply:
    %whole = llvm.ptrtoint %tiles : !llvm.ptr<3> to i64
    %mask = llvm.mlir.constant(262143 : i64) : i64
    %four = llvm.mlir.constant(4 : i64) : i64
    %low = llvm.and %whole, %mask : i64
    %unit = llvm.lshr %low, %four : i64
)";
  const Layout layouts[] = {which.a, which.b};
  const int rows[] = {rowsOfA, which.n}, starts[] = {0, startOfB};
  for (int operand = 0; operand < 2; ++operand)
    for (int step = 0; step < 2; ++step) {
      const std::string name = std::string("%") + "ab"[operand] + "01"[step];
      const int start = starts[operand] + step * advanceOf(layouts[operand], rows[operand]);
      text << constant(name + "d", descriptorOf(layouts[operand], start), "i64") << name
           << " = llvm.add " << name << "d, %unit : i64\n";
    }
  const std::string kind = " {kind = #nvvm.tcgen05_mma_kind<i8>, ctaGroup = "
                           "#nvvm.cta_group<cta_1>} : (!llvm.ptr<6>, i64, i64, i32, i1)\n";
  text << constant("%instruction", instructionOf(which), "i32")
       << "nvvm.tcgen05.mma %d, %a0, %b0, %instruction, %false" << kind
       << "nvvm.tcgen05.mma %d, %a1, %b1, %instruction, %true" << kind << R"(
    nvvm.tcgen05.commit %bar : !llvm.ptr<3>
    llvm.br ^read
  ^read:
    nvvm.bar.warp.sync %full : i32
    nvvm.mbarrier.try_wait.parity %bar, %c0, %ticks : !llvm.ptr<3>, i32, i32
    nvvm.tcgen05.fence <after>
    %quarter = llvm.and %warp, %c3 : i32
    %lanes = llvm.shl %quarter, %c21 : i32
    %own = llvm.add %base, %lanes : i32
)";
  std::string head = text.str();
  const int room = std::max(which.n, 128); // columns for sums, and as many for stored ones
  head.insert(head.find("    %false ="),
              constant("%full", ~uint64_t(0), "i32") + constant("%columns", 2 * room, "i32"));
  text.str("");
  const int pieces = which.n / piece;
  for (int p = 0; p < pieces; ++p)
    text << addressAt("%t" + std::to_string(p), "%own", p * piece) << "%v" << p
         << " = nvvm.tcgen05.ld %t" << p << " " << shape;
  text << "nvvm.tcgen05.wait <load>\n";
  text << constant("%line", which.n, "i32") << "%first = llvm.mul %tid, %line : i32\n"
       << "%mine = llvm.getelementptr %out[%first] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n";
  for (int p = 0; p < pieces; ++p)
    for (int i = 0; i < piece; ++i) {
      const std::string name = "%w" + std::to_string(p) + "_" + std::to_string(i);
      text << constant(name + "i", i, "i32") << name << " = llvm.extractelement %v" << p << "["
           << name << "i : i32] : vector<16xi32>\n";
    }
  text << "%direct = llvm.icmp \"ult\" %warp, %c4 : i32\n"
          "llvm.cond_br %direct, ^direct, ^stored\n^direct:\n";
  const auto store = [&](int p, int i, const std::string &word) {
    const std::string name = word + "p";
    text << name << " = llvm.getelementptr %mine[" << p * piece + i
         << "] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i32\nllvm.store " << word << ", " << name
         << " : i32, !llvm.ptr<1>\n";
  };
  const auto nameOf = [](const char *prefix, int p, int i) {
    return prefix + std::to_string(p) + "_" + std::to_string(i);
  };
  for (int p = 0; p < pieces; ++p)
    for (int i = 0; i < piece; ++i)
      store(p, i, nameOf("%w", p, i));
  text << "llvm.br ^end\n^stored:\n";
  for (int p = 0; p < pieces; ++p) {
    const std::string number = std::to_string(p);
    text << "%e" << p << "_0 = llvm.mlir.poison : vector<16xi32>\n";
    for (int i = 0; i < piece; ++i) // one more, so that they are others
      text << nameOf("%x", p, i) << " = llvm.add " << nameOf("%w", p, i) << ", %c1 : i32\n"
           << nameOf("%e", p, i + 1) << " = llvm.insertelement " << nameOf("%x", p, i) << ", "
           << nameOf("%e", p, i) << "[" << nameOf("%w", p, i) << "i : i32] : vector<16xi32>\n";
    text << addressAt("%s" + number, "%own", room + p * piece) << "nvvm.tcgen05.st %s" << p << ", "
         << nameOf("%e", p, piece) << " " << shape;
  }
  text << "nvvm.tcgen05.wait <store>\n";
  for (int p = 0; p < pieces; ++p)
    text << "%y" << p << " = nvvm.tcgen05.ld %s" << p << " " << shape;
  text << "nvvm.tcgen05.wait <load>\n";
  for (int p = 0; p < pieces; ++p)
    for (int i = 0; i < piece; ++i) {
      text << nameOf("%z", p, i) << " = llvm.extractelement %y" << p << "[" << nameOf("%w", p, i)
           << "i : i32] : vector<16xi32>\n";
      store(p, i, nameOf("%z", p, i));
    }
  text << R"(
    llvm.br ^end
  ^end:
    nvvm.tcgen05.fence <before>
    nvvm.barrier0
    llvm.cond_br %isFirst, ^free, ^return
  ^free:
    nvvm.tcgen05.dealloc %d, %columns : !llvm.ptr<6>, i32
    llvm.br ^return
  ^return:
    gpu.return
  })";
  return head + text.str();
}

struct Tiles {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(tileBytes);
  int a[rowsOfA][depth] = {}, b[256][depth] = {};
};

Tiles makeTiles(const Case &which) {
  Tiles tiles;
  std::mt19937 random(3);
  for (int k = 0; k < depth; ++k) {
    for (int row = 0; row < rowsOfA; ++row) {
      const auto byte = static_cast<uint8_t>(random());
      tiles.bytes[placeOf(which.a, rowsOfA, row, k)] = byte;
      tiles.a[row][k] = which.isSignedA ? static_cast<int8_t>(byte) : byte;
    }
    for (int row = 0; row < which.n; ++row) {
      const auto byte = static_cast<uint8_t>(random());
      tiles.bytes[startOfB + placeOf(which.b, which.n, row, k)] = byte;
      tiles.b[row][k] = which.isSignedB ? static_cast<int8_t>(byte) : byte;
    }
  }
  return tiles;
}

Grid twoWarpgroups() {
  Grid grid;
  grid.threads = threads;
  return grid;
}

class TensorMemoryTest : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(TensorMemoryTest, holdsTheProductOfItsTiles) {
  const Case &which = GetParam();
  const Tiles tiles = makeTiles(which);
  const EmulatedKernel kernel(tensorKernel(which));
  std::vector<int32_t> out(static_cast<size_t>(threads) * which.n);
  ASSERT_EQ(kernel.everySchedule(twoWarpgroups(), {readOnly(tiles.bytes, "in"), buffer(out, "out")},
                                 [&] { std::fill(out.begin(), out.end(), 0); }),
            "");
  for (int thread = 0; thread < threads; ++thread)
    for (int column = 0; column < which.n; ++column) {
      int expected = thread < 128 ? 0 : 1;
      for (int k = 0; k < depth; ++k)
        expected += tiles.a[thread % 128][k] * tiles.b[column][k];
      ASSERT_EQ(out[static_cast<size_t>(thread) * which.n + column], expected)
          << "thread " << thread << ", column " << column;
    }
}

INSTANTIATE_TEST_SUITE_P(EveryLayout, TensorMemoryTest,
                         testing::Values(Case{swizzle128, swizzle128, true, true, 48},
                                         Case{swizzle64, swizzle32, false, true, 16},
                                         Case{swizzle32, plain, true, false, 32},
                                         Case{plain, swizzle64, false, false, 64},
                                         Case{swizzle128, swizzle32, true, true, 256}),
                         [](const testing::TestParamInfo<Case> &info) {
                           return std::string(info.param.a.name) + "_" + info.param.b.name;
                         });

// ---- seeded bugs

namespace {

struct Bug {
  const char *name, *from, *to; // `from` stands once in the kernel, or the first is meant
  const char *message;          // of the error
};

const char *const wrongLanes = "%quarter = llvm.and %warp, %c3 : i32";

// A thread of warp 4 has the same columns written again, while others may still read them.
const char *const secondProduct =
    "%other = llvm.icmp \"eq\" %tid, %c128 : i32\nllvm.cond_br %other, ^again, ^end\n^again:\n"
    "nvvm.tcgen05.mma %d, %tile, %tile, %sameShape, %false {kind = #nvvm.tcgen05_mma_kind<i8>, "
    "ctaGroup = #nvvm.cta_group<cta_1>} : (!llvm.ptr<6>, i64, i64, i32, i1)\n"
    "llvm.br ^end\n^end:\n";
const char *const lastJump = "    llvm.br ^end\n  ^end:\n";
const char *const lastJumpAndFence = "    llvm.br ^end\n  ^end:\n    nvvm.tcgen05.fence <before>\n";

const Bug bugs[] = {
    {"missing_wait_for_commit",
     "nvvm.mbarrier.try_wait.parity %bar, %c0, %ticks : !llvm.ptr<3>, i32, i32", "",
     "before an mbarrier told that the tcgen05.mma issued at ("},
    {"missing_commit", "nvvm.tcgen05.commit %bar : !llvm.ptr<3>", "", "deadlock"},
    {"commit_before_product", "nvvm.tcgen05.mma %d, %a0",
     "nvvm.tcgen05.commit %bar : !llvm.ptr<3>\nnvvm.tcgen05.mma %d, %a0",
     "before an mbarrier told that the tcgen05.mma issued at ("},
    {"missing_proxy_fence",
     "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}",
     "", "wrote without a fence.proxy.async since (nvvm.tcgen05.mma #1"},
    {"wrong_lanes", wrongLanes, "%quarter = llvm.and %c1, %c3 : i32",
     "reaches lanes 64 to 95 of tensor memory, not lane 32"},
    {"lanes_of_the_warps_number", wrongLanes, "%quarter = llvm.and %warp, %full : i32",
     "reaches lanes 0 to 31 of tensor memory, not lane 128"},
    {"register_before_its_wait", "nvvm.tcgen05.wait <load>", "",
     "a register is used before the tcgen05.wait::ld for the tcgen05.ld at ("},
    {"load_before_the_stores_wait", "nvvm.tcgen05.wait <store>", "",
     "before the tcgen05.wait::st of the tcgen05.st at ("},
    {"missing_fence_after", "nvvm.tcgen05.fence <after>", "",
     "without tcgen05.fence::after_thread_sync since"},
    {"other_accumulator", "%t0c = llvm.mlir.constant(0 : i32)",
     "%t0c = llvm.mlir.constant(96 : i32)", "where nothing was ever written"},
    {"columns_of_nobody", "%t0c = llvm.mlir.constant(0 : i32)",
     "%t0c = llvm.mlir.constant(-16 : i32)", "which is not allocated"},
    {"sums_of_nothing", "%instruction, %false", "%instruction, %true",
     "where nothing was ever written"},
    {"leak", "nvvm.tcgen05.dealloc %d, %columns : !llvm.ptr<6>, i32", "",
     "ends with 256 columns of tensor memory allocated"},
    {"free_of_other_columns", "nvvm.tcgen05.dealloc %d, %columns", "nvvm.tcgen05.dealloc %d, %c128",
     "tcgen05.dealloc of 128 columns at 256, which were not allocated so"},
    {"second_relinquish", "nvvm.tcgen05.relinquish_alloc_permit",
     "nvvm.tcgen05.relinquish_alloc_permit\nnvvm.tcgen05.relinquish_alloc_permit",
     "the permit to allocate was relinquished before"},
    {"allocation_after_relinquish", "nvvm.tcgen05.relinquish_alloc_permit",
     "nvvm.tcgen05.relinquish_alloc_permit\nnvvm.tcgen05.alloc %address, %c128 : "
     "!llvm.ptr<3>, i32",
     "after the relinquish_alloc_permit"},
    {"odd_allocation", "%columns = llvm.mlir.constant(256 : i32)",
     "%columns = llvm.mlir.constant(96 : i32)", "no power of two from 32 to 512"},
    {"use_after_free", "    llvm.br ^return\n",
     "    %late = nvvm.tcgen05.ld %d {shape = #nvvm.tcgen05_ldst_shape<shape_32x32b>} : "
     "vector<16xi32>\n    llvm.br ^return\n",
     "which is not allocated"},
    {"operand_written_too_early", "nvvm.tcgen05.commit %bar : !llvm.ptr<3>",
     "nvvm.tcgen05.commit %bar : !llvm.ptr<3>\nllvm.store %c0, %tiles : i32, !llvm.ptr<3>",
     "that an asynchronous copy still reads"},
    {"overwritten_before_it_was_read", lastJumpAndFence, secondProduct,
     "without tcgen05.wait::ld and tcgen05.fence::before_thread_sync since"},
    {"overwritten_in_no_order", lastJump, secondProduct,
     "without tcgen05.fence::after_thread_sync since"},
};

class TensorMemoryBug : public testing::TestWithParam<Bug> {};

} // namespace

TEST_P(TensorMemoryBug, isFound) {
  const Bug &bug = GetParam();
  const Case which = {swizzle128, swizzle128, true, true, 16};
  const Tiles tiles = makeTiles(which);
  std::string text = tensorKernel(which);
  const size_t at = text.find(bug.from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string(bug.from).size(), bug.to);
  text.insert(text.find("    %true ="), constant("%c128", 128, "i32") +
                                            constant("%tile", descriptorOf(which.a, 0), "i64") +
                                            constant("%sameShape", instructionOf(which), "i32"));
  const EmulatedKernel kernel(text);
  std::vector<int32_t> out(static_cast<size_t>(threads) * which.n);
  EXPECT_THAT(kernel.run(twoWarpgroups(), {readOnly(tiles.bytes, "in"), buffer(out, "out")}),
              HasSubstr(bug.message));
}

INSTANTIATE_TEST_SUITE_P(Seeded, TensorMemoryBug, testing::ValuesIn(bugs),
                         [](const testing::TestParamInfo<Bug> &info) {
                           return std::string(info.param.name);
                         });
