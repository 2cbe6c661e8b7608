// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The waits of tasks: enough, none too many, and what is wrong with others.
#include "runtime/plan/TaskOrder.h"
#include <gtest/gtest.h>
#include <random>

using namespace grok;
using namespace grok::runtime;

static constexpr bool writes = true, reads = false;
static constexpr size_t unbounded = 100;

static MemoryUse arena(uint64_t begin, uint64_t end, bool writes) {
  return {plan::BufferKind::arena, begin, end, writes};
}

TEST(TaskOrder, waitsForTheLatestThatTouchesTheSameBytes) {
  const std::vector<TaskUses> tasks = {
      {0, {arena(0, 64, writes)}},
      {1, {arena(0, 64, reads), arena(64, 128, writes)}},
      {2, {arena(0, 64, reads), arena(128, 192, writes)}}, // beside task 1
      {3, {arena(64, 192, reads), arena(256, 320, writes)}},
      {4, {arena(32, 96, writes)}}, // after all that read it: task 3 has waited for them
      {5, {{plan::BufferKind::kv, 32, 96, writes}}},
      {5, {{plan::BufferKind::kv, 128, 192, writes}}}, // scratch memory
  };
  const TaskWaits waits = orderTasks(tasks, unbounded);
  EXPECT_EQ(waits, (TaskWaits{{}, {0}, {0}, {2, 1}, {3}, {}, {5}}));
  EXPECT_TRUE(checkTaskOrder(tasks, waits));
}

TEST(TaskOrder, tasksWithTooManyWaitsEndARow) {
  std::vector<TaskUses> tasks;
  for (int32_t i = 0; i < 5; ++i)
    tasks.push_back({i, {arena(uint64_t(64) * i, uint64_t(64) * i + 64, writes)}});
  tasks.push_back({5, {arena(0, 320, reads)}});
  tasks.push_back({6, {arena(0, 64, reads)}});
  EXPECT_EQ(orderTasks(tasks, 5)[5], (std::vector<uint32_t>{4, 3, 2, 1, 0}));
  EXPECT_EQ(orderTasks(tasks, 4), (TaskWaits{{}, {0}, {1}, {2}, {3}, {4}, {0}}));
}

static std::vector<TaskUses> randomTasks(std::mt19937 &random, int32_t count) {
  std::vector<TaskUses> tasks;
  for (int32_t i = 0; i < count; ++i) {
    TaskUses &task = tasks.emplace_back();
    task.kernel = i % 3 ? i : 0;
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      const uint64_t begin = random() % 12;
      task.uses.push_back(arena(begin, begin + 1 + random() % 2, random() % 3 == 0));
    }
  }
  return tasks;
}

// Each wait is needed: without it the order is refused, by the name of what it lacks.
TEST(TaskOrder, everyWaitIsNeededAndMissed) {
  std::mt19937 random(1);
  int dropped = 0;
  for (int run = 0; run < 50; ++run) {
    const std::vector<TaskUses> tasks = randomTasks(random, 14);
    for (size_t most : {size_t(2), unbounded}) {
      const TaskWaits waits = orderTasks(tasks, most);
      ASSERT_TRUE(checkTaskOrder(tasks, waits)) << checkTaskOrder(tasks, waits).error();
      for (size_t task = 0; task < tasks.size(); ++task)
        ASSERT_LE(waits[task].size(), most);
      if (most != unbounded)
        continue;
      for (size_t task = 0; task < tasks.size(); ++task)
        for (size_t i = 0; i < waits[task].size(); ++i) {
          TaskWaits fewer = waits;
          fewer[task].erase(fewer[task].begin() + static_cast<std::ptrdiff_t>(i));
          const auto checked = checkTaskOrder(tasks, fewer);
          ASSERT_FALSE(checked);
          EXPECT_NE(checked.error().find("does not wait for task"), std::string::npos);
          ++dropped;
        }
    }
  }
  EXPECT_GT(dropped, 100);
}

TEST(TaskOrder, waitsForLaterTasksAreRefused) {
  const std::vector<TaskUses> tasks = {{0, {}}, {1, {}}};
  const auto checked = checkTaskOrder(tasks, {{1}, {}});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error(), "task 0 waits for task 1, which comes after it");
  EXPECT_FALSE(checkTaskOrder(tasks, {{}, {1}}));
  EXPECT_FALSE(checkTaskOrder(tasks, {{}}));
}
