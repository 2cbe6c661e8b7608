// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/graph/Config.h"
#include "tests/frontends/checkpoint/TemporaryFolder.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

using namespace grok::graph;
using grok::checkpoint::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

static nlohmann::json goodConfig() {
  std::ifstream in(GROKC_SOURCE_DIR "/tests/inputs/b4x2/config.json");
  return nlohmann::json::parse(in);
}

static std::string refusalOfText(const std::string &text) {
  Result<ModelConfig> config = parseConfig(text, "x/config.json", "x");
  if (config)
    return "accepted";
  EXPECT_THAT(config.error(), StartsWith("x/config.json: "));
  EXPECT_EQ(config.error().find('\n'), std::string::npos);
  return config.error();
}

/// The message after one key was set to `value`.
static std::string refusal(const std::string &key, const nlohmann::json &value) {
  nlohmann::json config = goodConfig();
  config[key] = value;
  return refusalOfText(config.dump());
}

TEST(Config, ReadsGoldens) {
  Result<ModelSource> model = findModel(GROKC_SOURCE_DIR "/tests/inputs/b4x2");
  ASSERT_TRUE(model) << model.error();
  const ModelConfig &config = model->config;
  EXPECT_EQ(model->folder, GROKC_SOURCE_DIR "/tests/inputs/b4x2");
  EXPECT_EQ(config.name, "b4x2");
  EXPECT_EQ(config.vocabSize, 768);
  EXPECT_EQ(config.embSize, 64);
  EXPECT_EQ(config.numLayers, 3);
  EXPECT_EQ(config.numQHeads, 4);
  EXPECT_EQ(config.numKvHeads, 2);
  EXPECT_EQ(config.keySize, 32);
  EXPECT_EQ(config.wideningFactor, 8);
  EXPECT_EQ(config.numExperts, 4);
  EXPECT_EQ(config.numSelectedExperts, 1);
  EXPECT_EQ(config.embeddingMultiplier, 1.07);
  EXPECT_EQ(config.outputMultiplier, 1.1);
  EXPECT_EQ(config.attnOutputMultiplier, 0.1767766952966369);
  EXPECT_EQ(config.padToken, 0);
  EXPECT_EQ(config.eosToken, 2);
  EXPECT_EQ(config.sequenceLen, 160);
  EXPECT_EQ(config.ffnSize, 344);
  EXPECT_EQ(config.rmsNormEps, 1e-5);
  EXPECT_EQ(config.ropeBase, 10000);
  EXPECT_EQ(config.attnLogitSoftcap, 30);
  EXPECT_EQ(config.modelShardsOfInt8Scales, 2);
  EXPECT_EQ(config.floatCheckpointMatrixDtype, DType::bf16);
  EXPECT_TRUE(findModel(GROKC_SOURCE_DIR "/tests/inputs/a6x1/"));
  EXPECT_EQ(findModel(GROKC_SOURCE_DIR "/tests/inputs/a6x1/")->config.name, "a6x1");
  EXPECT_TRUE(findModel(GROKC_SOURCE_DIR "/examples/grok-nano"));
}

TEST(Config, HasOptionalAndIgnoredKeys) {
  nlohmann::json config = goodConfig();
  config.erase("model_shards_of_int8_scales");
  config.erase("float_checkpoint_matrix_dtype");
  config["weights_seed"] = nullptr;
  config["model_shards_of_reference_run"] = "anything";
  Result<ModelConfig> parsed = parseConfig(config.dump(), "x", "x");
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(parsed->modelShardsOfInt8Scales, 1);
  EXPECT_EQ(parsed->floatCheckpointMatrixDtype, DType::f32);
}

TEST(Config, KnowsGrok1) {
  std::optional<ModelConfig> config = findPreset("grok-1");
  ASSERT_TRUE(config);
  // Specification section 1: summed over the real parameter tree.
  EXPECT_EQ(parameterCount(*config), 315684820992);
  EXPECT_EQ(ffnSizeOf(config->wideningFactor, config->embSize), config->ffnSize);
  EXPECT_EQ(config->modelShardsOfInt8Scales, 8);
  EXPECT_TRUE(findModel("grok-1")->folder.empty());
  EXPECT_EQ(presetNames(), std::vector<std::string>{"grok-1"});
}

