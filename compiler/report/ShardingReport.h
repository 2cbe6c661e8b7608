// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a sharding search found, as one page.
#pragma once

#include "compiler/planning/SearchJson.h"

namespace grok::report {

/// `document` has at least one plan.
std::string htmlOf(const planning::SearchDocument &document);

} // namespace grok::report
