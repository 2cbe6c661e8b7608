// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/LocalCommunicator.h"
#include "tests/runtime/collectives/Conformance.h"
#include "tests/runtime/collectives/FakeNccl.h"
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace grok::runtime {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A rank with a GPU: groups are NCCL's, all else goes through the host.
class DeviceRank : public Communicator {
public:
  explicit DeviceRank(std::unique_ptr<Communicator> over)
      : host(std::move(over)), queue(makeHostQueue()) {
    rules.rank = host->rank();
    rules.hosts = host->waitRules().hosts;
  }
  Result<std::unique_ptr<Group>> group(std::span<const int> members, uint64_t) override {
    return NcclGroup::create(members, *host, *queue, fakeNccl());
  }
  Result<void> send(int peer, const void *data, size_t bytes) override {
    return host->send(peer, data, bytes);
  }
  Result<void> receive(int peer, void *data, size_t bytes) override {
    return host->receive(peer, data, bytes);
  }
  Result<void> receiveIdle(int peer, void *data, size_t bytes) override {
    return host->receiveIdle(peer, data, bytes);
  }

  std::unique_ptr<Communicator> host;
  std::unique_ptr<DeviceQueue> queue;
};

static std::vector<Result<void>> onEveryDevice(int ranks, Result<void> (*body)(Communicator &)) {
  auto hosts = makeLocalCommunicators(ranks).value();
  std::vector<Result<void>> results(hosts.size());
  std::vector<std::thread> threads;
  threads.reserve(hosts.size());
  for (size_t rank = 0; rank < hosts.size(); ++rank)
    threads.emplace_back([&, rank] {
      DeviceRank device(std::move(hosts[rank]));
      results[rank] = body(device);
    });
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

class NcclConformance : public testing::TestWithParam<std::tuple<conformance::Case, int>> {};

TEST_P(NcclConformance, Holds) {
  const auto &[tested, ranks] = GetParam();
  for (const Result<void> &result : onEveryDevice(ranks, tested.run))
    EXPECT_TRUE(result) << result.error();
}

INSTANTIATE_TEST_SUITE_P(Ranks, NcclConformance,
                         testing::Combine(testing::ValuesIn(conformance::cases().begin(),
                                                            conformance::cases().end()),
                                          testing::Values(1, 2, 3)),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

static Result<void> reduceOnce(Communicator &communicator) {
  const std::vector<int> members = {0, 1};
  auto &device = static_cast<DeviceRank &>(communicator);
  auto group = communicator.group(members, 64);
  if (!group)
    return fail(group.error());
  device.host->setDeadline(std::chrono::milliseconds(50));
  device.host->setOperation("layer 2 attention");
  const float own = 1;
  float sum = 0;
  return (*group)->allReduceRows(&own, &sum, 1, 1);
}

TEST(NcclGroup, AnErrorInTheBackground) {
  setFakeFailure(FakeFailure::error);
  for (const Result<void> &result : onEveryDevice(2, reduceOnce)) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error(), "NCCL: remote error, in all_reduce of \"layer 2 attention\"");
  }
  setFakeFailure(FakeFailure::none);
}

TEST(NcclGroup, AHangEndsAtTheDeadline) {
  setFakeFailure(FakeFailure::hang);
  for (const Result<void> &result : onEveryDevice(2, reduceOnce)) {
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error(), AllOf(HasSubstr("did not answer within 0.05 s"),
                                      HasSubstr("all_reduce of \"layer 2 attention\"")));
  }
  setFakeFailure(FakeFailure::none);
}

static std::string errorWith(const char *library) {
  setenv("GROK_NCCL_LIBRARY", library, 1);
  auto opened = nccl::open();
  unsetenv("GROK_NCCL_LIBRARY");
  return opened ? "opened" : opened.error();
}

TEST(NcclLibrary, WhereThereIsNone) {
  EXPECT_THAT(errorWith("/no/such/libnccl.so.2"),
              AllOf(HasSubstr("NCCL cannot be used: /no/such/libnccl.so.2"), Not(HasSubstr("\n"))));
  EXPECT_THAT(errorWith("libc.so.6"), HasSubstr("libc.so.6 has no ncclGetVersion"));
}

} // namespace grok::runtime
