// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ranks that are processes, each with a GPU of the fake driver and the fake NCCL.
#include "runtime/executor/NcclExchange.h"
#include "runtime/collectives/TreeSum.h"
#include "runtime/device/Choice.h"
#include "runtime/executor/PeerExchange.h"
#include "tests/runtime/collectives/ForkedRanks.h"
#include "tests/runtime/device/cuda/FakeDriver.h"
#include <gmock/gmock.h>
#include <thread>
#include <unistd.h>

namespace grok::runtime {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

/// Word `i` of a rank's message; sums of them depend on the order of additions.
static float wordOf(int rank, size_t i) {
  const auto mixed =
      static_cast<uint32_t>(i) * 2654435761U + static_cast<uint32_t>(rank) * 40503U + 12345U;
  return (static_cast<float>(mixed & 0xffff) / 65536.0F - 0.5F) *
         static_cast<float>(1U << (mixed >> 28));
}

static std::vector<float> messageOf(int rank, size_t words) {
  std::vector<float> message(words);
  for (size_t i = 0; i < words; ++i)
    message[i] = wordOf(rank, i);
  return message;
}

static std::vector<float> sumOf(const std::vector<std::vector<float>> &messages) {
  std::vector<const float *> parts;
  parts.reserve(messages.size());
  for (const auto &message : messages)
    parts.push_back(message.data());
  std::vector<float> sum(messages[0].size());
  treeSum(parts, sum.data(), static_cast<int64_t>(sum.size()));
  return sum;
}

static std::vector<std::vector<float>> allMessages(int ranks, size_t words) {
  std::vector<std::vector<float>> all;
  for (int rank = 0; rank < ranks; ++rank)
    all.push_back(messageOf(rank, words));
  return all;
}

namespace {

/// One rank with its GPU, in a process of its own.
class Rank {
public:
  Rank(Communicator &communicator, const plan::Plan &plan)
      : communicator(communicator),
        device(makeDevice(plan, DeviceKind::cuda,
                          {.threads = 1, .level = "", .place = communicator.rank()})
                   .value()) {
    communicator.setInStep(false);
    links.emplace(RankLinks::create(plan, communicator).value());
    auto made = NcclExchange::create(*device, *links);
    communicator.setInStep(true);
    if (made)
      exchange = std::move(*made);
    else
      problem = made.error();
  }

  bool serves() const {
    return exchange && exchange->serves(plan::Collective::all_gather, plan::Axis::ep, 4);
  }
  /// So many rows of a message with their places for source and target.
  CollectiveRows rowsOf(plan::Collective kind, int64_t rows, uint64_t rowWords);
  Result<void> begin(int64_t rows);
  Result<void> run(const CollectiveRows &what) { return exchange->run(what, "layer 1 sum"); }
  /// What is there once all has ended.
  Result<std::vector<float>> result(const std::byte *from, size_t words) {
    std::vector<float> values(words);
    return device->wait()
        .and_then([&] { return device->download(std::as_writable_bytes(std::span(values)), from); })
        .map([&] { return values; });
  }

  Communicator &communicator;
  std::unique_ptr<Device> device;
  std::optional<RankLinks> links;
  std::unique_ptr<NcclExchange> exchange;
  std::string problem;
  std::vector<std::unique_ptr<DeviceMemory>> buffers;
  std::vector<int32_t> numbers = std::vector<int32_t>(toy::maxStepRows);
};

} // namespace

CollectiveRows Rank::rowsOf(plan::Collective kind, int64_t rows, uint64_t rowWords) {
  CollectiveRows what = {
      .kind = kind, .over = plan::Axis::ep, .rows = rows, .rowBytes = rowWords * 4};
  const uint64_t bytes = static_cast<uint64_t>(rows) * what.rowBytes;
  const bool isSum = kind == plan::Collective::all_reduce;
  buffers.push_back(device->allocate(bytes, "source").value());
  what.source = buffers.back()->data();
  const auto members = static_cast<uint64_t>(communicator.ranks());
  buffers.push_back(device->allocate(isSum ? bytes : bytes * members, "target").value());
  what.target = buffers.back()->data();
  const std::vector<float> message = messageOf(communicator.rank(), bytes / 4);
  require(device->upload(what.source, std::as_bytes(std::span(message))));
  require(exchange->prepare(what));
  return what;
}

Result<void> Rank::begin(int64_t rows) {
  return device->begin({.rows = rows,
                        .tokens = numbers.data(),
                        .positions = numbers.data(),
                        .sequences = numbers.data(),
                        .pageTable = numbers.data(),
                        .pageTableStride = 1,
                        .logitRows = rows,
                        .logitRow = numbers.data(),
                        .draws = nullptr});
}

namespace {

class NcclExchangeTest : public testing::Test {
protected:
  NcclExchangeTest() {
    driver.set("GROK_EMULATOR_LIBRARY", EMULATOR).set("GROK_NCCL_LIBRARY", FAKE_CUDA);
  }
  /// By rank, what `body` says, or "".
  std::vector<std::string> onRanks(const std::function<Result<void>(Rank &)> &body, int ranks = 2,
                                   bool sharedMemory = false) {
    toy::writeFile(folder.path + "/model.plan",
                   toy::fileOf(toy::makePlanWithSum(plan::Axis::ep, ranks)));
    driver.set("FAKE_CUDA_DEVICES", std::to_string(ranks));
    auto document =
        parsePlan(toy::fileOf(toy::makePlanWithSum(plan::Axis::ep, ranks)), "toy").value();
    return onForkedRanks(ranks, sharedMemory, [&](Communicator &communicator) {
      if (prepare)
        prepare(communicator.rank());
      Rank rank(communicator, document.root());
      return body(rank);
    });
  }

