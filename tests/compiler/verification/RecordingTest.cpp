// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is kept of a buffer that a launch wrote.
#include "compiler/verification/Recording.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace grok::verification;
using testing::ElementsAre;

namespace {

/// Two rows of two heads of three numbers, each head padded to four.
struct PaddedHeads {
  std::vector<float> words = {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0};
  std::vector<int64_t> stored = {2, 4}, logical = {2, 3};

  GrokLaunchView launch() {
    view = {"layer1.q",      "f32",         words.data(),  /*perRow=*/1,   /*rows=*/2,
            /*rowBytes=*/32, stored.data(), stored.size(), logical.data(), logical.size()};
    return {"layer1.qkv", "qkv", /*layer=*/1, /*tiles=*/4, /*stepRows=*/2, 0, &view, 1};
  }

  GrokBufferView view{};
};

} // namespace

TEST(Recording, CutsPaddingOff) {
  PaddedHeads heads;
  auto recorded = record(heads.launch());
  ASSERT_TRUE(recorded) << recorded.error();
  EXPECT_EQ(recorded->name, "layer1.qkv");
  EXPECT_EQ(recorded->op, "qkv");
  EXPECT_EQ(recorded->layer, 1);
  const RecordedBuffer &buffer = recorded->written.front();
  EXPECT_THAT(buffer.shape, ElementsAre(2, 2, 3));
  EXPECT_THAT(buffer.numbers, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  EXPECT_FALSE(buffer.paddingRow);
}

TEST(Recording, FindsTheRowWhosePaddingIsNotZero) {
  PaddedHeads heads;
  heads.words[11] = 1e-30f;
  auto recorded = record(heads.launch());
  ASSERT_TRUE(recorded) << recorded.error();
  EXPECT_EQ(recorded->written.front().paddingRow, 1u);
}

TEST(Recording, TakesIntegersWithoutRows) {
  std::vector<int32_t> words = {3, 1, 2};
  int64_t shape = 3;
  GrokBufferView view = {"layer0.groups", "i32",      words.data(),
                         /*perRow=*/0,    /*rows=*/1,
                         /*rowBytes=*/12, &shape,     1,
                         nullptr,         0};
  auto recorded = record({"layer0.group", "group", 0, 1, 2, 0, &view, 1});
  ASSERT_TRUE(recorded) << recorded.error();
  EXPECT_THAT(recorded->written.front().shape, ElementsAre(3));
  EXPECT_THAT(recorded->written.front().integers, ElementsAre(3, 1, 2));
}

TEST(Recording, RefusesOtherElements) {
  PaddedHeads heads;
  GrokLaunchView launch = heads.launch();
  heads.view.dtype = "bf16";
  auto recorded = record(launch);
  ASSERT_FALSE(recorded);
  EXPECT_EQ(recorded.error(),
            "layer1.qkv: layer1.q: holds bf16, of which the interpreter has no values");
}
