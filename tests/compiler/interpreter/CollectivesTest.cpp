// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What collectives do to the values of a group, by hand.
#include "compiler/interpreter/Collectives.h"

#include "tests/compiler/interpreter/Tensors.h"
#include "gmock/gmock.h"

using namespace grok::interpreter;
using testing::ElementsAre;

TEST(CollectivesTest, AddsByTheBalancedTree) {
  // 1e8 absorbs a 1 that is added to it alone, but not the 8 of two pairs of 4.
  auto sum = [](const std::vector<float> &values) {
    std::vector<Tensor> tensors;
    std::vector<const Tensor *> parts;
    tensors.reserve(values.size());
    parts.reserve(values.size());
    for (float value : values)
      parts.push_back(&tensors.emplace_back(tensor({1}, {value})));
    return reduceAll(parts, Rounding::f32).values.front();
  };
  EXPECT_EQ(sum({3}), 3);
  EXPECT_EQ(sum({1e8F, 1, 4, 4}), 1e8F + 8);
  // Of five, four make the first half: ((1e8 + 1) + (4 + 4)) + -1e8.
  EXPECT_EQ(sum({1e8F, 1, 4, 4, -1e8F}), 8);
  // Of three, two do: (1e8 + -1e8) + 1.
  EXPECT_EQ(sum({1e8F, -1e8F, 1}), 1);
  EXPECT_EQ(sum({1, 1e8F, -1e8F}), 0);
}

TEST(CollectivesTest, RoundsASumOnce) {
  Tensor a = tensor({1}, {1}), b = tensor({1}, {0.00390625F}); // 2^-8: half a unit of bf16
  EXPECT_EQ(reduceAll({&a, &b, &b}, Rounding::bf16).values.front(), 1.0078125F);
}

TEST(CollectivesTest, GathersAlongRowsAndColumns) {
  Tensor a = tensor({2, 1}, {1, 2}), b = tensor({2, 2}, {3, 4, 5, 6});
  Tensor columns = gatherAll({&a, &b}, 1);
  EXPECT_EQ(columns.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_THAT(columns.values, ElementsAre(1, 3, 4, 2, 5, 6));
  Tensor rows = gatherAll({&a, &a}, 0);
  EXPECT_EQ(rows.shape, (std::vector<int64_t>{4, 1}));
  EXPECT_THAT(rows.values, ElementsAre(1, 2, 1, 2));
}

TEST(CollectivesTest, SlicesWhatItGathers) {
  Tensor whole = tensor({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  Tensor left = slicePart(whole, 1, 0, 2), right = slicePart(whole, 1, 1, 2);
  EXPECT_THAT(right.values, ElementsAre(3, 4, 7, 8));
  EXPECT_EQ(gatherAll({&left, &right}, 1).values, whole.values);
  EXPECT_THAT(slicePart(whole, 0, 1, 2).values, ElementsAre(5, 6, 7, 8));
}