  toy::TemporaryFolder folder;
  FakeDriver driver{folder.path + "/model.plan"};
  std::function<void(int rank)> prepare; // of each process
};

} // namespace

static Result<void> expectEqual(const Result<std::vector<float>> &actual,
                                const std::vector<float> &expected, const std::string &what) {
  if (!actual)
    return fail(actual.error());
  for (size_t i = 0; i < expected.size(); ++i)
    if ((*actual)[i] != expected[i])
      return fail(what, ": word ", i, " is ", (*actual)[i], ", expected ", expected[i]);
  return {};
}

static Result<void> expectGathered(Rank &rank, int64_t rows, uint64_t rowWords) {
  const CollectiveRows what = rank.rowsOf(plan::Collective::all_gather, rows, rowWords);
  const auto words = static_cast<size_t>(rows) * rowWords;
  const auto messages = allMessages(rank.communicator.ranks(), words);
  std::vector<float> expected;
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row)
    for (const auto &message : messages)
      for (size_t i = 0; i < rowWords; ++i)
        expected.push_back(message[row * rowWords + i]);
  auto done = rank.begin(rows).and_then([&] { return rank.run(what); });
  if (!done)
    return done;
  return expectEqual(rank.result(what.target, expected.size()), expected, "gathered");
}

static Result<void> expectSummed(Rank &rank, int64_t rows, uint64_t rowWords) {
  const CollectiveRows what = rank.rowsOf(plan::Collective::all_reduce, rows, rowWords);
  const auto words = static_cast<size_t>(rows) * rowWords;
  const auto expected = sumOf(allMessages(rank.communicator.ranks(), words));
  auto done = rank.begin(rows).and_then([&] { return rank.run(what); });
  if (!done)
    return done;
  return expectEqual(rank.result(what.target, words), expected, "summed");
}

// Whole shares and others, fewer words than members, several pieces of the fake.
static Result<void> expectAnySize(Rank &rank) {
  const std::pair<int64_t, uint64_t> sizes[] = {{1, 16}, {3, 5}, {1, 1}, {7, 24}, {5, 9001}};
  Result<void> done;
  for (auto [rows, words] : sizes)
    done =
        done.and_then([&, rows = rows, words = words] { return expectSummed(rank, rows, words); })
            .and_then(
                [&, rows = rows, words = words] { return expectGathered(rank, rows, words); });
  return done;
}

TEST_F(NcclExchangeTest, TwoRanks) { EXPECT_THAT(onRanks(expectAnySize), Each("")); }

TEST_F(NcclExchangeTest, ThreeRanks) { EXPECT_THAT(onRanks(expectAnySize, 3), Each("")); }

TEST_F(NcclExchangeTest, EightRanks) { EXPECT_THAT(onRanks(expectAnySize, 8), Each("")); }

