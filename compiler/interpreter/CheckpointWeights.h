// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A checkpoint as the interpreter's source of weights.
#pragma once

#include "compiler/interpreter/Interpreter.h"
#include "compiler/quantization/Encoder.h"
#include "frontends/checkpoint/Checkpoint.h"

namespace grok::interpreter {

/// Reads each tensor from `checkpoint` once and keeps it mapped as long as the
/// source or a copy of it lives. The checkpoint must outlive it. Not safe to
/// call from several threads.
WeightSource weightsOf(const checkpoint::Checkpoint &checkpoint);

/// The same, but what `formats` names is encoded by `encoder` when it is first
/// asked for, and kept in memory. The encoder must outlive the source.
WeightSource weightsOf(const checkpoint::Checkpoint &checkpoint,
                       const quantization::MatrixEncoder &encoder,
                       quantization::WeightFormats formats);

} // namespace grok::interpreter
