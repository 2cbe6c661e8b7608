// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "shfl.sync", "vote.sync", "match.sync", "redux.sync",
// "elect.sync", "bar".
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace grok::test;
using testing::HasSubstr;

// A kernel with one buffer of words: out[thread] = `expression` of the thread,
// with %mask = -1 and %tid.
static std::string perThread(const std::string &code) {
  return R"(
  gpu.func @kernel(%out: !llvm.ptr<1>) kernel {
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    %lane = nvvm.read.ptx.sreg.laneid : i32
    %mask = llvm.mlir.constant(-1 : i32) : i32
)" + code +
         R"(
    %at = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
    llvm.store %result, %at : i32, !llvm.ptr<1>
    gpu.return
  })";
}

static std::vector<uint32_t> runPerThread(const std::string &code, uint32_t threads = 32) {
  const EmulatedKernel kernel(perThread(code));
  std::vector<uint32_t> out(threads);
  Grid grid;
  grid.threads = threads;
  EXPECT_EQ(kernel.everySchedule(grid, {buffer(out, "out")},
                                 [&] { std::fill(out.begin(), out.end(), 0xdeadu); }),
            "");
  return out;
}

TEST(WarpOps, ReadsRegisters) {
  const auto out = runPerThread(R"(
    %c100 = llvm.mlir.constant(100 : i32) : i32
    %warp = nvvm.read.ptx.sreg.warpid : i32
    %scaled = llvm.mul %warp, %c100 : i32
    %result = llvm.add %scaled, %lane : i32)",
                                64);
  for (uint32_t t = 0; t < 64; ++t)
    EXPECT_EQ(out[t], t / 32 * 100 + t % 32);
}

TEST(WarpOps, ShufflesEveryKind) {
  struct Case {
    const char *kind;
    uint32_t operand, maskAndClamp;
    uint32_t (*source)(uint32_t lane);
  };
  const Case cases[] = {
      {"bfly", 5, 31, [](uint32_t lane) { return lane ^ 5; }},
      {"idx", 7, 31, [](uint32_t) { return 7u; }},
      {"up", 3, 0, [](uint32_t lane) { return lane < 3 ? lane : lane - 3; }},
      {"down", 4, 31, [](uint32_t lane) { return lane + 4 > 31 ? lane : lane + 4; }},
      // Segments of 8 lanes: segment mask 0x18 in bits 8..12.
      {"idx", 2, 0x181f, [](uint32_t lane) { return lane / 8 * 8 + 2; }},
      {"down", 3, 0x181f, [](uint32_t lane) { return lane % 8 + 3 > 7 ? lane : lane + 3; }},
      {"up", 3, 0x1800, [](uint32_t lane) { return lane % 8 < 3 ? lane : lane - 3; }},
      // Sources above the clamp are the lane itself.
      {"bfly", 16, 15, [](uint32_t lane) { return lane < 16 ? lane : lane ^ 16; }},
  };
  for (const Case &which : cases) {
    std::ostringstream code;
    code << "%b = llvm.mlir.constant(" << which.operand << " : i32) : i32\n"
         << "%c = llvm.mlir.constant(" << which.maskAndClamp << " : i32) : i32\n"
         << "%square = llvm.mul %lane, %lane : i32\n"
         << "%result = nvvm.shfl.sync " << which.kind << " %mask, %square, %b, %c : i32 -> i32\n";
    const auto out = runPerThread(code.str());
    for (uint32_t lane = 0; lane < 32; ++lane)
      EXPECT_EQ(out[lane], which.source(lane) * which.source(lane))
          << which.kind << " lane " << lane;
  }
}

TEST(WarpOps, ShuffleSaysWhetherItsSourceIsValid) {
  const auto out = runPerThread(R"(
    %b = llvm.mlir.constant(4 : i32) : i32
    %c = llvm.mlir.constant(31 : i32) : i32
    %both = nvvm.shfl.sync down %mask, %lane, %b, %c {return_value_and_is_valid} : i32 -> !llvm.struct<(i32, i1)>
    %valid = llvm.extractvalue %both[1] : !llvm.struct<(i32, i1)>
    %result = llvm.zext %valid : i1 to i32)");
  for (uint32_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(out[lane], lane + 4 <= 31);
}

TEST(WarpOps, Votes) {
  const std::string odd = R"(
    %one = llvm.mlir.constant(1 : i32) : i32
    %low = llvm.and %lane, %one : i32
    %odd = llvm.icmp "eq" %low, %one : i32)";
  EXPECT_EQ(runPerThread(odd + "%result = nvvm.vote.sync ballot %mask, %odd -> i32")[3],
            0xaaaaaaaau);
  for (auto [kind, expected] : {std::pair("any", 1u), {"all", 0u}, {"uni", 0u}})
    EXPECT_EQ(runPerThread(odd + "%v = nvvm.vote.sync " + kind + " %mask, %odd -> i1\n" +
                           "%result = llvm.zext %v : i1 to i32")[0],
              expected)
        << kind;
}

