// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The emulator finds what it claims to find: each kernel here is right, and wrong
// after one change. What is not reported must show in the result.
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"
#include "tests/compiler/targets/nvidia/emulator/SeededKernels.h"
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace grok::test;
using testing::HasSubstr;

namespace {

const char *const wrongResult = "wrong result";

struct Bug {
  const char *name;
  const SeededKernel *kernel;
  const char *from, *to; // the change; `from` stands once in the kernel
  const char *message;   // that every report has, or wrongResult
};

const char *const pending = "that an asynchronous copy still writes";

const Bug bugs[] = {
    {"missing_barrier_after_wait", &pipeline, "nvvm.barrier0 loc(\"arrived\")", "", "race: "},
    {"missing_barrier_before_overwrite", &pipeline, "nvvm.barrier0 loc(\"consumed\")", "",
     "race: "},
    {"weak_wait_group", &pipeline, "wait.group 0", "wait.group 1", pending},
    {"read_before_wait", &pipeline, "nvvm.cp.async.wait.group 0", "", pending},
    {"missing_commit", &pipeline, "nvvm.cp.async.commit.group", "", pending},
    {"off_by_one_tile", &pipeline, "constant(4 : i32) : i32 loc(\"tiles\")",
     "constant(5 : i32) : i32", "of in, out of bounds: it has 4096 (nvvm.cp.async"},
    {"misaligned_cp_async", &pipeline, "%in[%element] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32",
     "%in[%element] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16", "is not aligned to 16"},
    {"out_of_bounds_shared", &pipeline, "!llvm.array<1024 x i8>", "!llvm.array<1008 x i8>",
     "out of bounds: the block has 1008"},
    {"write_to_read_only_memory", &pipeline, "%out[%tid]", "%in[%tid]", "which is read-only"},

    {"wrong_mbarrier_phase", &ring, "%parity = llvm.and %i, %c1 : i32",
     "%parity = llvm.sub %c1, %c1 : i32", pending},
    {"inverted_mbarrier_phase", &ring, "%parity = llvm.and %i, %c1 : i32",
     "%flipped = llvm.add %i, %c1 : i32\n%parity = llvm.and %flipped, %c1 : i32", pending},
    {"refill_before_all_have_read", &ring, "nvvm.barrier0\n    %j", "%j", pending},
    {"too_few_bytes_expected", &ring, "%bytes = llvm.mlir.constant(1024",
     "%bytes = llvm.mlir.constant(512", "fewer were expected than are copied"},
    {"part_of_a_copy_expected", &ring, "%bytes = llvm.mlir.constant(1024",
     "%bytes = llvm.mlir.constant(768", "0 arrivals and -256 bytes are due"},
    {"too_many_bytes_expected", &ring, "%bytes = llvm.mlir.constant(1024",
     "%bytes = llvm.mlir.constant(1040", "0 arrivals and 16 bytes are due"},
    {"missing_init", &ring,
     "nvvm.mbarrier.init %bar, %c1, predicate = %leads : !llvm.ptr<3>, i32, i1", "",
     "is used before its init"},
    {"missing_barrier_after_init", &ring, "nvvm.barrier0 loc(\"initialised\")", "",
     "is used before its init"},
    {"too_many_arrivals", &ring, ", predicate = %leads : !llvm.ptr<3>, i32, i1 loc(\"expect\")",
     " : !llvm.ptr<3>, i32", "more arrivals than its init"},
    {"overwrite_while_bulk_store_reads", &store, "nvvm.cp.async.bulk.wait_group 0", "",
     "that an asynchronous copy still reads"},
    {"missing_proxy_fence", &store,
     "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}",
     "", "wrote without a fence.proxy.async since"},

    {"divergent_shuffle", &branches, "llvm.cond_br %always, ^shuffle, ^skip",
     "llvm.cond_br %isLow, ^shuffle, ^skip", "deadlock"},
    {"lane_outside_its_mask", &branches, "%mask = llvm.mlir.constant(-1 : i32)",
     "%mask = llvm.mlir.constant(65535 : i32)", "is not in its own mask 0xffff"},
    {"divergent_barrier", &branches, "llvm.cond_br %always, ^left, ^right",
     "llvm.cond_br %isLow, ^left, ^right", "divergent barrier 0"},
    {"barrier_not_reached_by_all", &branches, "llvm.cond_br %always, ^left, ^right",
     "llvm.cond_br %isLow, ^left, ^end", "at the block's barrier (nvvm.barrier0 #1"},

    {"counter_never_satisfied", &meeting, "%goal = llvm.mlir.constant(3 : i32)",
     "%goal = llvm.mlir.constant(4 : i32)", "spinning for memory to change at (llvm.load"},
    {"shared_memory_of_a_block_that_has_not_begun", &cluster,
     "nvvm.cluster.arrive\n    nvvm.cluster.wait loc(\"begun\")", "", "which has not begun"},
    {"shared_memory_of_a_block_that_has_ended", &cluster,
     "nvvm.cluster.arrive\n    nvvm.cluster.wait loc(\"read\")", "", "which has ended"},
    {"rows_before_griddepcontrol_wait", &early,
     "nvvm.griddepcontrol wait\n    %row = llvm.load %counter : !llvm.ptr<1> -> i32",
     "%row = llvm.load %counter : !llvm.ptr<1> -> i32\n    nvvm.griddepcontrol wait",
     "of counter before griddepcontrol.wait: an earlier launch may still work on it"},
    {"result_before_griddepcontrol_wait", &early, "nvvm.griddepcontrol wait\n",
     "llvm.store %weight, %out : i32, !llvm.ptr<1>\n    nvvm.griddepcontrol wait\n",
     "of out before griddepcontrol.wait"},
    {"wrong_swizzle", &swizzle, "%shift = llvm.mlir.constant(1 : i32)",
     "%shift = llvm.mlir.constant(2 : i32)", wrongResult},
};

class SeededBug : public testing::TestWithParam<Bug> {};

std::string replaced(std::string text, const Bug &bug) {
  const size_t at = text.find(bug.from);
  EXPECT_NE(at, std::string::npos) << "the kernel lacks " << bug.from;
  EXPECT_EQ(text.find(bug.from, at + 1), std::string::npos) << bug.from << " stands twice";
  return at == std::string::npos ? text : text.replace(at, std::string(bug.from).size(), bug.to);
}

// Every report of seven runs, one a line; a wrong result is one too.
std::string findings(const SeededKernel &what, const std::string &text) {
  const EmulatedKernel kernel(text);
  std::string all;
  for (uint32_t schedule : {grokScheduleInOrder, grokScheduleRandom, grokScheduleGreedyWarp})
    for (uint32_t seed = 1; seed <= (schedule == grokScheduleInOrder ? 1u : 3u); ++seed) {
      std::vector<uint32_t> in(what.inWords), out(what.outWords), counter(1);
      for (uint32_t i = 0; i < in.size(); ++i)
        in[i] = i * 2654435761u;
      const std::string error = kernel.launch(
          what.grid, {readOnly(in, "in"), buffer(out, "out"), buffer(counter, "counter")}, schedule,
          seed);
      if (!error.empty())
        all += error + "\n";
      else if (out != what.expected(in))
        all += std::string(wrongResult) + "\n";
    }
  return all;
}

} // namespace

