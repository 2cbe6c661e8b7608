// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Against enumeration; then what holds of any budget and any order of items.
#include "passes/quantization/Solver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

using namespace grok::quantization;

namespace {
struct Instance {
  std::vector<Item> items;
  int64_t budget = 0;
};
} // namespace

/// Up to 10 items x 4 choices. `span` = 1 makes ties and equal sizes common, a
/// large one makes optima unique. Nothing is convex or sorted.
static Instance makeRandom(unsigned seed, int64_t span) {
  std::mt19937 random(seed);
  auto draw = [&](int64_t limit) { return static_cast<int64_t>(random() % limit); };
  Instance instance;
  instance.items.resize(1 + draw(8));
  int64_t least = 0, most = 0;
  for (Item &item : instance.items) {
    item.resize(1 + draw(4));
    for (Choice &choice : item)
      choice = {1 + draw(8 * span), draw(10 * span)};
    least += leastBytes(std::vector<Item>{item});
    most += std::max_element(item.begin(), item.end(), [](const Choice &lhs, const Choice &rhs) {
              return lhs.bytes < rhs.bytes;
            })->bytes;
  }
  instance.budget = least + draw(most - least + 2);
  return instance;
}

/// The least loss within the budget, by trying every selection.
static int64_t enumerate(const Instance &instance, size_t from = 0, int64_t bytes = 0) {
  if (bytes > instance.budget)
    return std::numeric_limits<int64_t>::max();
  if (from == instance.items.size())
    return 0;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const Choice &choice : instance.items[from]) {
    int64_t rest = enumerate(instance, from + 1, bytes + choice.bytes);
    if (rest != std::numeric_limits<int64_t>::max())
      least = std::min(least, choice.loss + rest);
  }
  return least;
}

/// The solution's sums are those of its choices, and it fits.
static void expectConsistent(const Instance &instance, const Solution &solution) {
  ASSERT_EQ(solution.choices.size(), instance.items.size());
  int64_t bytes = 0, loss = 0;
  for (size_t i = 0; i < instance.items.size(); ++i) {
    const Choice &choice = instance.items[i].at(solution.choices[i]);
    bytes += choice.bytes;
    loss += choice.loss;
  }
  EXPECT_EQ(solution.bytes, bytes);
  EXPECT_EQ(solution.loss, loss);
  EXPECT_LE(solution.bytes, instance.budget);
  EXPECT_GE(solution.gap(), 0);
}

TEST(Solver, FindsWhatEnumerationFinds) {
  for (unsigned seed = 0; seed < 4000; ++seed) {
    Instance instance = makeRandom(seed, seed % 2 ? 1 : 1000);
    std::optional<Solution> solution = solve(instance.items, instance.budget);
    ASSERT_TRUE(solution) << "seed " << seed;
    expectConsistent(instance, *solution);
    ASSERT_EQ(solution->loss, enumerate(instance)) << "seed " << seed;
    ASSERT_EQ(solution->gap(), 0) << "seed " << seed;
  }
}

static Instance makeTenItems(unsigned seed) {
  std::mt19937 random(seed);
  Instance instance;
  instance.items.resize(10, Item(4));
  for (Item &item : instance.items)
    for (Choice &choice : item)
      choice = {static_cast<int64_t>(random() % 5000), static_cast<int64_t>(random() % 5000)};
  instance.budget = leastBytes(instance.items) + 4000;
  return instance;
}

TEST(Solver, TakesTenItemsOfFourChoices) {
  for (unsigned seed = 0; seed < 4; ++seed) {
    Instance instance = makeTenItems(seed);
    std::optional<Solution> solution = solve(instance.items, instance.budget);
    ASSERT_TRUE(solution);
    EXPECT_EQ(solution->loss, enumerate(instance));
    EXPECT_EQ(solution->gap(), 0);
  }
}

TEST(Solver, TakesChoicesOffTheConvexHull) {
  // Slopes alone would go from 1 byte to 9; the middle choices are off the hull.
  std::vector<Item> items = {{{1, 100}, {5, 80}, {9, 0}}, {{1, 100}, {5, 70}, {9, 0}}};
  std::optional<Solution> solution = solve(items, 9);
  ASSERT_TRUE(solution);
  EXPECT_EQ(solution->loss, 170);
  EXPECT_EQ(solution->choices, (std::vector<int64_t>{0, 1}));
}

