// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ranks that are processes, each with an emulated device or a GPU of the fake driver.
#include "runtime/executor/PeerExchange.h"
#include "runtime/device/Choice.h"
#include "tests/runtime/collectives/ForkedRanks.h"
#include "tests/runtime/device/cuda/FakeDriver.h"
#include <gmock/gmock.h>
#include <thread>

namespace grok::runtime {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

static constexpr int64_t rows = 3, rowFloats = 4;

namespace {

/// One rank with its device, in a process of its own.
class Rank {
public:
  Rank(Communicator &communicator, const plan::Plan &plan, DeviceKind kind)
      : communicator(communicator), plan(plan),
        device(makeDevice(plan, kind, {.threads = 1, .level = "", .place = communicator.rank()})
                   .value()) {
    links.emplace(RankLinks::create(plan, communicator).value());
    exchange = PeerExchange::create(*device, *links).value();
  }

  /// What row-major 0, 1, .. plus 100 times the rank becomes; nothing if it is the host's.
  Result<std::optional<std::vector<float>>> run(plan::Collective kind) {
    const auto told = exchange->describe(kind, plan::Axis::tp, rowFloats * 4, false, "layer 1 sum");
    if (!told)
      return std::nullopt;
    std::vector<float> message(rows * rowFloats);
    for (size_t i = 0; i < message.size(); ++i)
      message[i] = static_cast<float>(i) + 100.0f * static_cast<float>(communicator.rank());
    auto source = device->allocate(message.size() * 4, "source").value();
    auto target = device->allocate(2 * message.size() * 4, "target").value();
    auto description = device->allocate(sizeof *told, "description").value();
    require(device->upload(source->data(), std::as_bytes(std::span(message))));
    require(device->upload(description->data(), std::as_bytes(std::span(&*told, 1))));
    const std::vector<const void *> operands = {source->data(), target->data(),
                                                description->data()};
    std::vector<float> result(kind == plan::Collective::all_reduce ? message.size()
                                                                   : 2 * message.size());
    return device->begin(step)
        .and_then([&] { return device->launch({exchange->kernel(), operands}, 0); })
        .and_then([&] { return device->wait(); })
        .and_then([&] {
          return device->download(std::as_writable_bytes(std::span(result)), target->data());
        })
        .map([&] { return std::optional(result); });
  }

  Communicator &communicator;
  const plan::Plan &plan;
  std::unique_ptr<Device> device;
  std::optional<RankLinks> links;
  std::unique_ptr<PeerExchange> exchange;
  std::vector<int32_t> numbers = std::vector<int32_t>(rows);
  GrokStepInfo step = {.rows = rows,
                       .tokens = numbers.data(),
                       .positions = numbers.data(),
                       .sequences = numbers.data(),
                       .pageTable = numbers.data(),
                       .pageTableStride = 1,
                       .logitRows = 0,
                       .logitRow = numbers.data(),
                       .draws = nullptr};
};

class PeerExchangeTest : public testing::TestWithParam<DeviceKind> {
protected:
  PeerExchangeTest() {
    driver.set("GROK_EMULATOR_LIBRARY", EMULATOR).set("FAKE_CUDA_DEVICES", "2");
    toy::writeFile(folder.path + "/model.plan",
                   toy::fileOf(toy::makePlanWithSum(plan::Axis::tp, 2)));
  }
  /// By rank, what `body` says, or "".
  std::vector<std::string> onRanks(const std::function<Result<void>(Rank &)> &body,
                                   bool sharedMemory = true,
                                   std::optional<DeviceKind> second = std::nullopt) {
    return onForkedRanks(2, sharedMemory, [&](Communicator &communicator) {
      const DeviceKind kind = communicator.rank() == 1 ? second.value_or(GetParam()) : GetParam();
      Rank rank(communicator, document.root(), kind);
      return body(rank);
    });
  }

