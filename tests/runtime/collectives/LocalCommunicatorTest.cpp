// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/LocalCommunicator.h"
#include "tests/runtime/collectives/Conformance.h"
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace grok::runtime {

using testing::AllOf;
using testing::HasSubstr;

// Runs `body` as every rank, each in a thread; what each returned.
static std::vector<Result<void>>
onEveryRank(int ranks, const std::function<Result<void>(Communicator &)> &body) {
  auto communicators = makeLocalCommunicators(ranks).value();
  std::vector<Result<void>> results(communicators.size());
  std::vector<std::thread> threads;
  threads.reserve(communicators.size());
  for (size_t rank = 0; rank < communicators.size(); ++rank)
    threads.emplace_back([&, rank] { results[rank] = body(*communicators[rank]); });
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

class LocalConformance : public testing::TestWithParam<std::tuple<conformance::Case, int>> {};

TEST_P(LocalConformance, Holds) {
  const auto &[tested, ranks] = GetParam();
  for (const Result<void> &result : onEveryRank(ranks, tested.run))
    EXPECT_TRUE(result) << result.error();
}

INSTANTIATE_TEST_SUITE_P(Ranks, LocalConformance,
                         testing::Combine(testing::ValuesIn(conformance::cases().begin(),
                                                            conformance::cases().end()),
                                          testing::Values(1, 2, 3, 4, 7)),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

static std::vector<int> pair() { return {0, 1}; }

TEST(LocalCommunicator, AMissingRankIsNamedAfterTheDeadline) {
  auto results = onEveryRank(2, [](Communicator &communicator) -> Result<void> {
    auto group = communicator.group(pair(), 64);
    if (communicator.rank() == 1)
      return {}; // never takes part
    communicator.setDeadline(std::chrono::milliseconds(60));
    communicator.setOperation("layer 3 attention");
    float value = 0, sum = 0;
    return (*group)->allReduceRows(&value, &sum, 1, 1);
  });
  ASSERT_FALSE(results[0]);
  EXPECT_THAT(results[0].error(),
              AllOf(HasSubstr("rank 1 (host "), HasSubstr("did not answer within 0.06 s"),
                    HasSubstr("all_reduce of \"layer 3 attention\"")));
}

TEST(LocalCommunicator, AMissingMessageIsNamedAfterTheDeadline) {
  auto results = onEveryRank(2, [](Communicator &communicator) -> Result<void> {
    communicator.setDeadline(std::chrono::milliseconds(60));
    char byte = 0;
    return communicator.rank() == 0 ? communicator.receive(1, &byte, 1) : Result<void>();
  });
  ASSERT_FALSE(results[0]);
  EXPECT_THAT(results[0].error(), AllOf(HasSubstr("rank 1 (host "), HasSubstr("receive")));
}

// Idle waits and waits outside of steps outlive the deadline by far.
TEST(LocalCommunicator, DeadlinesCountInsideStepsOnly) {
  auto results = onEveryRank(2, [](Communicator &communicator) -> Result<void> {
    communicator.setDeadline(std::chrono::milliseconds(1));
    communicator.setInStep(false);
    char byte = 7;
    if (communicator.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(120));
      if (auto sent = communicator.send(0, &byte, 1); !sent)
        return sent;
      communicator.setInStep(true);
      std::this_thread::sleep_for(std::chrono::milliseconds(120));
      return communicator.send(0, &byte, 1);
    }
    if (auto received = communicator.receive(1, &byte, 1); !received)
      return received;
    communicator.setInStep(true);
    return communicator.receiveIdle(1, &byte, 1);
  });
  EXPECT_TRUE(results[0]) << results[0].error();
}

TEST(LocalCommunicator, AnAbortEndsEveryWait) {
  auto results = onEveryRank(3, [](Communicator &communicator) -> Result<void> {
    char byte = 0;
    if (communicator.rank() == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      communicator.abort("rank 2 has had enough");
      communicator.abort("a later reason");
      return {};
    }
    if (communicator.rank() == 1)
      return communicator.receiveIdle(0, &byte, 1);
    auto group = communicator.group(pair(), 64);
    return (*group)->allGatherRows(&byte, &byte, 1, 1);
  });
  for (int rank : {0, 1}) {
    ASSERT_FALSE(results[static_cast<size_t>(rank)]);
    EXPECT_EQ(results[static_cast<size_t>(rank)].error(), "rank 2 has had enough");
  }
}

TEST(LocalCommunicator, MessagesOfUnexpectedSizes) {
  auto results = onEveryRank(2, [](Communicator &communicator) -> Result<void> {
    const char sent[3] = {1, 2, 3};
    char received[2];
    return communicator.rank() == 0 ? communicator.send(1, sent, 3)
                                    : communicator.receive(0, received, 2);
  });
  ASSERT_FALSE(results[1]);
  EXPECT_EQ(results[1].error(), "rank 0 sent 3 bytes where 2 were expected");
}

TEST(LocalCommunicator, MembersThatDisagree) {
  auto results = onEveryRank(2, [](Communicator &communicator) -> Result<void> {
    auto group = communicator.group(pair(), communicator.rank() == 0 ? 10 : 20);
    return group ? Result<void>() : fail(group.error());
  });
  EXPECT_NE(results[0].has_value(), results[1].has_value()) << "whoever comes second";
}

TEST(LocalCommunicator, NumbersOfRanks) {
  EXPECT_FALSE(makeLocalCommunicators(0));
  EXPECT_FALSE(makeLocalCommunicators(1'000'000));
}

// The monitor's view: what a rank does, and that it gets on.
TEST(LocalCommunicator, TellsWhatItDoes) {
  auto communicators = makeLocalCommunicators(1).value();
  Communicator &only = *communicators[0];
  const uint64_t before = only.activity().progress;
  only.setOperation("embed");
  EXPECT_STREQ(only.activity().operation, "embed");
  EXPECT_GT(only.activity().progress, before);
  EXPECT_EQ(only.activity().waitingFor, -1);
}

} // namespace grok::runtime
