// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// xAI's ckpt-0 folder as a checkpoint: files without names become named tensors
// by their order, and are believed only after their shapes and dtypes agree
// with the model's description.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::checkpoint {

/// Opens the checkpoint that `folder` holds (in `ckpt-0/`) or is. Reads the
/// header of every file, no data. `accepted` are the forms in which the model
/// may be stored (int8, float): lists of the same names, of which the files
/// must match one throughout. Errors name the file and the tensor.
Result<std::unique_ptr<Checkpoint>> openXai(const std::string &folder,
                                            const std::vector<TensorList> &accepted);

} // namespace grok::checkpoint