TEST_P(SeededBug, IsFound) {
  const Bug &bug = GetParam();
  EXPECT_EQ(findings(*bug.kernel, bug.kernel->text), "");
  EXPECT_THAT(findings(*bug.kernel, replaced(bug.kernel->text, bug)), HasSubstr(bug.message));
}

INSTANTIATE_TEST_SUITE_P(Each, SeededBug, testing::ValuesIn(bugs),
                         [](const testing::TestParamInfo<Bug> &info) {
                           return std::string(info.param.name);
                         });

// No schedule hides a race: each of the seven runs reports one.
TEST(Race, IsFoundUnderEverySchedule) {
  for (const char *barrier :
       {"nvvm.barrier0 loc(\"arrived\")", "nvvm.barrier0 loc(\"consumed\")"}) {
    const Bug bug{"", &pipeline, barrier, "", ""};
    const std::string found = findings(pipeline, replaced(pipeline.text, bug));
    EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 7);
    EXPECT_EQ(found.find(wrongResult), std::string::npos) << found;
  }
}

TEST(Report, NamesKernelThreadOperationAndLine) {
  Bug bug{"", &pipeline, "wait.group 0", "wait.group 1", ""};
  EXPECT_THAT(findings(pipeline, replaced(pipeline.text, bug)),
              testing::ContainsRegex("^kernel: block 0, thread [0-9]+: read of shared byte [0-9]+ "
                                     ".* \\(llvm.load #1 at kernel.mlir:[0-9]+\\)"));
}