TEST(Solver, NeedsNoBudgetForWhatIsBestAndSmallest) {
  std::vector<Item> items = {{{4, 9}, {3, 2}, {8, 2}}, {{7, 7}}};
  std::optional<Solution> solution = solve(items, 10);
  ASSERT_TRUE(solution);
  EXPECT_EQ(solution->choices, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(solution->gap(), 0);
}

TEST(Solver, RefusesABudgetThatNothingFits) {
  Instance instance = makeRandom(3, 1000);
  int64_t least = leastBytes(instance.items);
  EXPECT_FALSE(solve(instance.items, least - 1));
  std::optional<Solution> smallest = solve(instance.items, least);
  ASSERT_TRUE(smallest);
  EXPECT_EQ(smallest->bytes, least);
}

TEST(Solver, SelectsNothingFromNothing) {
  std::optional<Solution> solution = solve({}, 0);
  ASSERT_TRUE(solution);
  EXPECT_TRUE(solution->choices.empty());
  EXPECT_FALSE(solve({}, -1));
}

TEST(Solver, NeverLosesMoreWithMoreBytes) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Instance instance = makeRandom(seed, 10);
    int64_t last = std::numeric_limits<int64_t>::max();
    for (int64_t budget = leastBytes(instance.items); budget < 700; budget += 7) {
      int64_t loss = solve(instance.items, budget)->loss;
      ASSERT_LE(loss, last) << "seed " << seed << ", budget " << budget;
      last = loss;
    }
  }
}

TEST(Solver, ChoosesTheSameInAnyOrderOfItems) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    // Losses up to 10^8: two selections of equal loss are not to be expected.
    Instance instance = makeRandom(seed, 10'000'000), shuffled = instance;
    std::vector<size_t> order(instance.items.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (size_t i = 0; i < order.size(); ++i)
      shuffled.items[i] = instance.items[order[i]];
    std::optional<Solution> one = solve(instance.items, instance.budget);
    std::optional<Solution> other = solve(shuffled.items, instance.budget);
    ASSERT_EQ(one->loss, other->loss);
    for (size_t i = 0; i < order.size(); ++i)
      ASSERT_EQ(one->choices[order[i]], other->choices[i]) << "seed " << seed;
  }
}

TEST(Solver, PrefersLowerIndicesAmongEquals) {
  // One of three equal items may be large; two choices are the same.
  Item item = {{1, 10}, {1, 10}, {3, 4}, {3, 4}};
  std::optional<Solution> solution = solve(std::vector<Item>(3, item), 5);
  ASSERT_TRUE(solution);
  EXPECT_EQ(solution->choices, (std::vector<int64_t>{2, 0, 0}));
}

/// Grok-1's item count; sizes of few kinds, as matrices have, or of many.
static Instance makeLarge(unsigned seed, bool ofFewSizes) {
  std::mt19937 random(seed);
  auto draw = [&](int64_t limit) { return static_cast<int64_t>(random() % limit); };
  Instance instance;
  for (int64_t i = 0; i < 1089; ++i) {
    const int64_t elements = 1'000'000 * (1 + i % 3) + (ofFewSizes ? 0 : draw(1'000'000));
    const auto size = static_cast<double>(elements);
    const double sensitivity = size * std::exp2(static_cast<double>(draw(4000)) / 1000);
    Item item;
    for (auto [bits, error] :
         {std::pair(8.5, 1e-4), {4.25, 7e-3}, {4.125, 8.4e-3}, {3.25, 2.65e-2}, {3.125, 3.1e-2}}) {
      const double spread = 1 + static_cast<double>(draw(100)) / 1000;
      item.push_back({static_cast<int64_t>(size * bits / 8),
                      static_cast<int64_t>(sensitivity * error * spread)});
    }
    instance.items.push_back(item);
    instance.budget += elements * 35 / 80; // 3.5 bits
  }
  return instance;
}

TEST(Solver, ProvesTheOptimumForAsManyItemsAsGrokHas) {
  for (bool ofFewSizes : {true, false}) {
    Instance instance = makeLarge(1, ofFewSizes);
    std::optional<Solution> solution = solve(instance.items, instance.budget);
    ASSERT_TRUE(solution);
    expectConsistent(instance, *solution);
    EXPECT_EQ(solution->gap(), 0);
  }
}

TEST(Solver, BoundsWhatASearchCutShortMayHaveMissed) {
  int cut = 0;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    Instance instance = makeRandom(seed, 1000);
    std::optional<Solution> solution = solve(instance.items, instance.budget, {}, 1);
    ASSERT_TRUE(solution);
    expectConsistent(instance, *solution);
    ASSERT_LE(solution->bound, enumerate(instance)) << "seed " << seed;
    cut += solution->gap() > 0;
  }
  EXPECT_GT(cut, 0);
}

TEST(Solver, IsNeverWorseThanACandidateThatFits) {
  int improved = 0;
  for (unsigned seed = 0; seed < 500; ++seed) {
    Instance instance = makeRandom(seed, 1000);
    std::vector<std::vector<int64_t>> candidates = {
        solve(instance.items, instance.budget)->choices, // the best
        std::vector<int64_t>(instance.items.size(), 0)}; // fits or not
    std::optional<Solution> cut = solve(instance.items, instance.budget, {}, 1);
    std::optional<Solution> solution = solve(instance.items, instance.budget, candidates, 1);
    ASSERT_TRUE(solution);
    expectConsistent(instance, *solution);
    ASSERT_EQ(solution->loss, enumerate(instance)) << "seed " << seed;
    improved += solution->loss < cut->loss;
  }
  EXPECT_GT(improved, 0);
}