// The second reads what the first one writes, the third uses its memory: nobody waits, the
// device keeps the order.
TEST_F(NcclExchangeTest, OneAfterTheOther) {
  const auto body = [](Rank &rank) -> Result<void> {
    const CollectiveRows first = rank.rowsOf(plan::Collective::all_reduce, 3, 6);
    CollectiveRows second = rank.rowsOf(plan::Collective::all_reduce, 3, 6);
    const CollectiveRows third = rank.rowsOf(plan::Collective::all_reduce, 3, 6);
    second.source = first.target;
    auto done = rank.begin(3)
                    .and_then([&] { return rank.run(first); })
                    .and_then([&] { return rank.run(second); })
                    .and_then([&] { return rank.run(third); });
    const std::vector<float> once = sumOf(allMessages(3, 18));
    return done.and_then([&] { return expectEqual(rank.result(third.target, 18), once, "third"); })
        .and_then([&] {
          return expectEqual(rank.result(second.target, 18), sumOf({once, once, once}), "second");
        });
  };
  EXPECT_THAT(onRanks(body, 3), Each(""));
}

/// By the kernel that writes into the others' memory.
static Result<void> runByKernel(Rank &rank, PeerExchange &peers, const CollectiveRows &what) {
  const auto told = peers.describe(what.kind, what.over, what.rowBytes, false, "layer 1 sum");
  if (!told)
    return fail("not by the kernel");
  rank.buffers.push_back(rank.device->allocate(sizeof *told, "description").value());
  std::byte *description = rank.buffers.back()->data();
  require(rank.device->upload(description, std::as_bytes(std::span(&*told, 1))));
  const std::array<const void *, 3> operands = {what.source, what.target, description};
  return rank.device->launch({peers.kernel(), operands}, 0);
}

// As a step does whose messages are short and long: one reads the other's result.
TEST_F(NcclExchangeTest, AmongKernelsOfTheOtherWay) {
  const auto body = [](Rank &rank) -> Result<void> {
    auto peers = PeerExchange::create(*rank.device, *rank.links).value();
    const CollectiveRows first = rank.rowsOf(plan::Collective::all_reduce, 3, 6);
    CollectiveRows second = first, third = first;
    second.source = first.target;
    second.target = rank.rowsOf(plan::Collective::all_reduce, 3, 6).target;
    third.source = second.target;
    third.target = rank.rowsOf(plan::Collective::all_reduce, 3, 6).target;
    auto done = rank.begin(3)
                    .and_then([&] { return runByKernel(rank, *peers, first); })
                    .and_then([&] { return rank.run(second); })
                    .and_then([&] { return runByKernel(rank, *peers, third); });
    std::vector<float> expected = sumOf(allMessages(2, 18));
    for (float &each : expected)
      each *= 4; // exact
    return done.and_then(
        [&] { return expectEqual(rank.result(third.target, 18), expected, "third"); });
  };
  EXPECT_THAT(onRanks(body, 2, true), Each(""));
}

// Also if they were told different things: else they would wait for each other for ever.
TEST_F(NcclExchangeTest, RanksAgreeOnWhatIsLong) {
  constexpr auto over = plan::Axis::ep;
  const auto expectFrom = [](Rank &rank, uint64_t bytes) {
    return rank.exchange->prefers(over, bytes) && !rank.exchange->prefers(over, bytes - 1)
               ? Result<void>()
               : fail("not from ", bytes, " bytes on");
  };
  EXPECT_THAT(onRanks([&](Rank &rank) { return expectFrom(rank, ncclFromBytes); }), Each(""));
  prepare = [](int rank) { setenv("GROK_NCCL_FROM", rank == 1 ? "5000" : "40", 1); };
  EXPECT_THAT(onRanks([&](Rank &rank) { return expectFrom(rank, 5000); }, 3), Each(""));
  prepare = [](int) { setenv("GROK_NCCL_FROM", "1 MiB", 1); };
  EXPECT_THAT(onRanks([](Rank &rank) { return Result<void>(fail(rank.problem)); }),
              Each("GROK_NCCL_FROM: '1 MiB' is not a number of bytes"));
}

static Result<void> expectLeftOut(Rank &rank) {
  return rank.serves() || !rank.problem.empty() ? fail("served: ", rank.problem) : Result<void>();
}

TEST_F(NcclExchangeTest, IsTheHostsIfOneRankCannot) {
  prepare = [](int rank) {
    if (rank == 1)
      setenv("GROK_NCCL_LIBRARY", "", 1);
  };
  EXPECT_THAT(onRanks(expectLeftOut), Each(""));
}

TEST_F(NcclExchangeTest, IsTheHostsIfTwoRanksShareAGpu) {
  prepare = [](int) { setenv("FAKE_CUDA_DEVICES", "2", 1); };
  EXPECT_THAT(onRanks(expectLeftOut, 3), Each(""));
}

