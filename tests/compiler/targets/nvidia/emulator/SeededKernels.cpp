// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/targets/nvidia/emulator/SeededKernels.h"

namespace grok::test {

static Grid threads(uint32_t count, uint32_t blocks = 1) {
  Grid grid;
  grid.threads = count;
  grid.blocks = blocks;
  return grid;
}

static Grid clusterOfTwo(uint32_t count) {
  Grid grid = threads(count, 2);
  grid.clusterBlocks = 2;
  return grid;
}

// The sum over 4 tiles of 16 bytes of the thread's partner in the other warp.
static std::vector<uint32_t> partnerSums(const std::vector<uint32_t> &in) {
  std::vector<uint32_t> out(256);
  for (uint32_t tile = 0; tile < 4; ++tile)
    for (uint32_t t = 0; t < 64; ++t)
      for (uint32_t i = 0; i < 4; ++i)
        out[t * 4 + i] += in[tile * 256 + (t ^ 32) * 4 + i];
  return out;
}

const SeededKernel pipeline = {R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<1024 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c32 = llvm.mlir.constant(32 : i32) : i32
    %c256 = llvm.mlir.constant(256 : i32) : i32
    %tiles = llvm.mlir.constant(4 : i32) : i32 loc("tiles")
    %zeros = llvm.mlir.constant(dense<0> : vector<4xi32>) : vector<4xi32>
    %own = llvm.getelementptr %tile[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %other = llvm.xor %tid, %c32 : i32
    %partner = llvm.getelementptr %tile[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %word = llvm.mul %tid, %c4 : i32
    llvm.br ^loop(%c0, %zeros : i32, vector<4xi32>)
  ^loop(%i: i32, %sum: vector<4xi32>):
    %start = llvm.mul %i, %c256 : i32
    %element = llvm.add %start, %word : i32
    %from = llvm.getelementptr %in[%element] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    nvvm.cp.async.shared.global %own, %from, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group 0
    nvvm.barrier0 loc("arrived")
    %words = llvm.load %partner : !llvm.ptr<3> -> vector<4xi32>
    %next = llvm.add %sum, %words : vector<4xi32>
    nvvm.barrier0 loc("consumed")
    %j = llvm.add %i, %c1 : i32
    %more = llvm.icmp "slt" %j, %tiles : i32
    llvm.cond_br %more, ^loop(%j, %next : i32, vector<4xi32>), ^end
  ^end:
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    llvm.store %next, %to : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  })",
                               threads(64), 1024, 256, partnerSums};

// Each phase is filled by two bulk copies of 512 bytes.
const SeededKernel ring = {R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<1024 x i8>
  llvm.mlir.global internal @bar() {addr_space = 3 : i32, alignment = 8 : i64} : !llvm.array<8 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %bar = llvm.mlir.addressof @bar : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c32 = llvm.mlir.constant(32 : i32) : i32
    %half = llvm.mlir.constant(512 : i32) : i32
    %bytes = llvm.mlir.constant(1024 : i32) : i32
    %zeros = llvm.mlir.constant(dense<0> : vector<4xi32>) : vector<4xi32>
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    %high = llvm.getelementptr %tile[512] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    nvvm.mbarrier.init %bar, %c1, predicate = %leads : !llvm.ptr<3>, i32, i1
    nvvm.barrier0 loc("initialised")
    %other = llvm.xor %tid, %c32 : i32
    %partner = llvm.getelementptr %tile[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    llvm.br ^loop(%c0, %zeros : i32, vector<4xi32>)
  ^loop(%i: i32, %sum: vector<4xi32>):
    %parity = llvm.and %i, %c1 : i32
    %from = llvm.getelementptr %in[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<1024 x i8>
    %rest = llvm.getelementptr %from[512] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
    nvvm.mbarrier.arrive.expect_tx %bar, %bytes, predicate = %leads : !llvm.ptr<3>, i32, i1 loc("expect")
    llvm.cond_br %leads, ^issue, ^wait
  ^issue:
    nvvm.cp.async.bulk.shared.cluster.global %tile, %from, %bar, %half : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.bulk.shared.cluster.global %high, %rest, %bar, %half : !llvm.ptr<3>, !llvm.ptr<1>
    llvm.br ^wait
  ^wait:
    nvvm.mbarrier.try_wait.parity %bar, %parity, %c1 : !llvm.ptr<3>, i32, i32
    %words = llvm.load %partner : !llvm.ptr<3> -> vector<4xi32>
    %next = llvm.add %sum, %words : vector<4xi32>
    nvvm.barrier0
    %j = llvm.add %i, %c1 : i32
    %more = llvm.icmp "slt" %j, %c4 : i32
    llvm.cond_br %more, ^loop(%j, %next : i32, vector<4xi32>), ^end
  ^end:
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    llvm.store %next, %to : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  })",
                           threads(64), 1024, 256, partnerSums};

const SeededKernel store = {R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<1024 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c64 = llvm.mlir.constant(64 : i32) : i32
    %bytes = llvm.mlir.constant(1024 : i32) : i32
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    %own = llvm.getelementptr %tile[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    llvm.br ^loop(%c0 : i32)
  ^loop(%i: i32):
    %start = llvm.mul %i, %c64 : i32
    %row = llvm.add %start, %tid : i32
    %from = llvm.getelementptr %in[%row] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %words = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
    llvm.store %words, %own : vector<4xi32>, !llvm.ptr<3>
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    nvvm.barrier0
    llvm.cond_br %leads, ^issue, ^join
  ^issue:
    %to = llvm.getelementptr %out[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<1024 x i8>
    nvvm.cp.async.bulk.global.shared.cta %to, %tile, %bytes : !llvm.ptr<1>, !llvm.ptr<3>
    nvvm.cp.async.bulk.commit.group
    nvvm.cp.async.bulk.wait_group 0
    llvm.br ^join
  ^join:
    nvvm.barrier0
    %j = llvm.add %i, %c1 : i32
    %more = llvm.icmp "slt" %j, %c4 : i32
    llvm.cond_br %more, ^loop(%j : i32), ^end
  ^end:
    gpu.return
  })",
                            threads(64), 1024, 1024,
                            [](const std::vector<uint32_t> &in) { return in; }};

const SeededKernel branches = {R"(
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %mask = llvm.mlir.constant(-1 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c31 = llvm.mlir.constant(31 : i32) : i32
    %c16 = llvm.mlir.constant(16 : i32) : i32
    %c64 = llvm.mlir.constant(64 : i32) : i32
    %isLow = llvm.icmp "slt" %tid, %c16 : i32
    %always = llvm.icmp "slt" %tid, %c64 : i32
    %from = llvm.getelementptr %in[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %word = llvm.load %from : !llvm.ptr<1> -> i32
    llvm.cond_br %always, ^shuffle, ^skip(%word : i32)
  ^shuffle:
    %other = nvvm.shfl.sync bfly %mask, %word, %c1, %c31 : i32 -> i32
    llvm.br ^skip(%other : i32)
  ^skip(%result: i32):
    llvm.cond_br %always, ^left, ^right
  ^left:
    nvvm.barrier0
    llvm.br ^end
  ^right:
    nvvm.barrier0
    llvm.br ^end
  ^end:
    llvm.store %result, %to : i32, !llvm.ptr<1>
    gpu.return
  })",
                               threads(64), 64, 64, [](const std::vector<uint32_t> &in) {
                                 std::vector<uint32_t> out(64);
                                 for (uint32_t t = 0; t < 64; ++t)
                                   out[t] = in[t ^ 1];
                                 return out;
                               }};

// The first thread of each block adds to the counter and waits for all blocks.
const SeededKernel meeting = {R"(
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %block = nvvm.read.ptx.sreg.ctaid.x : i32
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c32 = llvm.mlir.constant(32 : i32) : i32
    %goal = llvm.mlir.constant(3 : i32) : i32
    %leads = llvm.icmp "eq" %tid, %c0 : i32
    llvm.cond_br %leads, ^add, ^join
  ^add:
    %before = llvm.atomicrmw add %counter, %c1 syncscope("device") acq_rel : !llvm.ptr<1>, i32
    llvm.br ^spin
  ^spin:
    %seen = llvm.load %counter atomic syncscope("device") acquire {alignment = 4 : i64} : !llvm.ptr<1> -> i32
    %enough = llvm.icmp "sge" %seen, %goal : i32
    llvm.cond_br %enough, ^join, ^spin
  ^join:
    nvvm.barrier0
    %sum = llvm.load %counter : !llvm.ptr<1> -> i32
    %start = llvm.mul %block, %c32 : i32
    %id = llvm.add %start, %tid : i32
    %to = llvm.getelementptr %out[%id] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    llvm.store %sum, %to : i32, !llvm.ptr<1>
    gpu.return
  })",
                              threads(32, 3), 1, 96, [](const std::vector<uint32_t> &) {
                                return std::vector<uint32_t>(96, 3);
                              }};

