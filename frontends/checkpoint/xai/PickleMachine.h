// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs the pickle of one tensor and reports where its arrays stand. It knows
// only the opcodes and globals that xAI's files use, executes nothing, and
// refuses everything else by name and byte.
#pragma once

#include "frontends/checkpoint/xai/ByteSource.h"
#include "frontends/checkpoint/xai/PickleValue.h"

namespace grok::checkpoint {

/// The arrays of the pickle in `source`, which must end where the pickle ends.
/// Payload bytes are stepped over, never read. Errors do not name the file.
Result<TensorRecord> readTensorPickle(const ByteSource &source);

} // namespace grok::checkpoint