TEST_F(NcclExchangeTest, ALibraryThatWasAskedForMustDo) {
  driver.set("FAKE_NCCL_FAIL", "version");
  for (int rank : {0, 1})
    EXPECT_THAT(onRanks([](Rank &rank) { return Result<void>(fail(rank.problem)); })[rank],
                AllOf(HasSubstr("NCCL cannot be used: version 21000, expected 21700 or later"),
                      Not(HasSubstr("\n"))));
}

// Each rank alone could use it.
TEST_F(NcclExchangeTest, AConnectionThatFails) {
  driver.set("FAKE_NCCL_FAIL", "connect");
  const auto errors = onRanks([](Rank &rank) { return Result<void>(fail(rank.problem)); });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("NCCL: "), HasSubstr("in connect of \"NCCL\""),
                                 HasSubstr("set GROK_NCCL_LIBRARY to nothing"))));
  EXPECT_THAT(errors[0], HasSubstr("unhandled system error (no interface to connect with)"));
}

TEST_F(NcclExchangeTest, ALibraryThatDoesNotWorkHere) {
  driver.set("FAKE_NCCL_FAIL", "driver");
  const auto errors = onRanks([](Rank &rank) {
    return rank.communicator.peerFailed() ? Result<void>() : fail(rank.problem);
  });
  EXPECT_THAT(errors, Each(HasSubstr("NCCL: unhandled cuda error (too old a driver), in ")));
}

static Result<void> stayAway(Rank &rank) {
  char nothing = 0; // until rank 0 is gone
  (void)rank.communicator.receiveIdle(0, &nothing, 1);
  _exit(0);
}

TEST_F(NcclExchangeTest, NamesTheRankThatDoesNotCome) {
  const auto errors = onRanks([](Rank &rank) {
    rank.communicator.setDeadline(std::chrono::milliseconds(300));
    return rank.communicator.rank() == 0 ? expectSummed(rank, 3, 4) : stayAway(rank);
  });
  EXPECT_THAT(errors[0], AllOf(HasSubstr("rank 1 (host test) did not answer within 0.3 s"),
                               HasSubstr("waits in all_reduce of \"layer 1 sum\"")));
}

