// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many weight bytes a one-row step reads: the bound of decoding speed.
#pragma once

#include "runtime/plan/plan_generated.h"
#include <cstdint>

namespace grok::runtime {

/// Weight bytes that this launch reads when the step has one row: of experts
/// the selected ones, of lookup tables the row that is looked up.
uint64_t weightBytesOf(const plan::Plan &plan, const plan::Layout &layout,
                       const plan::Bucket &bucket, const plan::Launch &launch);

/// The same, for the whole program with one row.
uint64_t weightBytesPerToken(const plan::Plan &plan, const plan::Layout &layout,
                             const plan::Program &program);

} // namespace grok::runtime
