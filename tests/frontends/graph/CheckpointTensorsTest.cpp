// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/graph/CheckpointTensors.h"
#include "frontends/checkpoint/xai/LeafFiles.h"
#include "tests/frontends/checkpoint/TemporaryFolder.h"
#include "tests/frontends/checkpoint/xai/PickleWriter.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok::graph;
using namespace grok::checkpoint;
using testing::AllOf;
using testing::HasSubstr;

static ModelConfig configIn(const std::string &folder) {
  Result<ModelSource> model = findModel(folder);
  EXPECT_TRUE(model) << model.error();
  return model->config;
}

/// The tensor as tensor_index.json, written with the data, has it.
static TensorInfo indexed(const nlohmann::json &entry, WeightForm form) {
  TensorInfo tensor;
  tensor.name = entry["path"];
  tensor.shape = entry["shape"].get<std::vector<int64_t>>();
  tensor.dtype = entry["float_dtype"] == "bfloat16" ? DType::bf16 : DType::f32;
  if (form == WeightForm::int8 && !entry["int8"].is_null()) {
    tensor.dtype = DType::i8;
    tensor.quantised = true;
    tensor.scaleShape = entry["int8"]["scales_shape"].get<std::vector<int64_t>>();
  }
  return tensor;
}

static void expectAsIndexed(const std::string &folder, const std::string &checkpoint,
                            WeightForm form) {
  std::ifstream in(folder + "/tensor_index.json");
  nlohmann::json index = nlohmann::json::parse(in);
  Result<std::unique_ptr<Checkpoint>> opened = openCheckpoint(checkpoint, configIn(folder));
  ASSERT_TRUE(opened) << opened.error();
  ASSERT_EQ((*opened)->tensors().size(), index.size());
  for (size_t leaf = 0; leaf < index.size(); ++leaf) {
    TensorInfo expected = indexed(index[leaf], form);
    const TensorInfo &found = (*opened)->tensors()[leaf]; // fewer than 10 layers: same order
    EXPECT_EQ(found.name, expected.name);
    EXPECT_TRUE(found.sameForm(expected)) << found.form() << " " << expected.form();
    EXPECT_THAT(found.file, HasSubstr(index[leaf]["file"].get<std::string>()));
    Result<std::unique_ptr<TensorData>> data = (*opened)->read(found.name);
    ASSERT_TRUE(data) << data.error();
    EXPECT_EQ(static_cast<int64_t>((*data)->weight().size()), found.weightBytes());
    EXPECT_EQ(static_cast<int64_t>((*data)->scales().size()), found.scaleBytes());
  }
}

TEST(CheckpointTensors, OpensGoldens) {
  for (const char *set : {"a6x1", "b4x2"}) {
    std::string folder = std::string(GROKC_SOURCE_DIR "/tests/inputs/") + set;
    expectAsIndexed(folder, folder + "/float", WeightForm::floating);
    expectAsIndexed(folder, folder + "/int8", WeightForm::int8);
  }
}

TEST(CheckpointTensors, OpensGrokNano) {
  std::string folder = GROKC_SOURCE_DIR "/examples/grok-nano";
  expectAsIndexed(folder, folder, WeightForm::int8);
}

TEST(CheckpointTensors, RefusesOtherModelsCheckpoint) {
  std::string inputs = GROKC_SOURCE_DIR "/tests/inputs/";
  EXPECT_THAT(openCheckpoint(inputs + "a6x1/int8", configIn(inputs + "b4x2")).error(),
              HasSubstr("the model has 38 tensors, the folder 26"));
  ModelConfig config = configIn(inputs + "a6x1");
  config.vocabSize = 513;
  EXPECT_THAT(openCheckpoint(inputs + "a6x1/int8", config).error(),
              AllOf(HasSubstr("tensor00000_000: language_model/in_out_embed/embeddings: is "
                              "float32 [512, 96], expected float32 [513, 96]"),
                    HasSubstr("check the model's description")));
  config = configIn(inputs + "b4x2");
  config.modelShardsOfInt8Scales = 1;
  EXPECT_THAT(openCheckpoint(inputs + "b4x2/int8", config).error(),
              AllOf(HasSubstr("scales bfloat16 [4, 2, 64], expected int8 [4, 344, 64], scales "
                              "bfloat16 [4, 1, 64]"),
                    HasSubstr("check model_shards_of_int8_scales")));
  config = configIn(inputs + "b4x2");
  config.floatCheckpointMatrixDtype = DType::f32;
  EXPECT_THAT(openCheckpoint(inputs + "b4x2/float", config).error(),
              AllOf(HasSubstr("is bfloat16 [4, 64, 344], expected float32 [4, 64, 344]"),
                    HasSubstr("check float_checkpoint_matrix_dtype")));
}

