// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One JSON object of plain values, read strictly: duplicate keys and nesting are
// errors where they stand, so hostile files cost neither stack nor memory.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

#include <map>
#include <variant>

namespace grok::graph {

/// null, bool, integer, other number, string. Integers above int64 are numbers.
using FlatValue = std::variant<std::monostate, bool, int64_t, double, std::string>;
using FlatObject = std::map<std::string, FlatValue>;

/// The object in `text`. Errors name the line or the key, not the file.
checkpoint::Result<FlatObject> parseFlatJson(std::string_view text);

} // namespace grok::graph
