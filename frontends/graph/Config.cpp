// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The table of keys, and the values each may have by itself.
#include "frontends/graph/Config.h"

#include "frontends/checkpoint/RegularFile.h"
#include "frontends/graph/ConfigRules.h"
#include "frontends/graph/FlatJson.h"
#include "frontends/graph/Nearest.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cstdio>
#include <filesystem>

namespace grok::graph {

/// No real config.json comes near it.
static constexpr int64_t largestFile = int64_t(1) << 20;

/// The limits are far above any model, and low enough that products of three
/// sizes fit int64.
struct IntegerKey {
  std::string_view key;
  int64_t ModelConfig::*field;
  int64_t smallest;
  int64_t largest;
};

static constexpr std::array<IntegerKey, 12> integerKeys = {{
    {"vocab_size", &ModelConfig::vocabSize, 1, 1 << 24},
    {"emb_size", &ModelConfig::embSize, 1, 1 << 20},
    {"num_layers", &ModelConfig::numLayers, 1, 1 << 12},
    {"num_q_heads", &ModelConfig::numQHeads, 1, 1 << 12},
    {"num_kv_heads", &ModelConfig::numKvHeads, 1, 1 << 12},
    {"key_size", &ModelConfig::keySize, 2, 1 << 12},
    {"num_experts", &ModelConfig::numExperts, 1, 1 << 12},
    {"num_selected_experts", &ModelConfig::numSelectedExperts, 1, 1 << 12},
    {"pad_token", &ModelConfig::padToken, 0, 0}, // everything masks by "token > 0"
    {"eos_token", &ModelConfig::eosToken, 0, 1 << 24},
    {"sequence_len", &ModelConfig::sequenceLen, 1, 1 << 24},
    {"ffn_size", &ModelConfig::ffnSize, 1, 1 << 24},
}};

/// All are factors that become float32; `largest` is exclusive.
struct NumberKey {
  std::string_view key;
  double ModelConfig::*field;
  double largest;
};

static constexpr std::array<NumberKey, 7> numberKeys = {{
    {"widening_factor", &ModelConfig::wideningFactor, 1 << 12},
    {"embedding_multiplier", &ModelConfig::embeddingMultiplier, FLT_MAX},
    {"output_multiplier", &ModelConfig::outputMultiplier, FLT_MAX},
    {"attn_output_multiplier", &ModelConfig::attnOutputMultiplier, FLT_MAX},
    {"rms_norm_eps", &ModelConfig::rmsNormEps, 1},
    {"rope_base", &ModelConfig::ropeBase, FLT_MAX},
    {"attn_logit_softcap", &ModelConfig::attnLogitSoftcap, FLT_MAX},
}};

static constexpr IntegerKey shardsKey = {"model_shards_of_int8_scales",
                                         &ModelConfig::modelShardsOfInt8Scales, 1, 1 << 12};
static constexpr std::string_view matrixDtypeKey = "float_checkpoint_matrix_dtype";
/// Say how the file was made; they change nothing.
static constexpr std::array<std::string_view, 2> ignoredKeys = {"model_shards_of_reference_run",
                                                                "weights_seed"};

static std::vector<std::string> knownKeys() {
  std::vector<std::string> keys;
  keys.reserve(integerKeys.size() + numberKeys.size() + ignoredKeys.size() + 2);
  for (const IntegerKey &known : integerKeys)
    keys.emplace_back(known.key);
  for (const NumberKey &known : numberKeys)
    keys.emplace_back(known.key);
  keys.emplace_back(shardsKey.key);
  keys.emplace_back(matrixDtypeKey);
  for (std::string_view key : ignoredKeys)
    keys.emplace_back(key);
  return keys;
}

/// "key 'emb_size': what".
static tl::unexpected<std::string> errorAt(std::string_view key, const std::string &what) {
  return tl::unexpected("key '" + std::string(key) + "': " + what);
}

static Result<void> refuseUnknownKeys(const FlatObject &object) {
  std::vector<std::string> known = knownKeys();
  for (const auto &[key, value] : object)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return tl::unexpected("unknown key '" + checkpoint::printable(key.substr(0, 64)) +
                            "'; did you mean '" + nearestTo(key, known) + "'?");
  return {};
}

static Result<const FlatValue *> require(const FlatObject &object, std::string_view key) {
  auto found = object.find(std::string(key));
  if (found == object.end())
    return errorAt(key, "missing; add it");
  return &found->second;
}

static Result<void> readInteger(const FlatObject &object, const IntegerKey &known,
                                ModelConfig &config) {
  Result<const FlatValue *> value = require(object, known.key);
  if (!value)
    return tl::unexpected(value.error());
  const int64_t *number = std::get_if<int64_t>(*value);
  if (!number)
    return errorAt(known.key, "expected an integer");
  if (*number < known.smallest || *number > known.largest)
    return errorAt(known.key, std::to_string(*number) + " is not in " +
                                  std::to_string(known.smallest) + ".." +
                                  std::to_string(known.largest));
  config.*known.field = *number;
  return {};
}

static Result<void> readNumber(const FlatObject &object, const NumberKey &known,
                               ModelConfig &config) {
  Result<const FlatValue *> value = require(object, known.key);
  if (!value)
    return tl::unexpected(value.error());
  const int64_t *integer = std::get_if<int64_t>(*value);
  const double *real = std::get_if<double>(*value);
  if (!integer && !real)
    return errorAt(known.key, "expected a number");
  double number = integer ? static_cast<double>(*integer) : *real;
  // Kernels hold it as float32: smaller than this it would lose its digits.
  if (!(number >= FLT_MIN && number < known.largest)) {
    char text[96];
    std::snprintf(text, sizeof text, "%g is not above 0 and below %g", number, known.largest);
    return errorAt(known.key, text);
  }
  config.*known.field = number;
  return {};
}

static Result<void> readMatrixDtype(const FlatObject &object, ModelConfig &config) {
  auto found = object.find(std::string(matrixDtypeKey));
  if (found == object.end())
    return {};
  const std::string *text = std::get_if<std::string>(&found->second);
  for (DType dtype : {DType::f32, DType::bf16}) {
    if (!text || *text != checkpoint::nameOf(dtype))
      continue;
    config.floatCheckpointMatrixDtype = dtype;
    return {};
  }
  return errorAt(matrixDtypeKey, "expected \"float32\" or \"bfloat16\"");
}

static Result<ModelConfig> configOf(const FlatObject &object) {
  ModelConfig config;
  if (Result<void> known = refuseUnknownKeys(object); !known)
    return tl::unexpected(known.error());
  for (const IntegerKey &key : integerKeys)
    if (Result<void> read = readInteger(object, key, config); !read)
      return tl::unexpected(read.error());
  for (const NumberKey &key : numberKeys)
    if (Result<void> read = readNumber(object, key, config); !read)
      return tl::unexpected(read.error());
  if (object.contains(std::string(shardsKey.key)))
    if (Result<void> read = readInteger(object, shardsKey, config); !read)
      return tl::unexpected(read.error());
  if (Result<void> read = readMatrixDtype(object, config); !read)
    return tl::unexpected(read.error());
  if (Result<void> checked = checkRules(config); !checked)
    return tl::unexpected(checked.error());
  return config;
}

Result<ModelConfig> parseConfig(std::string_view text, const std::string &file,
                                const std::string &name) {
  Result<FlatObject> object = parseFlatJson(text);
  if (!object)
    return tl::unexpected(file + ": " + object.error());
  Result<ModelConfig> config = configOf(*object);
  if (!config)
    return tl::unexpected(file + ": " + config.error());
  config->name = name;
  return config;
}

/// The released model (specification section 1).
static ModelConfig grok1() {
  ModelConfig config;
  config.name = "grok-1";
  config.vocabSize = 131072;
  config.embSize = 6144;
  config.numLayers = 64;
  config.numQHeads = 48;
  config.numKvHeads = 8;
  config.keySize = 128;
  config.wideningFactor = 8;
  config.numExperts = 8;
  config.numSelectedExperts = 2;
  config.embeddingMultiplier = 78.38367176906169;
  config.outputMultiplier = 0.5773502691896257;
  config.attnOutputMultiplier = 0.08838834764831845;
  config.padToken = 0;
  config.eosToken = 2;
  config.sequenceLen = 8192;
  config.ffnSize = 32768;
  config.rmsNormEps = 1e-5;
  config.ropeBase = 10000;
  config.attnLogitSoftcap = 30;
  config.modelShardsOfInt8Scales = 8;
  return config;
}

std::vector<std::string> presetNames() { return {grok1().name}; }

std::optional<ModelConfig> findPreset(std::string_view name) {
  if (name == grok1().name)
    return grok1();
  return std::nullopt;
}

static Result<ModelSource> readModelFolder(const std::string &folder) {
  std::error_code code;
  std::filesystem::path path(folder);
  if (!std::filesystem::is_directory(path, code))
    return tl::unexpected(folder + ": no such folder; name one that holds config.json");
  std::string file = (path / "config.json").string();
  if (!std::filesystem::exists(std::filesystem::symlink_status(file, code)))
    return tl::unexpected(file + ": missing; for xAI's own download name the preset grok-1 and "
                                 "give this folder as --weights-from");
  Result<checkpoint::RegularFile> opened = checkpoint::RegularFile::open(file);
  if (!opened)
    return tl::unexpected(opened.error());
  if (opened->size() > largestFile)
    return tl::unexpected(file + ": " + std::to_string(opened->size()) +
                          " bytes; this is not a model's description");
  std::string text(static_cast<size_t>(opened->size()), '\0');
  if (!opened->readAt(0, std::as_writable_bytes(std::span(text))))
    return tl::unexpected(file + ": cannot be read to its end");
  // "models/x/" and "." have no last name of their own.
  std::filesystem::path whole = std::filesystem::weakly_canonical(path, code);
  Result<ModelConfig> config = parseConfig(text, file, code ? folder : whole.filename().string());
  if (!config)
    return tl::unexpected(config.error());
  return ModelSource{*config, folder};
}

Result<ModelSource> findModel(const std::string &model) {
  std::error_code code;
  if (model.find('/') != std::string::npos || std::filesystem::is_directory(model, code))
    return readModelFolder(model);
  if (std::optional<ModelConfig> preset = findPreset(model))
    return ModelSource{*preset, ""};
  return tl::unexpected(checkpoint::printable(model) +
                        ": neither a folder nor a preset; the nearest preset is " +
                        nearestTo(model, presetNames()));
}

} // namespace grok::graph
