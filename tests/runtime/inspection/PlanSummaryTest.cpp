// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/inspection/PlanSummary.h"
#include "tests/runtime/plan/ToyPlan.h"

#include <gmock/gmock.h>

using namespace grok::runtime;
using grok::plan::PlanT;
using testing::ElementsAre;
using testing::SizeIs;

static PlanDocument documentOf(const PlanT &plan) {
  return parsePlanBody(toy::bodyOf(plan), "test").value();
}

static std::vector<LaunchGroup> groupsOf(const PlanDocument &document) {
  return summarizeLaunches(document.root(), *document.root().programs()->Get(0)->buckets()->Get(1));
}

TEST(PlanSummary, NamesLoseTheirLayer) {
  EXPECT_EQ(withoutLayer("transformer/decoder_layer_17/moe/linear/w.scales"),
            "transformer/decoder_layer_*/moe/linear/w.scales");
  EXPECT_EQ(withoutLayer("language_model/rms_norm/scale"), "language_model/rms_norm/scale");
  EXPECT_EQ(withoutLayer("decoder_layer_x/w"), "decoder_layer_x/w");
  EXPECT_EQ(withoutLayer("decoder_layer_3"), "decoder_layer_*");
}

TEST(PlanSummary, FoldsLayersThatAreAlike) {
  const PlanDocument document = documentOf(toy::makePlan());
  const std::vector<LaunchGroup> groups = groupsOf(document);
  ASSERT_THAT(groups, SizeIs(3));
  EXPECT_EQ(groups[0].firstLayer, -1);
  EXPECT_EQ(groups[1].firstLayer, 0);
  EXPECT_EQ(groups[1].lastLayer, 1);
  ASSERT_THAT(groups[1].launches, SizeIs(4));
  const LaunchSummary scale{"scale", "toy_scale", "groups[1] <= 64", "o, groups", "h"};
  EXPECT_EQ(groups[1].launches[3], scale);
  EXPECT_EQ(groups[0].launches[0].tiles, "rows");
  EXPECT_EQ(groups[2].launches[0].tiles, "2");
}

TEST(PlanSummary, SeesBuffersFromTheirLayer) {
  PlanT plan = toy::makePlan();
  plan.programs[0]->buckets[1]->buffers[4]->name = "layer0.o"; // of both layers
  const PlanDocument document = documentOf(plan);
  const std::vector<LaunchGroup> groups = groupsOf(document);
  ASSERT_THAT(groups, SizeIs(4));
  EXPECT_EQ(groups[1].launches[1].writes, "o");
  EXPECT_EQ(groups[2].launches[1].writes, "previous.o");
}

TEST(PlanSummary, KeepsLayersThatDiffer) {
  PlanT plan = toy::makePlan();
  plan.programs[0]->buckets[1]->launches[5]->name = "layer1.other";
  const PlanDocument document = documentOf(plan);
  const std::vector<LaunchGroup> groups = groupsOf(document);
  ASSERT_THAT(groups, SizeIs(4));
  EXPECT_EQ(groups[1].lastLayer, 0);
  EXPECT_EQ(groups[2].firstLayer, 1);
}

TEST(PlanSummary, SumsWeightsOfAKind) {
  PlanT plan = toy::makePlan();
  grok::plan::LayoutT &layout = *plan.layouts[0];
  layout.file.clear();
  for (const char *name : {"decoder_layer_0/w", "decoder_layer_1/w", "decoder_layer_10/w"}) {
    auto tensor = std::make_unique<grok::plan::WeightTensorT>(*layout.tensors[0]);
    tensor->name = name;
    layout.tensors.push_back(std::move(tensor));
  }
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(grok::plan::CreateLayout(builder, &layout));
  const std::vector<WeightKind> kinds =
      summarizeWeights(*flatbuffers::GetRoot<grok::plan::Layout>(builder.GetBufferPointer()));
  ASSERT_THAT(kinds, SizeIs(2));
  EXPECT_EQ(kinds[1].name, "decoder_layer_*/w");
  EXPECT_EQ(kinds[1].count, 3);
  EXPECT_EQ(kinds[1].bytes, 3 * kinds[0].bytes);
  EXPECT_THAT(kinds[0].logicalShape, ElementsAre(20, 16));
}

TEST(PlanSummary, CountsLaunchesOfKernels) {
  const PlanDocument document = documentOf(toy::makePlan());
  EXPECT_THAT(countLaunches(document.root()), ElementsAre(2, 4, 4, 4, 4, 2));
}
