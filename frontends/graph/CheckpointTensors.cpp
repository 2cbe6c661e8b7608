// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The table of parameters of specification section 2.
#include "frontends/graph/CheckpointTensors.h"

#include "frontends/checkpoint/xai/XaiCheckpoint.h"

namespace grok::graph {

using checkpoint::TensorInfo;
using checkpoint::TensorList;

static TensorInfo plain(std::string name, std::vector<int64_t> shape) {
  TensorInfo tensor;
  tensor.name = std::move(name);
  tensor.shape = std::move(shape);
  return tensor;
}

/// One of the seven matrices; `rowGroups` stand along the contracted axis.
static TensorInfo matrix(std::string name, std::vector<int64_t> shape, int64_t rowGroups,
                         const ModelConfig &config, WeightForm form) {
  TensorInfo tensor = plain(std::move(name), std::move(shape));
  tensor.dtype = config.floatCheckpointMatrixDtype;
  if (form == WeightForm::floating)
    return tensor;
  tensor.dtype = DType::i8;
  tensor.quantised = true;
  tensor.scaleShape = tensor.shape;
  tensor.scaleShape[tensor.shape.size() - 2] = rowGroups;
  return tensor;
}

static void addLayer(TensorList &list, int64_t layer, const ModelConfig &config, WeightForm form) {
  const std::string path = "transformer/decoder_layer_" + std::to_string(layer) + "/";
  const int64_t emb = config.embSize;
  const int64_t ffn = config.ffnSize;
  const int64_t experts = config.numExperts;
  const int64_t query = config.numQHeads * config.keySize;
  const int64_t keyValue = config.numKvHeads * config.keySize;
  // These two contract the axis that the writer sharded over its devices.
  const int64_t groups = config.modelShardsOfInt8Scales;
  auto addMatrix = [&](const char *leaf, std::vector<int64_t> shape, int64_t rowGroups) {
    list.push_back(matrix(path + leaf + "/w", std::move(shape), rowGroups, config, form));
  };
  addMatrix("moe/linear", {experts, emb, ffn}, 1);
  addMatrix("moe/linear_1", {experts, ffn, emb}, groups);
  addMatrix("moe/linear_v", {experts, emb, ffn}, 1);
  addMatrix("multi_head_attention/key", {emb, keyValue}, 1);
  addMatrix("multi_head_attention/linear", {query, emb}, groups);
  addMatrix("multi_head_attention/query", {emb, query}, 1);
  addMatrix("multi_head_attention/value", {emb, keyValue}, 1);
  for (const char *norm : {"rms_norm", "rms_norm_1", "rms_norm_2", "rms_norm_3"})
    list.push_back(plain(path + norm + "/scale", {emb}));
  list.push_back(plain(path + "router/w", {emb, experts}));
}

TensorList expectedTensors(const ModelConfig &config, WeightForm form) {
  TensorList list;
  list.push_back(
      plain("language_model/in_out_embed/embeddings", {config.vocabSize, config.embSize}));
  list.push_back(plain("language_model/rms_norm/scale", {config.embSize}));
  for (int64_t layer = 0; layer < config.numLayers; ++layer)
    addLayer(list, layer, config, form);
  return list;
}

Result<std::unique_ptr<checkpoint::Checkpoint>> openCheckpoint(const std::string &folder,
                                                               const ModelConfig &config) {
  return checkpoint::openXai(folder, {expectedTensors(config, WeightForm::int8),
                                      expectedTensors(config, WeightForm::floating)});
}

} // namespace grok::graph
