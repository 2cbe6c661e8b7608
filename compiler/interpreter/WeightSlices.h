// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A rank's part of a stored weight.
#pragma once

#include "compiler/interpreter/RankPlace.h"
#include "compiler/interpreter/Values.h"
#include "dialects/grok/GrokDialect.h"

namespace grok::interpreter {

/// The part of a sliced weight's whole tensor that the rank at `place` holds:
/// bytes copied, scales repeated for the part's row groups, zeros where the whole
/// ends.
Result<Matrix> sliceWeight(WeightOp weight, const WeightBytes &whole, const RankPlace &place);

} // namespace grok::interpreter