TEST(Config, PrefersFoldersToPresets) {
  EXPECT_THAT(findModel("grok1").error(), HasSubstr("the nearest preset is grok-1"));
  EXPECT_THAT(findModel("./grok-1").error(), HasSubstr("no such folder"));
  TemporaryFolder empty;
  EXPECT_THAT(findModel(empty.string()).error(), HasSubstr("config.json: missing"));
}

TEST(Config, RefusesWhatIsNoFile) {
  TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "config.json").c_str(), 0600), 0);
  EXPECT_THAT(findModel(folder.string()).error(), HasSubstr("is a FIFO"));
  std::filesystem::remove(folder / "config.json");
  folder.write("config.json", std::string(2 << 20, ' '));
  EXPECT_THAT(findModel(folder.string()).error(), HasSubstr("not a model's description"));
}

TEST(Config, FollowsWideningRule) {
  EXPECT_EQ(ffnSizeOf(8, 64), 344); // 341 rounded up
  EXPECT_EQ(ffnSizeOf(4, 96), 256);
  EXPECT_EQ(ffnSizeOf(2.5, 64), 112); // 106 rounded up
  EXPECT_THAT(refusal("ffn_size", 352), HasSubstr("key 'ffn_size': 352 is not what widening_factor "
                                                  "and emb_size give, 344"));
}

TEST(Config, RefusesUnknownKeys) {
  EXPECT_THAT(refusal("num_layer", 3),
              HasSubstr("unknown key 'num_layer'; did you mean 'num_layers'?"));
  EXPECT_THAT(refusal("pad_tokens", 3), HasSubstr("did you mean 'pad_token'?"));
  EXPECT_THAT(refusal(std::string(100000, 'x'), 3), HasSubstr("unknown key 'xxx"));
  EXPECT_THAT(refusal("a\nb", 3), HasSubstr("'a\\x0ab'"));
}

TEST(Config, RequiresEveryKey) {
  const nlohmann::json good = goodConfig();
  for (const auto &[key, value] : good.items()) {
    nlohmann::json config = good;
    config.erase(key);
    bool optional = key.starts_with("model_shards") || key == "float_checkpoint_matrix_dtype" ||
                    key == "weights_seed";
    EXPECT_THAT(refusalOfText(config.dump()),
                HasSubstr(optional ? "" : "key '" + key + "': missing"));
  }
}

TEST(Config, RefusesDuplicateKeys) {
  std::string text = goodConfig().dump();
  text.insert(1, "\"emb_size\": 64,");
  EXPECT_THAT(refusalOfText(text), HasSubstr("key 'emb_size' stands there twice"));
}

TEST(Config, RefusesOtherTypes) {
  for (const char *key : {"vocab_size", "num_selected_experts", "model_shards_of_int8_scales"})
    for (const nlohmann::json &value : {nlohmann::json("64"), nlohmann::json(64.0),
                                        nlohmann::json(true), nlohmann::json(nullptr)})
      EXPECT_THAT(refusal(key, value), HasSubstr("expected an integer"));
  for (const char *key : {"widening_factor", "rope_base"})
    EXPECT_THAT(refusal(key, "1"), HasSubstr("expected a number"));
  EXPECT_THAT(refusal("emb_size", {1, 2}), HasSubstr("key 'emb_size' is a list"));
  EXPECT_THAT(refusal("emb_size", {{"a", 1}}), HasSubstr("key 'emb_size' is an object"));
  EXPECT_THAT(refusal("float_checkpoint_matrix_dtype", "int8"),
              HasSubstr("expected \"float32\" or \"bfloat16\""));
  EXPECT_THAT(refusal("float_checkpoint_matrix_dtype", 3), HasSubstr("expected \"float32\""));
}

