// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A checkpoint of pseudo-random weights, for models without one.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::compiler {

/// Tensors of the given forms. Values depend on the seed and the tensor's name
/// alone; matrices have the spread that keeps activations near one.
std::unique_ptr<checkpoint::Checkpoint> makeRandomCheckpoint(checkpoint::TensorList tensors,
                                                             uint64_t seed);

} // namespace grok::compiler
