// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/GroupsLayout.h"
#include "tests/compiler/kernels/KernelHarness.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace grok::compiler::testing {

class RouteKernels : public ::testing::TestWithParam<std::string> {
protected:
  static KernelSpec specOf(KernelOp op, int64_t emb, int64_t experts, int64_t selected) {
    KernelSpec spec;
    spec.op = op;
    spec.emb = emb;
    spec.experts = experts;
    spec.selected = selected;
    spec.ffn = 344;
    spec.weight = WeightFormat::forContraction(WeightFormat::Element::f32, emb);
    return spec;
  }
};

TEST_P(RouteKernels, softmaxAndTopExperts) {
  struct Case {
    int64_t emb, experts, selected;
  };
  for (Case c : {Case{96, 8, 2}, Case{90, 4, 1}, Case{64, 20, 3}, Case{7, 2, 2}}) {
    std::mt19937 random = reproducible(21);
    KernelSpec spec = specOf(KernelOp::route, c.emb, c.experts, c.selected);
    TestMatrix router = randomMatrix(random, c.emb, c.experts, spec.weight, Numerics::f32);
    const int64_t rows = 9, stride = paddedTo16(c.emb);
    Buffer x = randomRows(random, rows, c.emb, false, 0.2f);
    Buffer gates(rows * c.selected * 4), experts(rows * c.selected * 4);
    LoadedKernels({{"route", spec}}, GetParam())
        .run("route", {x.data(), router.packed.data(), gates.data(), experts.data()},
             Step::ofRows(rows), 0, rows);
    EXPECT_TRUE(gates.isGuardIntact() && experts.isGuardIntact());
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<double> p(c.experts);
      double total = 0, magnitude = 0;
      for (int64_t e = 0; e < c.experts; ++e) {
        double logit = 0;
        for (int64_t k = 0; k < c.emb; ++k) {
          double product = x.floats()[row * stride + k] * router.at(k, e);
          logit += product;
          magnitude = std::max(magnitude, std::fabs(logit));
        }
        total += p[e] = std::exp(logit);
      }
      std::vector<int> order(c.experts);
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });
      for (int64_t j = 0; j < c.selected; ++j) {
        ASSERT_EQ(experts.words()[row * c.selected + j], order[j]);
        // A logit's error of emb/8 + 4 roundings is a relative error of p.
        double expected = p[order[j]] / total;
        double relative =
            2 * (static_cast<double>(c.emb) / 8 + 12) * std::ldexp(1.0, -24) * (1 + magnitude);
        ASSERT_NEAR(gates.floats()[row * c.selected + j], expected, relative * expected);
      }
    }
  }
}

TEST_P(RouteKernels, tiesTakeTheLowerExpert) {
  KernelSpec spec = specOf(KernelOp::route, 32, 8, 2);
  Buffer x = Buffer::ofWords(32), router = Buffer::ofWords(512), gates(8), experts(8);
  LoadedKernels({{"route", spec}}, GetParam())
      .run("route", {x.data(), router.data(), gates.data(), experts.data()}, Step::ofRows(1), 0, 1);
  EXPECT_EQ(experts.words()[0], 0);
  EXPECT_EQ(experts.words()[1], 1);
  EXPECT_EQ(gates.floats()[0], 0.125f);
}

TEST_P(RouteKernels, nanNeverLeavesTheExperts) {
  KernelSpec spec = specOf(KernelOp::route, 32, 8, 2);
  Buffer x = Buffer::ofWords(32), router = Buffer::ofWords(512), gates(8), experts(8);
  std::fill_n(x.floats(), 32, std::nanf(""));
  LoadedKernels({{"route", spec}}, GetParam())
      .run("route", {x.data(), router.data(), gates.data(), experts.data()}, Step::ofRows(1), 0, 1);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(experts.words()[i] >= 0 && experts.words()[i] < 8);
}

