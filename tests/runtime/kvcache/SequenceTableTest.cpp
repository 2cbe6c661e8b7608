// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/kvcache/SequenceTable.h"
#include <gmock/gmock.h>

namespace grok::runtime {

using testing::HasSubstr;

namespace {

/// Memory only: these tests run no kernels.
class MemoryDevice : public Device {
public:
  Result<std::unique_ptr<DeviceMemory>> allocate(uint64_t bytes, std::string_view what) override {
    auto memory = Memory::allocate(bytes, what);
    if (!memory)
      return fail(memory.error());
    return std::make_unique<HostMemory>(std::move(*memory));
  }
  Result<std::unique_ptr<DeviceMemory>> place(std::span<const std::byte>,
                                              std::string_view) override {
    return fail("no memory");
  }
  Result<void> download(std::span<std::byte>, const std::byte *) override { return {}; }
  Result<void> begin(const GrokStepInfo &) override { return {}; }
  Result<void> launch(const DeviceLaunch &, int64_t) override { return {}; }
  Result<void> wait() override { return {}; }
  std::string_view level() const override { return "none"; }
  int threads() const override { return 1; }
};

class SequenceTableTest : public testing::Test {
protected:
  static constexpr uint64_t pageBytes = 1000; // on purpose no multiple of a system page
  static constexpr int64_t pages = 5;
  static constexpr int64_t pageTokens = 16;
  static constexpr int64_t maxContext = 50; // four pages, the last one not full

  Result<void> append(int32_t sequence, int rows) {
    for (int i = 0; i < rows; ++i)
      if (auto position = table.place(sequence); !position)
        return fail(position.error());
    return table.takePages();
  }

  MemoryDevice device;
  PagePool pool = PagePool::create(device, pageBytes, pages).value();
  SequenceTable table{pool, pageTokens, maxContext};
};

} // namespace

TEST_F(SequenceTableTest, PositionsContinueAndTakePages) {
  int32_t sequence = table.create().value();
  ASSERT_TRUE(append(sequence, 16));
  EXPECT_EQ(pool.inUse(), 1);
  table.finish(true);
  EXPECT_EQ(table.length(sequence), 16);
  EXPECT_EQ(table.place(sequence).value(), 16);
  ASSERT_TRUE(table.takePages());
  EXPECT_EQ(pool.inUse(), 2);
  EXPECT_NE(table.pageTable()[0], table.pageTable()[1]);
}

TEST_F(SequenceTableTest, AFailedStepChangesNoLength) {
  int32_t sequence = table.create().value();
  ASSERT_TRUE(append(sequence, 20));
  table.finish(false);
  EXPECT_EQ(table.length(sequence), 0);
  ASSERT_TRUE(append(sequence, 20)) << "the pages it took serve the next step";
  EXPECT_EQ(pool.inUse(), 2);
}

TEST_F(SequenceTableTest, ContextLimit) {
  int32_t sequence = table.create().value();
  ASSERT_TRUE(append(sequence, maxContext));
  EXPECT_THAT(table.place(sequence).error(), HasSubstr("context limit of 50"));
}

TEST_F(SequenceTableTest, PagesForAllRowsOrNone) {
  int32_t first = table.create().value(), second = table.create().value();
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(table.place(first));
    ASSERT_TRUE(table.place(second));
  }
  EXPECT_THAT(table.takePages().error(), HasSubstr("6 pages of 16 tokens needed, 5 of 5 free"));
  table.finish(false);
  EXPECT_EQ(pool.inUse(), 0);
}

TEST_F(SequenceTableTest, FreedPagesAndNumbersReturn) {
  int32_t first = table.create().value(), second = table.create().value();
  ASSERT_TRUE(append(first, 50));
  table.finish(true);
  EXPECT_TRUE(table.free(first));
  EXPECT_EQ(pool.inUse(), 0);
  EXPECT_EQ(table.create().value(), first);
  EXPECT_EQ(table.length(first), 0);
  EXPECT_TRUE(table.isInUse(second));
}

TEST_F(SequenceTableTest, UnknownNumbers) {
  EXPECT_THAT(table.place(0).error(), HasSubstr("sequence 0 is not in use"));
  EXPECT_THAT(table.free(-1).error(), HasSubstr("sequence -1 is not in use"));
  EXPECT_EQ(table.length(INT32_MAX), 0);
}

TEST_F(SequenceTableTest, PagesComeBackAsZeros) {
  std::vector<int32_t> held;
  while (auto page = pool.allocate()) {
    std::fill_n(pool.base() + static_cast<uint64_t>(*page) * pageBytes, pageBytes, std::byte(7));
    held.push_back(*page);
  }
  ASSERT_EQ(held.size(), 5u);
  pool.free(held[2]);
  int32_t again = pool.allocate().value();
  auto *bytes = pool.base() + static_cast<uint64_t>(again) * pageBytes;
  EXPECT_TRUE(std::all_of(bytes, bytes + pageBytes, [](auto b) { return b == std::byte(0); }));
  EXPECT_EQ(bytes[-1], std::byte(7)) << "the neighbours stay";
  EXPECT_EQ(bytes[pageBytes], std::byte(7));
}

TEST(PagePool, RefusesOverflow) {
  MemoryDevice device;
  EXPECT_THAT(PagePool::create(device, UINT64_MAX / 2, 5).error(), HasSubstr("out of range"));
  EXPECT_THAT(PagePool::create(device, 64, 0).error(), HasSubstr("out of range"));
}

} // namespace grok::runtime