TEST(Config, RefusesImpossibleSizes) {
  for (const char *key : {"vocab_size", "emb_size", "num_layers", "num_q_heads", "num_kv_heads",
                          "key_size", "num_experts", "num_selected_experts", "sequence_len",
                          "ffn_size", "model_shards_of_int8_scales"})
    for (int64_t value : {int64_t(0), int64_t(-1), int64_t(1) << 40, INT64_MAX})
      EXPECT_THAT(refusal(key, value), AllOf(HasSubstr(key), HasSubstr(" is not in ")));
  EXPECT_THAT(refusal("emb_size", UINT64_MAX), HasSubstr("expected an integer"));
  EXPECT_THAT(refusal("pad_token", 1), HasSubstr("key 'pad_token': 1 is not in 0..0"));
  EXPECT_THAT(refusal("eos_token", 768), HasSubstr("is not below vocab_size"));
  EXPECT_THAT(refusal("key_size", 33), HasSubstr("key 'key_size': 33 is odd"));
  EXPECT_THAT(refusal("num_kv_heads", 3), HasSubstr("4 is not a multiple of num_kv_heads, 3"));
  EXPECT_THAT(refusal("num_selected_experts", 5), HasSubstr("5 is more than num_experts, 4"));
  EXPECT_THAT(refusal("model_shards_of_int8_scales", 3), HasSubstr("does not divide"));
  EXPECT_THAT(refusal("model_shards_of_int8_scales", 16), HasSubstr("does not divide ffn_size"));
}

TEST(Config, RefusesAbsurdProducts) {
  nlohmann::json config = goodConfig();
  config["emb_size"] = 1 << 20;
  config["ffn_size"] = ffnSizeOf(8, 1 << 20);
  config["num_experts"] = 1 << 12;
  config["num_layers"] = 1 << 12;
  EXPECT_THAT(refusalOfText(config.dump()), HasSubstr("more than 2^48 weights"));
}

TEST(Config, RefusesOtherNumbers) {
  for (const char *key :
       {"widening_factor", "embedding_multiplier", "output_multiplier", "attn_output_multiplier",
        "rms_norm_eps", "rope_base", "attn_logit_softcap"})
    for (double value : {0.0, -1.0, 1e-50, 1e300})
      EXPECT_THAT(refusal(key, value), AllOf(HasSubstr(key), HasSubstr("is not above 0 and")));
  std::string text = goodConfig().dump();
  text.insert(1, "\"rope_base\": 1e999,");
  EXPECT_THAT(refusalOfText(text), HasSubstr("not JSON"));
}

TEST(Config, RefusesBadJson) {
  EXPECT_THAT(refusalOfText(""), HasSubstr("not JSON: parse error at line 1"));
  EXPECT_THAT(refusalOfText("{\"emb_size\": NaN}"), HasSubstr("not JSON"));
  EXPECT_THAT(refusalOfText("{\"emb_size\": 1"), HasSubstr("not JSON"));
  EXPECT_THAT(refusalOfText("{} x"), HasSubstr("not JSON"));
  EXPECT_THAT(refusalOfText("{\"\xff\xfe\": 1}"), HasSubstr("not JSON"));
  EXPECT_THAT(refusalOfText("{\"a\n\": 1}"), HasSubstr("not JSON"));
  EXPECT_THAT(refusalOfText("[]"), HasSubstr("holds a list, not an object"));
  EXPECT_THAT(refusalOfText("3"), HasSubstr("holds a single value"));
  EXPECT_THAT(refusalOfText(std::string(1 << 20, '[')), HasSubstr("holds a list"));
  std::string deep = "{\"a\":";
  for (int level = 0; level < 100000; ++level)
    deep += "{\"a\":";
  EXPECT_THAT(refusalOfText(deep), HasSubstr("key 'a' is an object"));
}

TEST(Config, SurvivesEveryChangedByte) {
  const std::string text = goodConfig().dump();
  for (size_t place = 0; place < text.size(); ++place) {
    EXPECT_NE(refusalOfText(text.substr(0, place)), "accepted");
    for (int value : {0, 0x22, 0x2d, 0x39, 0x5b, 0x7b, 0x7d, 0x80, 0xff}) {
      std::string changed = text;
      changed[place] = static_cast<char>(value);
      refusalOfText(changed);
    }
  }
}