TEST_P(RouteKernels, groupSortsPairsByExpertThenRow) {
  KernelSpec spec = specOf(KernelOp::group, 32, 8, 2);
  GroupsLayout layout(8);
  Buffer experts = Buffer::ofWords(10), groups = Buffer::ofWords(layout.length(5, 2));
  const int32_t chosen[] = {6, 1, 1, 3, 3, 6, 6, 3, 1, 6};
  std::copy(std::begin(chosen), std::end(chosen), experts.words());
  LoadedKernels({{"group", spec}}, GetParam())
      .run("group", {experts.data(), groups.data()}, Step::ofRows(5), 0, 1);
  EXPECT_TRUE(groups.isGuardIntact());
  const int32_t *words = groups.words();
  auto part = [&](int64_t first, int64_t count) {
    return std::vector<int32_t>(words + first, words + first + count);
  };
  EXPECT_EQ(words[layout.activeCount], 3);
  EXPECT_EQ(words[layout.tileCount], 3 * 6); // 22 panels of 344 columns, 4 a tile
  EXPECT_EQ(words[layout.pairCount], 10);
  EXPECT_EQ(part(layout.ids, 3), (std::vector<int32_t>{1, 3, 6}));
  EXPECT_EQ(part(layout.offsets, 4), (std::vector<int32_t>{0, 3, 6, 10}));
  EXPECT_EQ(part(layout.pairs, 10), (std::vector<int32_t>{1, 2, 8, 3, 4, 7, 0, 5, 6, 9}));
}

TEST_P(RouteKernels, groupLeavesOutPairsOfExpertsElsewhere) {
  KernelSpec spec = specOf(KernelOp::group, 32, 1, 2); // fewer experts than choices
  GroupsLayout layout(1);
  Buffer experts = Buffer::ofWords(8), groups = Buffer::ofWords(layout.length(4, 2));
  LoadedKernels kernels({{"group", spec}}, GetParam());
  const int32_t *words = groups.words();
  std::fill_n(experts.words(), 8, -1);
  kernels.run("group", {experts.data(), groups.data()}, Step::ofRows(4), 0, 1);
  for (int64_t count : {layout.activeCount, layout.tileCount, layout.pairCount, layout.offsets})
    EXPECT_EQ(words[count], 0);
  experts.words()[3] = experts.words()[6] = 0;
  kernels.run("group", {experts.data(), groups.data()}, Step::ofRows(4), 0, 1);
  EXPECT_EQ(words[layout.activeCount], 1);
  EXPECT_EQ(words[layout.tileCount], 6);
  EXPECT_EQ(words[layout.pairCount], 2);
  EXPECT_EQ(words[layout.offsets + 1], 2);
  EXPECT_EQ(words[layout.pairs], 3);
  EXPECT_EQ(words[layout.pairs + 1], 6);
  EXPECT_TRUE(groups.isGuardIntact());
}

TEST_P(RouteKernels, mapExpertsGivesPlacesOrNone) {
  KernelSpec spec = specOf(KernelOp::mapExperts, 32, 4, 2);
  Buffer experts = Buffer::ofWords(6), slots = Buffer::ofWords(4), places = Buffer::ofWords(6);
  const int32_t chosen[] = {0, 1, 2, 3, 3, -1}, slotOf[] = {-1, 0, -1, 1};
  std::copy(std::begin(chosen), std::end(chosen), experts.words());
  std::copy(std::begin(slotOf), std::end(slotOf), slots.words());
  LoadedKernels({{"map", spec}}, GetParam())
      .run("map", {experts.data(), slots.data(), places.data()}, Step::ofRows(3), 1, 3);
  EXPECT_TRUE(places.isGuardIntact());
  // Row 0 is no tile of this run.
  EXPECT_EQ(std::vector<int32_t>(places.words(), places.words() + 6),
            (std::vector<int32_t>{0, 0, -1, 1, 1, -1}));
}

INSTANTIATE_TEST_SUITE_P(Levels, RouteKernels, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
