// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "cp.async", "cp.async.bulk", "cp.async.bulk.tensor",
// "mbarrier", "barrier.cluster", "mapa". Every kernel copies in[..] to out[..]
// by one way through shared memory.
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace grok::test;
using testing::HasSubstr;

// A kernel with 2048 bytes of tile and one mbarrier; %own = 16 bytes of the tile,
// of in and of out that belong to the thread.
static std::string copyKernel(const std::string &code) {
  return R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<2048 x i8>
  llvm.mlir.global internal @bar() {addr_space = 3 : i32, alignment = 8 : i64} : !llvm.array<8 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %bar = llvm.mlir.addressof @bar : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c2048 = llvm.mlir.constant(2048 : i32) : i32
    %threads = nvvm.read.ptx.sreg.ntid.x : i32
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    %own = llvm.getelementptr %tile[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %from = llvm.getelementptr %in[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
)" + code +
         "\n    gpu.return\n  }";
}

static const std::string readOwn = R"(
    %words = llvm.load %own : !llvm.ptr<3> -> vector<4xi32>
    llvm.store %words, %to : vector<4xi32>, !llvm.ptr<1>)";

// Copies with 128 threads under every schedule. Returns the error.
static std::string runCopy(const std::string &code, std::vector<uint32_t> &out) {
  const EmulatedKernel kernel(copyKernel(code));
  std::vector<uint32_t> in(512);
  std::iota(in.begin(), in.end(), 1);
  out.assign(512, 0);
  Grid grid;
  grid.threads = 128;
  return kernel.everySchedule(grid, {readOnly(in, "in"), buffer(out, "out")},
                              [&] { std::fill(out.begin(), out.end(), 0); });
}

static void expectCopied(const std::string &code) {
  std::vector<uint32_t> out;
  ASSERT_EQ(runCopy(code, out), "");
  for (uint32_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(out[i], i + 1);
}

TEST(CopyAsync, ArrivesWhenItsGroupWasWaitedFor) {
  expectCopied(R"(
    nvvm.cp.async.shared.global %own, %from, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group 0)" +
               readOwn);
}

TEST(CopyAsync, WaitsForTheOldestGroupsOnly) {
  // Two groups of 8 bytes; wait_group 1 completes the first one.
  expectCopied(R"(
    %high = llvm.getelementptr %own[8] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %fromHigh = llvm.getelementptr %from[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
    %toHigh = llvm.getelementptr %to[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
    nvvm.cp.async.shared.global %own, %from, 8, cache = ca : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.commit.group
    nvvm.cp.async.shared.global %high, %fromHigh, 8, cache = ca : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group 1
    %low = llvm.load %own : !llvm.ptr<3> -> vector<2xi32>
    llvm.store %low, %to : vector<2xi32>, !llvm.ptr<1>
    nvvm.cp.async.wait.group 0
    %rest = llvm.load %high : !llvm.ptr<3> -> vector<2xi32>
    llvm.store %rest, %toHigh : vector<2xi32>, !llvm.ptr<1>)");
}

TEST(CopyAsync, FillsWhatTheSourceLacksWithZeros) {
  std::vector<uint32_t> out;
  ASSERT_EQ(runCopy(R"(
    %four = llvm.mlir.constant(4 : i32) : i32
    nvvm.cp.async.shared.global %own, %from, 16, cache = cg, %four : !llvm.ptr<3>, !llvm.ptr<1>, i32
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group 0)" +
                        readOwn,
                    out),
            "");
  for (uint32_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(out[i], i % 4 == 0 ? i + 1 : 0);
}

TEST(CopyAsync, ArrivesAtAnMbarrier) {
  expectCopied(R"(
    nvvm.mbarrier.init %bar, %threads, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.barrier0
    nvvm.cp.async.shared.global %own, %from, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.mbarrier.arrive %bar {noinc = true} : !llvm.ptr<3>
    nvvm.mbarrier.try_wait.parity %bar, %c0, %c1 : !llvm.ptr<3>, i32, i32)" +
               readOwn);
}

static const std::string initBarrier = R"(
    nvvm.mbarrier.init %bar, %c1, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.fence.mbarrier.init
    nvvm.barrier0)";