TEST(CheckpointTensors, DescribesGrok1) {
  TensorList list = expectedTensors(*findPreset("grok-1"));
  ASSERT_EQ(list.size(), 770u);
  int64_t elements = 0;
  for (const TensorInfo &tensor : list)
    elements += tensor.elements();
  EXPECT_EQ(elements, 315684820992);
  std::vector<size_t> order = leafOrder(list);
  // Specification section 6.
  EXPECT_EQ(list[order[0]].name, "language_model/in_out_embed/embeddings");
  EXPECT_EQ(list[order[1]].name, "language_model/rms_norm/scale");
  EXPECT_EQ(list[order[14]].name, "transformer/decoder_layer_1/moe/linear/w");
  EXPECT_EQ(list[order[26]].name, "transformer/decoder_layer_10/moe/linear/w");
  EXPECT_EQ(list[order[146]].name, "transformer/decoder_layer_2/moe/linear/w");
  EXPECT_EQ(list[order[758]].name, "transformer/decoder_layer_9/moe/linear/w");
  EXPECT_EQ(list[order[769]].name, "transformer/decoder_layer_9/router/w");
  // Section 5.
  EXPECT_EQ(list[2].form(), "int8 [8, 6144, 32768], scales bfloat16 [8, 1, 32768]");
  EXPECT_EQ(list[3].form(), "int8 [8, 32768, 6144], scales bfloat16 [8, 8, 6144]");
  EXPECT_EQ(list[5].form(), "int8 [6144, 1024], scales bfloat16 [1, 1024]");
  EXPECT_EQ(list[6].form(), "int8 [6144, 6144], scales bfloat16 [8, 6144]");
}

/// All 770 files of a model as deep as Grok-1, but tiny.
class DeepCheckpoint : public testing::Test {
protected:
  void SetUp() override {
    config = configIn(GROKC_SOURCE_DIR "/tests/inputs/b4x2");
    config.numLayers = 64;
    config.vocabSize = config.embSize = 4;
    config.numQHeads = config.numKvHeads = 1;
    config.keySize = config.numExperts = 2;
    config.wideningFactor = 3;
    config.ffnSize = ffnSizeOf(config.wideningFactor, config.embSize);
    config.modelShardsOfInt8Scales = 1;
    TensorList list = expectedTensors(config);
    std::vector<size_t> order = leafOrder(list);
    for (size_t leaf = 0; leaf < order.size(); ++leaf)
      folder.write(fileName(leaf), tensorPickle(list[order[leaf]]));
  }
  static std::string fileName(size_t leaf) {
    char text[32];
    std::snprintf(text, sizeof text, "tensor%05zu_000", leaf);
    return text;
  }

  ModelConfig config;
  TemporaryFolder folder;
};

TEST_F(DeepCheckpoint, OpensInStringOrder) {
  Result<std::unique_ptr<Checkpoint>> opened = openCheckpoint(folder.string(), config);
  ASSERT_TRUE(opened) << opened.error();
  const TensorInfo &tensor = (*opened)->tensors()[2 + 12 * 2];
  EXPECT_EQ(tensor.name, "transformer/decoder_layer_2/moe/linear/w");
  EXPECT_THAT(tensor.file, HasSubstr(fileName(146)));
}

TEST_F(DeepCheckpoint, FindsOneSwappedPair) {
  std::string first = folder.read(fileName(300));
  folder.write(fileName(300), folder.read(fileName(301)));
  folder.write(fileName(301), first);
  EXPECT_THAT(openCheckpoint(folder.string(), config).error(),
              AllOf(HasSubstr(fileName(300)), HasSubstr("swapped with"), HasSubstr(fileName(301))));
}

TEST_F(DeepCheckpoint, CountsFiles) {
  config.numLayers = 63;
  EXPECT_THAT(openCheckpoint(folder.string(), config).error(),
              HasSubstr("tensor00758_000: one file too many (the model has 758 tensors, the "
                        "folder 770)"));
  config.numLayers = 65;
  EXPECT_THAT(openCheckpoint(folder.string(), config).error(),
              HasSubstr("tensor00770_000: missing; it holds transformer/decoder_layer_9/moe/"));
}