TEST_F(NcclExchangeTest, EndsWithTheJob) {
  const auto errors = onRanks([](Rank &rank) -> Result<void> {
    if (rank.communicator.rank() == 1)
      return stayAway(rank);
    std::jthread monitor([&] { // while the device waits, most likely
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      rank.communicator.abort("rank 1 is lost");
    });
    auto done = expectGathered(rank, 3, 4);
    return done || rank.communicator.peerFailed() ? done : fail("not for another rank: ");
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 1 is lost"));
}

// Freeing what the work uses waits for the device, which waits for rank 1: for ever, until
// the communicator is aborted.
TEST_F(NcclExchangeTest, MemoryIsFreedBehindWorkThatWaits) {
  const auto errors = onRanks([](Rank &rank) -> Result<void> {
    if (rank.communicator.rank() == 1)
      return stayAway(rank);
    const CollectiveRows what = rank.rowsOf(plan::Collective::all_reduce, 3, 4);
    auto done = rank.begin(3).and_then([&] { return rank.run(what); });
    if (!done)
      return done;
    alarm(20); // of this process
    rank.exchange->abort();
    rank.buffers.clear();
    return rank.run(what);
  });
  EXPECT_EQ(errors[0], "NCCL: was ended after an error");
}

// Its own memory likewise, if another rank's error ended the job.
TEST_F(NcclExchangeTest, EndsBehindWorkThatWaits) {
  const auto errors = onRanks([](Rank &rank) -> Result<void> {
    if (rank.communicator.rank() == 1)
      return stayAway(rank);
    auto done = rank.begin(3).and_then(
        [&] { return rank.run(rank.rowsOf(plan::Collective::all_reduce, 3, 4)); });
    alarm(20); // of this process
    rank.communicator.abort("rank 1 is lost");
    rank.exchange = nullptr;
    return done;
  });
  EXPECT_EQ(errors[0], "");
}

// NCCL lets the stream go on then: the wait must not take the result for one.
TEST_F(NcclExchangeTest, AnErrorInTheBackground) {
  driver.set("FAKE_NCCL_FAIL", "error=4");
  const auto errors = onRanks([](Rank &rank) {
    auto done = expectGathered(rank, 3, 4).and_then([&] { return expectGathered(rank, 3, 4); });
    return done || rank.communicator.peerFailed() ? done : fail("not for another rank: ");
  });
  EXPECT_THAT(errors, Each(HasSubstr("NCCL: remote process exited or there was a network error")));
  EXPECT_THAT(errors, Each(HasSubstr("of \"layer 1 sum\"")));
  EXPECT_THAT(errors, Each(Not(HasSubstr("\n"))));
}

TEST_F(NcclExchangeTest, HangsEndAtTheDeadline) {
  driver.set("FAKE_NCCL_FAIL", "hang=3");
  const auto errors = onRanks([](Rank &rank) {
    rank.communicator.setDeadline(std::chrono::milliseconds(300));
    return expectSummed(rank, 2, 4);
  });
  EXPECT_THAT(errors, Each(HasSubstr("did not answer within 0.3 s")));
}

// ---- what the fake finds

TEST_F(NcclExchangeTest, DifferentSizesAreFound) {
  const auto errors = onRanks(
      [](Rank &rank) { return expectGathered(rank, rank.communicator.rank() == 0 ? 3 : 2, 4); });
  EXPECT_THAT(errors, testing::Contains(HasSubstr("invalid usage (rank")));
}

TEST_F(NcclExchangeTest, DifferentCollectivesAreFound) {
  const auto errors = onRanks([](Rank &rank) {
    return rank.communicator.rank() == 0 ? expectGathered(rank, 2, 4) : expectSummed(rank, 4, 4);
  });
  EXPECT_THAT(errors, testing::Contains(HasSubstr("invalid usage (rank")));
}

/// A group of our own beside the exchange's.
static Result<void> withCalls(Rank &rank,
                              const std::function<Result<void>(nccl::Comm, std::byte *, void *,
                                                               const nccl::Functions &)> &body) {
  const auto functions = nccl::open().value();
  const auto memory = rank.device->allocate(64, "memory").value();
  const auto stream = rank.device->queue()->enter().value();
  nccl::UniqueId id;
  nccl::Config config;
  nccl::Comm comm = nullptr;
  functions.getUniqueId(&id);
  functions.initRank(&comm, 1, id, 0, &config);
  int state = nccl::inProgress;
  while (state == nccl::inProgress)
    functions.getAsyncError(comm, &state);
  return body(comm, memory->data(), stream, functions);
}

static Result<void> expectCode(int actual, int expected, const char *what) {
  return actual == expected ? Result<void>() : fail(what, " gives ", actual);
}

TEST_F(NcclExchangeTest, WrongCallsAreFound) {
  const auto calls = [](nccl::Comm comm, std::byte *data, void *stream,
                        const nccl::Functions &nccl) -> Result<void> {
    std::byte onHost[8];
    std::byte *other = data + 32;
    auto send = [&](std::byte *from, void *to) {
      return nccl.send(from, 8, nccl::typeInt8, 0, comm, to);
    };
    auto done =
        expectCode(send(data, stream), nccl::invalidUsage, "a message alone")
            .and_then(
                [&] { return expectCode(nccl.groupEnd(), nccl::invalidUsage, "an end alone"); })
            .and_then([&] {
              return expectCode(nccl.allGather(onHost, other, 8, nccl::typeInt8, comm, stream),
                                nccl::invalidArgument, "the host's memory");
            })
            .and_then([&] {
              return expectCode(nccl.allGather(data, other, 8, nccl::typeInt8, comm, onHost),
                                nccl::invalidArgument, "no stream");
            })
            .and_then([&] {
              return expectCode(nccl.allGather(data, data + 4, 8, nccl::typeInt8, comm, stream),
                                nccl::invalidArgument, "a message over itself");
            });
    if (!done)
      return done;
    nccl.groupStart();
    send(data, stream);
    done = expectCode(send(other, stream), nccl::invalidUsage, "two messages to one");
    nccl.receive(other, 8, nccl::typeInt8, 0, comm, stream);
    return done
        .and_then([&] { return expectCode(nccl.groupEnd(), nccl::inProgress, "a good group"); })
        .and_then([&] {
          return expectCode(nccl.allGather(data, other, 8, nccl::typeInt8, comm, stream),
                            nccl::invalidArgument, "a call while one is in progress");
        });
  };
  EXPECT_THAT(onRanks([&](Rank &rank) { return withCalls(rank, calls); }), Each(""));
}

} // namespace grok::runtime
