// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The description of a model: config.json or a preset, checked so thoroughly
// that later stages may multiply its sizes without fear.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::graph {

using checkpoint::DType;
using checkpoint::Result;

/// All numbers of one model. Fields are the keys of config.json; sizes are
/// positive and consistent with each other once a Result delivered them.
struct ModelConfig {
  std::string name; // the preset's or the folder's
  int64_t vocabSize = 0;
  int64_t embSize = 0;
  int64_t numLayers = 0;
  int64_t numQHeads = 0;
  int64_t numKvHeads = 0;
  int64_t keySize = 0; // of one head; value heads have the same
  double wideningFactor = 0;
  int64_t numExperts = 0;
  int64_t numSelectedExperts = 0;
  double embeddingMultiplier = 0;
  double outputMultiplier = 0;
  double attnOutputMultiplier = 0;
  int64_t padToken = 0;
  int64_t eosToken = 0;
  int64_t sequenceLen = 0; // positions the model was made for
  int64_t ffnSize = 0;     // hidden size of one expert
  double rmsNormEps = 0;
  double ropeBase = 0;
  double attnLogitSoftcap = 0;
  /// Row groups of int8 scales where the contracted axis was sharded.
  int64_t modelShardsOfInt8Scales = 1;
  /// Of the seven matrices of a layer, where they are not int8.
  DType floatCheckpointMatrixDtype = DType::f32;

  bool operator==(const ModelConfig &) const = default;
};

/// The expert hidden size that xAI's widening rule gives: two thirds of
/// factor * embSize, rounded up to a multiple of 8 (specification section 1).
int64_t ffnSizeOf(double wideningFactor, int64_t embSize);

/// Weights of the whole model, scales not counted; nothing if they overflow.
std::optional<int64_t> parameterCount(const ModelConfig &config);

/// The model that `text`, the contents of `file`, describes. `name` becomes its
/// name.
Result<ModelConfig> parseConfig(std::string_view text, const std::string &file,
                                const std::string &name);

/// Names of the presets, as the command line takes them.
std::vector<std::string> presetNames();
std::optional<ModelConfig> findPreset(std::string_view name);

/// What the MODEL argument of a tool names.
struct ModelSource {
  ModelConfig config;
  std::string folder; // of config.json; empty for a preset
};

/// A folder with config.json, or a preset. What is a folder or has a slash in
/// its name is taken for a folder.
Result<ModelSource> findModel(const std::string &model);

} // namespace grok::graph