TEST(BulkCopy, CompletesTransactionsOfAnMbarrier) {
  expectCopied(initBarrier + R"(
    llvm.cond_br %leads, ^issue, ^join
  ^issue:
    nvvm.mbarrier.arrive.expect_tx %bar, %c2048 : !llvm.ptr<3>, i32
    %cluster = llvm.addrspacecast %tile : !llvm.ptr<3> to !llvm.ptr<7>
    nvvm.cp.async.bulk.shared.cluster.global %cluster, %in, %bar, %c2048 : !llvm.ptr<7>, !llvm.ptr<1>
    llvm.br ^join
  ^join:
    nvvm.mbarrier.try_wait.parity %bar, %c0, %c1 : !llvm.ptr<3>, i32, i32)" +
               readOwn);
}

TEST(BulkCopy, CanBePolledFor) {
  expectCopied(initBarrier + R"(
    llvm.cond_br %leads, ^issue, ^poll
  ^issue:
    nvvm.mbarrier.arrive.expect_tx %bar, %c2048 : !llvm.ptr<3>, i32
    nvvm.cp.async.bulk.shared.cluster.global %tile, %in, %bar, %c2048 : !llvm.ptr<3>, !llvm.ptr<1>
    llvm.br ^poll
  ^poll:
    %done = nvvm.mbarrier.test.wait %bar, %c0 : !llvm.ptr<3>, i32 -> i1
    llvm.cond_br %done, ^join, ^poll
  ^join:)" + readOwn);
}

TEST(BulkCopy, WritesGlobalMemoryByItsWait) {
  expectCopied(R"(
    %words = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
    llvm.store %words, %own : vector<4xi32>, !llvm.ptr<3>
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    nvvm.barrier0
    llvm.cond_br %leads, ^issue, ^join
  ^issue:
    nvvm.cp.async.bulk.global.shared.cta %out, %tile, %c2048 : !llvm.ptr<1>, !llvm.ptr<3>
    nvvm.cp.async.bulk.commit.group
    nvvm.cp.async.bulk.wait_group 0
    llvm.br ^join
  ^join:)");
}

// ---- tensor copies

