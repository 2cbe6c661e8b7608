// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// merge: the bits of treeSum and the rows of all members, for any number of members.
#include "runtime/collectives/TreeSum.h"
#include "runtime/plan/MergeABI.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

#include <gtest/gtest.h>

namespace grok::compiler::testing {

static GpuKernel &merge() {
  static GpuKernel kernel([] {
    KernelSpec spec;
    spec.op = KernelOp::merge;
    return spec;
  }());
  return kernel;
}

static std::vector<float> numbers(int64_t count, unsigned seed) {
  std::mt19937 random = reproducible(seed);
  std::uniform_real_distribution<float> number(-3, 3);
  std::vector<float> all(static_cast<size_t>(count));
  for (float &each : all)
    each = number(random);
  return all;
}

static void run(const GrokMerge &what, std::vector<float> &parts, std::vector<float> &target,
                const Step &step, const GpuLaunch &how) {
  GrokMerge described = what;
  merge().run({{parts.data(), parts.size() * sizeof(float)},
               {target.data(), target.size() * sizeof(float)},
               {&described, sizeof described}},
              step, how);
}

/// Each member adds its share of random messages up; the shares together.
static std::vector<float> summed(const std::vector<std::vector<float>> &messages, int64_t rows,
                                 const GpuLaunch &how) {
  const auto members = static_cast<int64_t>(messages.size());
  const auto count = static_cast<int64_t>(messages[0].size());
  const int64_t share = (count + members - 1) / members;
  std::vector<float> all(static_cast<size_t>(members * share), -1.0F);
  for (int64_t index = 0; index < members; ++index) {
    const int64_t begin = std::min(index * share, count), own = std::min(share, count - begin);
    std::vector<float> parts(static_cast<size_t>(members * share), NAN);
    for (int64_t member = 0; member < members; ++member)
      std::copy_n(messages[static_cast<size_t>(member)].begin() + begin, own,
                  parts.begin() + member * share);
    run({count / rows, static_cast<int32_t>(members), static_cast<int32_t>(index), 1, 0}, parts,
        all, Step::ofRows(rows), how);
  }
  // What lies behind the last word nobody has touched.
  EXPECT_TRUE(std::all_of(all.begin() + count, all.end(), [](float x) { return x == -1; }));
  all.resize(static_cast<size_t>(count));
  return all;
}

TEST(GpuMerge, AddsAsTheHostDoes) {
  for (int members : {1, 2, 3, 5, 8, 9, 16, 23, 40, 57, 64})
    for (int64_t rowWords : {1, 37}) {
      std::vector<std::vector<float>> messages;
      std::vector<const float *> parts;
      for (int member = 0; member < members; ++member)
        messages.push_back(numbers(3 * rowWords, static_cast<unsigned>(member)));
      for (const auto &message : messages)
        parts.push_back(message.data());
      std::vector<float> expected(messages[0].size());
      runtime::treeSum(parts, expected.data(), static_cast<int64_t>(expected.size()));
      EXPECT_EQ(summed(messages, 3, {2}), expected) << members << " x " << rowWords;
    }
}

TEST(GpuMerge, AnyLaunchHasTheSameBits) {
  std::vector<std::vector<float>> messages;
  for (unsigned member = 0; member < 3; ++member)
    messages.push_back(numbers(5 * 700, member));
  const std::vector<float> expected = summed(messages, 5, {1});
  for (const GpuLaunch &how : everyLaunch())
    EXPECT_EQ(summed(messages, 5, how), expected) << nameOf(how);
}

TEST(GpuMerge, LaysRowsBesideEachOther) {
  for (auto [members, rows, words] : {std::tuple(2, 3, 300), {3, 7, 5}, {16, 2, 257}, {8, 1, 4}}) {
    std::vector<float> parts = numbers(int64_t(1) * members * rows * words, 5), expected;
    for (int row = 0; row < rows; ++row)
      for (int member = 0; member < members; ++member)
        expected.insert(expected.end(), parts.begin() + (member * rows + row) * words,
                        parts.begin() + (member * rows + row + 1) * words);
    for (const GpuLaunch &how : everyLaunch()) {
      std::vector<float> target(parts.size(), -1.0F);
      run({words, members, 0, 0, 0}, parts, target, Step::ofRows(rows), how);
      EXPECT_EQ(target, expected) << members << " members, " << nameOf(how);
    }
  }
}

TEST(GpuMerge, TakesTheRowsOfLogits) {
  Step step = Step::ofRows(5);
  std::vector<float> parts = numbers(12, 7), target(12, -1.0F);
  step.logitRow.resize(2);
  run({3, 2, 0, 0, 1}, parts, target, step, {2});
  EXPECT_EQ(std::vector<float>(target.begin() + 3, target.begin() + 6),
            std::vector<float>(parts.begin() + 6, parts.begin() + 9)); // row 0 of member 1
  step.logitRow.clear();
  target.assign(12, -1.0F);
  for (int32_t isSum : {0, 1})
    run({3, 2, 0, isSum, 1}, parts, target, step, {2});
  EXPECT_EQ(target, std::vector<float>(12, -1.0F));
}

} // namespace grok::compiler::testing
