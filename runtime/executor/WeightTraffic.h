// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many weight bytes a one-row step reads, the bound of decoding speed, and
// how many products it makes with them.
#pragma once

#include "runtime/plan/plan_generated.h"
#include <cstdint>

namespace grok::runtime {

/// Weight bytes that this launch reads when the step has one row: of experts
/// the selected ones, of lookup tables the row that is looked up.
uint64_t weightBytesOf(const plan::Plan &plan, const plan::Layout &layout,
                       const plan::Bucket &bucket, const plan::Launch &launch);

/// Products of inputs with weights in this launch when the step has one row, and
/// whether they are products of integers.
struct LaunchProducts {
  uint64_t multiplyAdds = 0;
  bool onIntegers = false;
};
LaunchProducts productsOf(const plan::Plan &plan, const plan::Layout &layout,
                          const plan::Bucket &bucket, const plan::Launch &launch);

/// The same as weightBytesOf, for the whole program with one row.
uint64_t weightBytesPerToken(const plan::Plan &plan, const plan::Layout &layout,
                             const plan::Program &program);

} // namespace grok::runtime
