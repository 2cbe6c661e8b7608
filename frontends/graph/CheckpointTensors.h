// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which tensors a described model is made of, and its checkpoint opened with
// exactly these demanded.
#pragma once

#include "frontends/graph/Config.h"

namespace grok::graph {

/// How the seven matrices of every layer are stored. All else is float32.
enum class WeightForm {
  int8,     // with bfloat16 scales, as released
  floating, // in the description's floatCheckpointMatrixDtype
};

/// The tensors in the order of the model: embeddings, final norm, then layers
/// 0, 1, 2, ... with their tensors in the order of the checkpoint.
checkpoint::TensorList expectedTensors(const ModelConfig &config,
                                       WeightForm form = WeightForm::int8);

/// Opens the checkpoint in `folder`, which holds or is `ckpt-0`.
Result<std::unique_ptr<checkpoint::Checkpoint>> openCheckpoint(const std::string &folder,
                                                               const ModelConfig &config);

} // namespace grok::graph