// Each block writes a word to the other's shared memory and reads one from there.
const SeededKernel cluster = {R"(
  llvm.mlir.global internal @words() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<64 x i32>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %words = llvm.mlir.addressof @words : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %block = nvvm.read.ptx.sreg.ctaid.x : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c32 = llvm.mlir.constant(32 : i32) : i32
    %own = llvm.getelementptr %words[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32
    %next = llvm.getelementptr %own[32] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i32
    %other = llvm.xor %block, %c1 : i32
    %start = llvm.mul %block, %c32 : i32
    %id = llvm.add %start, %tid : i32
    %from = llvm.getelementptr %in[%id] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %to = llvm.getelementptr %out[%id] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %word = llvm.load %from : !llvm.ptr<1> -> i32
    %theirs = nvvm.mapa %own, %other : !llvm.ptr<3> -> !llvm.ptr<7>
    %theirNext = nvvm.mapa %next, %other : !llvm.ptr<3> -> !llvm.ptr<7>
    nvvm.cluster.arrive
    nvvm.cluster.wait loc("begun")
    llvm.store %word, %theirs : i32, !llvm.ptr<7>
    nvvm.cluster.arrive
    nvvm.cluster.wait
    %got = llvm.load %own : !llvm.ptr<3> -> i32
    llvm.store %got, %next : i32, !llvm.ptr<3>
    nvvm.cluster.arrive
    nvvm.cluster.wait
    %back = llvm.load %theirNext : !llvm.ptr<7> -> i32
    llvm.store %back, %to : i32, !llvm.ptr<1>
    nvvm.cluster.arrive
    nvvm.cluster.wait loc("read")
    gpu.return
  })",
                              clusterOfTwo(32), 64, 64,
                              [](const std::vector<uint32_t> &in) { return in; }};

