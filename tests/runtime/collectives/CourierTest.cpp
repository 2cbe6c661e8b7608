// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/Courier.h"
#include <gtest/gtest.h>

namespace grok::runtime {

namespace {

/// What a transport was asked, beyond the life of its courier.
struct Record {
  std::atomic<int> looksLeft = 0; // until a send has left
  std::atomic<bool> isClosed = false;
  std::atomic<bool> closedEarly = false, usedAfterClose = false;
};

class SlowTransport : public Transport {
public:
  explicit SlowTransport(Record &record) : record(record) {}
  Result<Ticket> startSend(int, Channel, const void *, size_t) override { return &record; }
  Result<Ticket> startReceive(int, Channel, void *, size_t) override { return &record; }
  Result<bool> test(Ticket) override {
    record.usedAfterClose = record.usedAfterClose || record.isClosed;
    return record.looksLeft == 0 || --record.looksLeft == 0;
  }
  Result<void> close() override {
    record.closedEarly = record.looksLeft > 0;
    record.isClosed = true;
    return {};
  }

private:
  Record &record;
};

struct CourierTest : testing::Test {
  CourierTest() { rules.hosts = {"here", "there"}; }

  std::unique_ptr<Courier> sendOne(int looks) {
    record.looksLeft = looks;
    auto courier = std::make_unique<Courier>(std::make_unique<SlowTransport>(record), rules);
    EXPECT_TRUE(courier->send(1, Courier::Channel::message, "word", 4));
    return courier;
  }

  WaitRules rules;
  Record record;
};

} // namespace

// MPI ends a process that asks it for a message after its end.
TEST_F(CourierTest, ClosesAfterAllHasLeft) {
  std::unique_ptr<Courier> courier = sendOne(/*looks=*/20);
  auto closed = courier->close();
  courier.reset();
  EXPECT_TRUE(closed) << closed.error();
  EXPECT_TRUE(record.isClosed);
  EXPECT_FALSE(record.closedEarly);
  EXPECT_FALSE(record.usedAfterClose);
}

TEST_F(CourierTest, DoesNotWaitForWhatNeverLeaves) {
  std::unique_ptr<Courier> courier = sendOne(/*looks=*/1 << 30);
  rules.abort->raise("rank 1 is lost");
  auto closed = courier->close();
  EXPECT_EQ(closed ? "" : closed.error(), "messages to other ranks did not leave");
  EXPECT_FALSE(record.isClosed);
}

} // namespace grok::runtime
