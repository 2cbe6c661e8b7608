// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-bench --machine`: this computer as a machine file for grok-plan.
#pragma once

#include "runtime/Result.h"

#include <nlohmann/json.hpp>

namespace grok::tools {

/// Measures for some seconds. Of at most `threads` threads; 0 = one per core.
runtime::Result<nlohmann::ordered_json> measureMachine(int threads);

} // namespace grok::tools
