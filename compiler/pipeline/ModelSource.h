// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where a model comes from: the MODEL argument and --weights-from.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"
#include "frontends/graph/CheckpointTensors.h"

namespace grok::compiler {

template <typename T> using Result = checkpoint::Result<T>;

/// An opened model.
struct OpenedModel {
  graph::ModelConfig config;
  /// Null for a plan without weights.
  std::unique_ptr<checkpoint::Checkpoint> weights;
  /// What each tensor is (or, without weights, would be in the release).
  checkpoint::TensorList tensors;
  std::vector<std::byte> tokenizer; // SentencePiece model; empty if not found
  std::string tokenizerPath;
};

/// `model` is a folder with config.json and ckpt-0, or a preset; a name with
/// '/' or that is a folder is a folder. `weightsFrom` is empty, a folder,
/// "random:SEED" or "none".
Result<OpenedModel> openModel(const std::string &model, const std::string &weightsFrom);

/// The form of the matrices, for people: how most of the bytes are stored.
std::string weightsText(const checkpoint::TensorList &tensors);

} // namespace grok::compiler
