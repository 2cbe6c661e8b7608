// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Items of a model, what encodings lose, and what trials make of it.
#include "compiler/calibration/Sensitivities.h"

#include "compiler/calibration/GptqEncoder.h"
#include "tests/compiler/quantization/Matrices.h"
#include "tests/runtime/plan/ToyPlan.h"

#include <gmock/gmock.h>

using namespace grok;
using namespace grok::calibration;
using quantization::MatrixFormat;
using ::testing::ElementsAre;
using ::testing::Key;
using Kind = MatrixFormat::Kind;

namespace toy = grok::runtime::toy;

static std::string inLayer(const std::string &name) {
  return "transformer/decoder_layer_0/" + name;
}

static checkpoint::TensorInfo tensorNamed(const std::string &name, std::vector<int64_t> shape) {
  checkpoint::TensorInfo tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  return tensor;
}

namespace {
/// Float matrices of a model that never was.
class TestCheckpoint final : public checkpoint::Checkpoint {
public:
  const checkpoint::TensorList &tensors() const override { return list; }
  checkpoint::Result<std::unique_ptr<checkpoint::TensorData>>
  read(std::string_view name) const override {
    for (const checkpoint::TensorInfo &tensor : list)
      if (tensor.name == name)
        return std::make_unique<Data>(tensor.elements());
    return tl::unexpected(std::string("no such tensor"));
  }

  checkpoint::TensorList list;

private:
  struct Data final : checkpoint::TensorData {
    explicit Data(int64_t count) : values(quantization::gaussian(count, 3)) {}
    std::span<const std::byte> weight() const override { return std::as_bytes(std::span(values)); }
    std::span<const std::byte> scales() const override { return {}; }
    void release(int64_t, int64_t) const override {}
    checkpoint::Result<void> checkUnchanged() const override { return {}; }
    std::vector<float> values;
  };
};
} // namespace

TEST(Sensitivities, itemsAreOfLayersAndKinds) {
  const checkpoint::TensorList tensors = {
      tensorNamed("language_model/in_out_embed/embeddings", {8, 64}),
      tensorNamed(inLayer("moe/linear/w"), {2, 64, 96}),
      tensorNamed(inLayer("moe/linear_1/w"), {2, 96, 64}),
      tensorNamed(inLayer("moe/linear_v/w"), {2, 64, 96}),
      tensorNamed(inLayer("multi_head_attention/linear/w"), {64, 64}),
      tensorNamed(inLayer("multi_head_attention/query/w"), {64, 64}),
      tensorNamed(inLayer("router/w"), {64, 2}),
      tensorNamed("transformer/decoder_layer_1/moe/linear_1/w", {2, 96, 64})};
  const std::vector<CalibrationItem> items = itemsOf(tensors);
  std::vector<std::string> names;
  names.reserve(items.size());
  for (const CalibrationItem &item : items)
    names.push_back(item.name);
  EXPECT_THAT(names,
              ElementsAre("layer0.gate_up", "layer0.down", "layer0.attention", "layer1.down"));
  EXPECT_THAT(items[0].tensors, ElementsAre(&tensors[1], &tensors[3]));
  EXPECT_THAT(items[2].tensors, ElementsAre(&tensors[4], &tensors[5]));
}

TEST(Sensitivities, formatsHaveTheNamesOfAttributes) {
  EXPECT_EQ(attributeNameOf({Kind::i4, 1, 32}), "int4g32");
  EXPECT_EQ(attributeNameOf({Kind::i3, 8, 64}), "int3g64");
  EXPECT_EQ(attributeNameOf({Kind::i8, 8}), "int8");
}

// 96 rows are no whole groups of 64. The error of an item is that of all its
// matrices together.
TEST(Sensitivities, errorsAreThoseOfRealEncodings) {
  TestCheckpoint checkpoint;
  checkpoint.list = {tensorNamed(inLayer("moe/linear_1/w"), {2, 96, 16})};
  const Statistics none;
  const GptqEncoder encoder(none, {});
  const MatrixFormat formats[] = {{Kind::i4, 1, 32}, {Kind::i3, 1, 32}, {Kind::i4, 1, 64}};
  const auto items = itemsOf(checkpoint.list);
  const auto measured = measureErrors(checkpoint, items, formats, encoder, none, 1);
  ASSERT_TRUE(measured) << measured.error();
  const auto &errors = measured->at("layer0.down").errors;
  EXPECT_THAT(errors, ElementsAre(Key("int3g32"), Key("int4g32")));

  const auto data = checkpoint.read(checkpoint.list[0].name);
  Loss sum;
  for (int64_t expert : {0, 1}) {
    const auto source = quantization::matrixOf(checkpoint.list[0], **data, expert);
    const auto loss = lossOf(source, *encoder.encode(source, formats[1]), none, 1);
    sum.error += loss->error, sum.whole += loss->whole;
  }
  EXPECT_EQ(errors.at("int3g32"), sum.relative());
  EXPECT_GT(sum.relative(), 0);
}

// A trial of item "b" gives the other toy model, one of "a" the reference.
TEST(Sensitivities, lossesAddUpToThatOfAllItems) {
  const toy::Artifact reference(toy::makePlan(2)), other(toy::makePlan(3));
  std::vector<int32_t> ids(121);
  for (int i = 0; i < 121; ++i)
    ids[i] = 1 + i * 7 % 11;
  ItemSensitivities items;
  items["a"].errors["int3g32"] = 0.01;
  items["b"].errors["int3g32"] = 0.02;
  items["c"].errors["int4g32"] = 0.03;
  std::vector<std::vector<std::string>> trials;
  const auto build = [&](std::span<const std::string> names,
                         const std::string &format) -> Result<std::string> {
    EXPECT_EQ(format, "int3g32");
    trials.emplace_back(names.begin(), names.end());
    return names.back() == "b" ? other.path : reference.path;
  };
  TrialOptions options;
  options.reference = reference.path;
  options.slice = {ids, 20, 0, 6};
  const auto measured = measureLosses(items, build, options);
  ASSERT_TRUE(measured) << measured.error();
  EXPECT_THAT(trials, ElementsAre(ElementsAre("a"), ElementsAre("b"), ElementsAre("a", "b")));
  const Comparison &trial = items["b"].trial;
  const bool isClear = trial.nllDifference > 3 * trial.nllStandardError;
  EXPECT_EQ(items["a"].loss, 0);
  EXPECT_DOUBLE_EQ(items["b"].loss * 0.02, isClear ? trial.nllDifference : trial.divergence);
  EXPECT_GT(items["b"].loss, 0);
  EXPECT_EQ(items["c"].loss, 0) << "has no error in the trial format";
}

TEST(Sensitivities, failedTrialsAreReported) {
  ItemSensitivities items;
  items["a"].errors["int3g32"] = 0.01;
  const auto build = [](std::span<const std::string>, const std::string &) -> Result<std::string> {
    return tl::unexpected(std::string("no room"));
  };
  const auto measured = measureLosses(items, build, {});
  ASSERT_FALSE(measured);
  EXPECT_EQ(measured.error(), "no room");
}
