// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Collectives that are done together with the norm that reads them.
#pragma once

#include "runtime/plan/plan_generated.h"

namespace grok::runtime {

/// Whether the bucket's launch number `launch` is a collective whose rows the next launch,
/// a residual_norm, adds up, and nobody else reads; so that the service "exchange_norm" may
/// do both, on any step of the bucket. The plan is checked.
bool isExchangeOfNorm(const plan::Plan &plan, const plan::Bucket &bucket, uint32_t launch);

} // namespace grok::runtime
