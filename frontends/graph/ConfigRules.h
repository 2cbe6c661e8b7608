// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the sizes of a model must relate to each other.
#pragma once

#include "frontends/graph/Config.h"

namespace grok::graph {

/// Fails with the first key that contradicts another one. Every field is within
/// the limits of its own already.
Result<void> checkRules(const ModelConfig &config);

} // namespace grok::graph