  toy::TemporaryFolder folder;
  FakeDriver driver{folder.path + "/model.plan"};
  PlanDocument document = [] {
    auto parsed = parsePlan(toy::fileOf(toy::makePlanWithSum(plan::Axis::tp, 2)), "toy");
    return parsed ? std::move(*parsed) : throw std::runtime_error(parsed.error());
  }();
};

} // namespace

static Result<void> expectGathered(Rank &rank) {
  const auto all = rank.run(plan::Collective::all_gather);
  if (!all || !*all)
    return fail(all ? "not by the device" : all.error());
  for (int64_t i = 0; i < 2 * rows * rowFloats; ++i) {
    const int64_t row = i / (2 * rowFloats), member = i / rowFloats % 2, column = i % rowFloats;
    if ((**all)[static_cast<size_t>(i)] !=
        static_cast<float>(row * rowFloats + column + 100 * member))
      return fail("gathered: place ", i, " has ", (**all)[static_cast<size_t>(i)]);
  }
  return {};
}

static Result<void> expectSummed(Rank &rank) {
  const auto sum = rank.run(plan::Collective::all_reduce);
  if (!sum || !*sum)
    return fail(sum ? "not by the device" : sum.error());
  for (size_t i = 0; i < (*sum)->size(); ++i)
    if ((**sum)[i] != static_cast<float>(2 * i + 100))
      return fail("summed: place ", i, " has ", (**sum)[i]);
  return {};
}

TEST_P(PeerExchangeTest, MovesRowsBetweenDevices) {
  EXPECT_THAT(onRanks([](Rank &rank) {
                Result<void> done;
                for (int turn = 0; done && turn < 3; ++turn)
                  done = expectSummed(rank).and_then([&] { return expectGathered(rank); });
                return done;
              }),
              Each(""));
}

TEST_P(PeerExchangeTest, IsTheHostsIfOneRankCannot) {
  const auto body = [](Rank &rank) -> Result<void> {
    const auto sum = rank.run(plan::Collective::all_reduce);
    return sum && !*sum ? Result<void>() : fail("by the device");
  };
  EXPECT_THAT(onRanks(body, true, DeviceKind::cpu), Each(""));
  EXPECT_THAT(onRanks(body, false), Each(""));
}

// Which has not been told, and goes on as if nothing were.
TEST_P(PeerExchangeTest, EndsBeforeTheOtherRank) {
  const auto errors = onRanks([](Rank &rank) -> Result<void> {
    auto done = expectSummed(rank);
    char nothing = 0;
    if (rank.communicator.rank() == 1) // until rank 0 is gone
      return done.and_then([&] { return rank.communicator.receiveIdle(0, &nothing, 1); });
    rank.exchange = nullptr;
    rank.device = nullptr;
    return done.and_then([&] { return rank.communicator.send(1, &nothing, 1); });
  });
  EXPECT_THAT(errors, Each(""));
}

TEST_P(PeerExchangeTest, NamesTheRankThatDoesNotCome) {
  const auto errors = onRanks([](Rank &rank) -> Result<void> {
    rank.communicator.setDeadline(std::chrono::milliseconds(300));
    if (rank.communicator.rank() == 0)
      return expectSummed(rank);
    char nothing = 0; // until rank 0 is gone
    (void)rank.communicator.receiveIdle(0, &nothing, 1);
    return {};
  });
  EXPECT_THAT(errors[0], AllOf(HasSubstr("rank 1 (host test) did not answer within 0.3 s"),
                               HasSubstr("waits in all_reduce of \"layer 1 sum\"")));
}

TEST_P(PeerExchangeTest, EndsWithTheJob) {
  const auto errors = onRanks([](Rank &rank) -> Result<void> {
    if (rank.communicator.rank() == 1) {
      char nothing = 0;
      (void)rank.communicator.receiveIdle(0, &nothing, 1);
      return {};
    }
    std::jthread monitor([&] { // while the kernel waits, most likely
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      rank.communicator.abort("rank 1 is lost");
    });
    return expectSummed(rank);
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 1 is lost"));
}

INSTANTIATE_TEST_SUITE_P(Devices, PeerExchangeTest,
                         testing::Values(DeviceKind::emulated, DeviceKind::cuda),
                         [](const auto &info) { return std::string(nameOf(info.param)); });

} // namespace grok::runtime