TEST(WarpOps, Matches) {
  const auto any = runPerThread(R"(
    %three = llvm.mlir.constant(3 : i32) : i32
    %key = llvm.urem %lane, %three : i32
    %result = nvvm.match.sync any %mask, %key : i32 -> i32)");
  for (uint32_t lane = 0; lane < 32; ++lane) {
    uint32_t same = 0;
    for (uint32_t other = lane % 3; other < 32; other += 3)
      same |= 1u << other;
    EXPECT_EQ(any[lane], same);
  }
  const auto all = runPerThread(R"(
    %key = llvm.mlir.constant(9 : i32) : i32
    %both = nvvm.match.sync all %mask, %key : i32 -> !llvm.struct<(i32, i1)>
    %result = llvm.extractvalue %both[0] : !llvm.struct<(i32, i1)>)");
  EXPECT_EQ(all[0], ~0u);
}

TEST(WarpOps, Reduces) {
  const std::string start = R"(
    %seven = llvm.mlir.constant(7 : i32) : i32
    %x = llvm.sub %seven, %lane : i32
    %result = nvvm.redux.sync )";
  std::vector<int32_t> x(32);
  std::iota(x.begin(), x.end(), -24); // 7 - lane, in another order
  EXPECT_EQ(static_cast<int32_t>(runPerThread(start + "add %x, %mask : i32 -> i32")[5]),
            std::accumulate(x.begin(), x.end(), 0));
  EXPECT_EQ(static_cast<int32_t>(runPerThread(start + "min %x, %mask : i32 -> i32")[5]), -24);
  EXPECT_EQ(static_cast<int32_t>(runPerThread(start + "max %x, %mask : i32 -> i32")[5]), 7);
  EXPECT_EQ(runPerThread(start + "umax %x, %mask : i32 -> i32")[5], ~0u);
  EXPECT_EQ(runPerThread(start + "umin %x, %mask : i32 -> i32")[5], 0u);
  const auto fold = [&](auto function, uint32_t sum) {
    for (int32_t value : x)
      sum = function(sum, static_cast<uint32_t>(value));
    return sum;
  };
  EXPECT_EQ(runPerThread(start + "and %x, %mask : i32 -> i32")[5],
            fold([](uint32_t a, uint32_t b) { return a & b; }, ~0u));
  EXPECT_EQ(runPerThread(start + "or %x, %mask : i32 -> i32")[5],
            fold([](uint32_t a, uint32_t b) { return a | b; }, 0));
  EXPECT_EQ(runPerThread(start + "xor %x, %mask : i32 -> i32")[5],
            fold([](uint32_t a, uint32_t b) { return a ^ b; }, 0));
}

TEST(WarpOps, ElectsOneLane) {
  const auto out = runPerThread(R"(
    %leader = nvvm.elect.sync -> i1
    %result = llvm.zext %leader : i1 to i32)");
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0u), 1u);
}

TEST(WarpOps, BarrierCountsPredicates) {
  const std::string lessThan40 = R"(
    %forty = llvm.mlir.constant(40 : i32) : i32
    %less = llvm.icmp "slt" %tid, %forty : i32
    %p = llvm.zext %less : i1 to i32
    %result = nvvm.barrier #nvvm.reduction<)";
  EXPECT_EQ(runPerThread(lessThan40 + "popc> %p -> i32", 64)[50], 40u);
  EXPECT_EQ(runPerThread(lessThan40 + "and> %p -> i32", 64)[50], 0u);
  EXPECT_EQ(runPerThread(lessThan40 + "or> %p -> i32", 64)[50], 1u);
}

TEST(WarpOps, RefusesUnknownOperationsByName) {
  EXPECT_THAT(translationError(perThread("%wide = nvvm.read.ptx.sreg.clock64 : i64\n"
                                         "%result = llvm.trunc %wide : i64 to i32")),
              HasSubstr("operation 'nvvm.read.ptx.sreg.clock64' is not emulated"));
}