// A box of 8 rows x 64 bytes at (16, 4) of a 32 x 48 byte-matrix, by swizzle.
TEST(TensorCopy, SwizzlesAndFillsOutsideWithZeros) {
  const EmulatedKernel kernel(R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<512 x i8>
  llvm.mlir.global internal @bar() {addr_space = 3 : i32, alignment = 8 : i64} : !llvm.array<8 x i8>
  gpu.func @kernel(%map: !llvm.ptr<1>, %in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %bar = llvm.mlir.addressof @bar : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c16 = llvm.mlir.constant(16 : i32) : i32
    %bytes = llvm.mlir.constant(512 : i32) : i32
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    nvvm.mbarrier.init %bar, %c1, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.barrier0
    %descriptor = llvm.addrspacecast %map : !llvm.ptr<1> to !llvm.ptr
    nvvm.mbarrier.arrive.expect_tx %bar, %bytes, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.cp.async.bulk.tensor.shared.cluster.global %tile, %descriptor, %bar, box[%c16, %c4] predicate = %leads : !llvm.ptr<3>, !llvm.ptr
    nvvm.mbarrier.try_wait.parity %bar, %c0, %c1 : !llvm.ptr<3>, i32, i32
    %own = llvm.getelementptr %tile[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %words = llvm.load %own : !llvm.ptr<3> -> vector<4xi32>
    llvm.store %words, %to : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  })");
  constexpr int rows = 8, columns = 48, boxRows = 8, boxColumns = 64, atColumn = 16, atRow = 4;
  for (uint32_t span : {0u, 64u}) {
    std::vector<uint8_t> in(rows * columns), out(512);
    std::iota(in.begin(), in.end(), 1);
    std::vector<GrokEmulatorTensorMap> map(1);
    map[0].magic = GROK_TENSOR_MAP_MAGIC;
    map[0].base = in.data();
    map[0].rank = 2;
    map[0].elementBytes = 1;
    map[0].size[0] = columns;
    map[0].size[1] = rows;
    map[0].box[0] = boxColumns;
    map[0].box[1] = boxRows;
    map[0].stride[0] = columns;
    map[0].swizzle = span;
    ASSERT_EQ(kernel.everySchedule(
                  {}, {readOnly(map, "map"), readOnly(in, "in"), buffer(out, "out")}, [] {}),
              "");
    for (int row = 0; row < boxRows; ++row)
      for (int column = 0; column < boxColumns; ++column) {
        const int r = atRow + row, c = atColumn + column;
        const int expected = r < rows && c < columns ? in[r * columns + c] : 0;
        int offset = row * boxColumns + column;
        // 64-byte swizzle: bits 4..5 of an address are xored with bits 7..8.
        if (span == 64)
          offset ^= (offset >> 7 & 3) << 4;
        ASSERT_EQ(out[offset], expected) << row << ", " << column;
      }
  }
}

// ---- clusters

TEST(Cluster, ReadsTheNextBlocksMemory) {
  const EmulatedKernel kernel(R"(
  llvm.mlir.global internal @slot() {addr_space = 3 : i32, alignment = 4 : i64} : !llvm.array<128 x i8>
  gpu.func @kernel(%out: !llvm.ptr<1>) kernel {
    %slot = llvm.mlir.addressof @slot : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %block = nvvm.read.ptx.sreg.ctaid.x : i32
    %rank = nvvm.read.ptx.sreg.cluster.ctaid.x : i32
    %size = nvvm.read.ptx.sreg.cluster.nctaid.x : i32
    %threads = nvvm.read.ptx.sreg.ntid.x : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %scaled = llvm.mul %block, %threads : i32
    %id = llvm.add %scaled, %tid : i32
    %mine = llvm.getelementptr %slot[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32
    llvm.store %id, %mine : i32, !llvm.ptr<3>
    nvvm.cluster.arrive
    nvvm.cluster.wait
    %next = llvm.add %rank, %c1 : i32
    %other = llvm.urem %next, %size : i32
    %theirs = nvvm.mapa %mine, %other : !llvm.ptr<3> -> !llvm.ptr<7>
    %value = llvm.load %theirs : !llvm.ptr<7> -> i32
    nvvm.cluster.arrive
    nvvm.cluster.wait
    %at = llvm.getelementptr %out[%id] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    llvm.store %value, %at : i32, !llvm.ptr<1>
    gpu.return
  })");
  std::vector<uint32_t> out(6 * 32);
  Grid grid;
  grid.blocks = 6;
  grid.clusterBlocks = 3;
  grid.osThreads = 2;
  ASSERT_EQ(kernel.everySchedule(grid, {buffer(out, "out")}, [] {}), "");
  for (uint32_t block = 0; block < 6; ++block)
    for (uint32_t t = 0; t < 32; ++t)
      EXPECT_EQ(out[block * 32 + t], (block / 3 * 3 + (block + 1) % 3) * 32 + t);
}

TEST(Cluster, MulticastsToSeveralBlocks) {
  const EmulatedKernel kernel(R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<128 x i8>
  llvm.mlir.global internal @bar() {addr_space = 3 : i32, alignment = 8 : i64} : !llvm.array<8 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %bar = llvm.mlir.addressof @bar : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %rank = nvvm.read.ptx.sreg.cluster.ctaid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c128 = llvm.mlir.constant(128 : i32) : i32
    %both = llvm.mlir.constant(3 : i16) : i16
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    nvvm.mbarrier.init %bar, %c1, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.mbarrier.arrive.expect_tx %bar, %c128, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.cluster.arrive
    nvvm.cluster.wait
    %sum = llvm.add %tid, %rank : i32
    %issues = llvm.icmp "eq" %sum, %c0 : i32
    llvm.cond_br %issues, ^issue, ^join
  ^issue:
    %cluster = llvm.addrspacecast %tile : !llvm.ptr<3> to !llvm.ptr<7>
    nvvm.cp.async.bulk.shared.cluster.global %cluster, %in, %bar, %c128 multicast_mask = %both : !llvm.ptr<7>, !llvm.ptr<1>
    llvm.br ^join
  ^join:
    nvvm.mbarrier.try_wait.parity %bar, %c0, %c1 : !llvm.ptr<3>, i32, i32
    %own = llvm.getelementptr %tile[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32
    %word = llvm.load %own : !llvm.ptr<3> -> i32
    %threads = nvvm.read.ptx.sreg.ntid.x : i32
    %scaled = llvm.mul %rank, %threads : i32
    %id = llvm.add %scaled, %tid : i32
    %at = llvm.getelementptr %out[%id] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    llvm.store %word, %at : i32, !llvm.ptr<1>
    gpu.return
  })");
  std::vector<uint32_t> in(32), out(64);
  std::iota(in.begin(), in.end(), 5);
  Grid grid;
  grid.blocks = grid.clusterBlocks = 2;
  ASSERT_EQ(kernel.everySchedule(grid, {readOnly(in, "in"), buffer(out, "out")}, [] {}), "");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], 5 + i % 32);
}