// What is read-only may be read before the wait; of the rest an earlier launch may still
// write anything.
const SeededKernel early = {R"(
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    nvvm.griddepcontrol launch_dependents
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %from = llvm.getelementptr %in[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    %weight = llvm.load %from : !llvm.ptr<1> -> i32
    nvvm.griddepcontrol wait
    %row = llvm.load %counter : !llvm.ptr<1> -> i32
    %sum = llvm.add %weight, %row : i32
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    llvm.store %sum, %to : i32, !llvm.ptr<1>
    gpu.return
  })",
                            threads(32), 32, 32,
                            [](const std::vector<uint32_t> &in) { return in; }};

// Rows of 64 bytes whose 16-byte columns are permuted by row / 2, written by rows
// and read by columns.
const SeededKernel swizzle = {R"(
  llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<512 x i8>
  gpu.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %counter: !llvm.ptr<1>) kernel {
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c2 = llvm.mlir.constant(2 : i32) : i32
    %c3 = llvm.mlir.constant(3 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c7 = llvm.mlir.constant(7 : i32) : i32
    %shift = llvm.mlir.constant(1 : i32) : i32
    %from = llvm.getelementptr %in[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    %words = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
    %row = llvm.lshr %tid, %c2 : i32
    %column = llvm.and %tid, %c3 : i32
    %pair = llvm.lshr %row, %c1 : i32
    %moved = llvm.xor %column, %pair : i32
    %line = llvm.mul %row, %c4 : i32
    %place = llvm.add %line, %moved : i32
    %mine = llvm.getelementptr %tile[%place] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    llvm.store %words, %mine : vector<4xi32>, !llvm.ptr<3>
    nvvm.barrier0
    %readRow = llvm.and %tid, %c7 : i32
    %readColumn = llvm.lshr %tid, %c3 : i32
    %readPair = llvm.lshr %readRow, %shift : i32
    %readMoved = llvm.xor %readColumn, %readPair : i32
    %readLine = llvm.mul %readRow, %c4 : i32
    %readPlace = llvm.add %readLine, %readMoved : i32
    %theirs = llvm.getelementptr %tile[%readPlace] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<16 x i8>
    %got = llvm.load %theirs : !llvm.ptr<3> -> vector<4xi32>
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.array<16 x i8>
    llvm.store %got, %to : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  })",
                              threads(32), 128, 128, [](const std::vector<uint32_t> &in) {
                                std::vector<uint32_t> out(128);
                                for (uint32_t t = 0; t < 32; ++t)
                                  for (uint32_t i = 0; i < 4; ++i)
                                    out[t * 4 + i] = in[(t % 8 * 4 + t / 8) * 4 + i];
                                return out;
                              }};

} // namespace grok::test
