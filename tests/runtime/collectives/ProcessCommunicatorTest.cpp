// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/SharedMemory.h"
#include "tests/runtime/collectives/Conformance.h"
#include "tests/runtime/collectives/ForkedRanks.h"
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace grok::runtime {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

class ProcessConformance : public testing::TestWithParam<std::tuple<conformance::Case, int, bool>> {
};

TEST_P(ProcessConformance, Holds) {
  const auto &[tested, ranks, sharedMemory] = GetParam();
  EXPECT_THAT(onForkedRanks(ranks, sharedMemory, tested.run), Each(IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(Ranks, ProcessConformance,
                         testing::Combine(testing::ValuesIn(conformance::cases().begin(),
                                                            conformance::cases().end()),
                                          testing::Values(1, 2, 3, 4), testing::Bool()),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::to_string(std::get<1>(info.param)) +
                                  (std::get<2>(info.param) ? "_shared_memory" : "_messages");
                         });

static Result<void> reduceForEver(Communicator &communicator) {
  const std::vector<int> members = {0, 1, 2};
  auto group = communicator.group(members, 64);
  if (!group)
    return fail(group.error());
  communicator.setOperation("layer 5 experts");
  communicator.setDeadline(std::chrono::milliseconds(200));
  for (int round = 0;; ++round) {
    float value = 1, sum = 0;
    if (communicator.rank() == 2 && round == 10)
      raise(SIGKILL);
    if (auto done = (*group)->allReduceRows(&value, &sum, 1, 1); !done)
      return done;
  }
}

TEST(ProcessCommunicator, AKilledRankIsNamed) {
  for (const bool sharedMemory : {true, false}) {
    const std::vector<std::string> errors = onForkedRanks(3, sharedMemory, reduceForEver);
    EXPECT_THAT(errors[0], AllOf(HasSubstr("rank "), HasSubstr("(host test)"),
                                 HasSubstr("all_reduce of \"layer 5 experts\"")));
    EXPECT_NE((errors[0] + errors[1]).find("rank 2 (host test)"), std::string::npos)
        << errors[0] << '\n'
        << errors[1];
    EXPECT_EQ(errors[2], "signal 9");
  }
}

TEST(ProcessCommunicator, SharesMemoryWhereItMay) {
  const auto expectSharing = [](bool expected) {
    return [expected](Communicator &communicator) -> Result<void> {
      const std::vector<int> members = {1, 0};
      auto group = communicator.group(members, 64);
      if (!group)
        return fail(group.error());
      return (*group)->sharesMemory() == expected ? Result<void>() : fail("the other way");
    };
  };
  EXPECT_THAT(onForkedRanks(2, true, expectSharing(true)), Each(IsEmpty()));
  EXPECT_THAT(onForkedRanks(2, false, expectSharing(false)), Each(IsEmpty()));
}

// Kilobytes at once, so that a write of one is seen by the other as such.
TEST(SharedMemory, IsTheSameMemory) {
  auto made = SharedMemory::create(10'000).value();
  auto mapped = SharedMemory::map(made.offer()).value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(mapped.memory().get()) % 4096, 0u);
  made.memory().get()[9'999] = std::byte{42};
  EXPECT_EQ(mapped.memory().get()[9'999], std::byte{42});
  EXPECT_EQ(mapped.memory().get()[0], std::byte{0});
}

TEST(SharedMemory, WhatIsNotOurs) {
  auto made = SharedMemory::create(10'000).value();
  const SharedMemoryOffer offer = made.offer();
  const auto errorOf = [](const SharedMemoryOffer &wrong) {
    auto mapped = SharedMemory::map(wrong);
    return mapped ? std::string("mapped") : mapped.error();
  };
  SharedMemoryOffer wrong = offer;
  wrong.bootId[0] = 'x';
  EXPECT_EQ(errorOf(wrong), "the memory is another host's");
  wrong = offer;
  wrong.nonce[1] ^= 1;
  EXPECT_THAT(errorOf(wrong), HasSubstr("is not the memory that is offered"));
  wrong = offer;
  wrong.bytes += 1;
  EXPECT_THAT(errorOf(wrong), HasSubstr("is not the memory that is offered"));
  wrong = offer;
  wrong.descriptor = 0; // whatever it is
  EXPECT_NE(errorOf(wrong), "mapped");
  EXPECT_EQ(errorOf(noSharedMemory()), "no shared memory is offered");
  made.stopOffering();
  EXPECT_NE(errorOf(offer), "mapped");
}

} // namespace grok::runtime
