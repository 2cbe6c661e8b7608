// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Machine files: JSON whose every value names its source and its date.
#pragma once

#include "passes/sharding/search/Machine.h"

#include <string_view>

namespace grok::machines {

using search::Machine;
using search::Result;

/// The machine that `text`, the contents of `file`, describes. Errors name the
/// file and the key.
Result<Machine> parseMachine(std::string_view text, const std::string &file);

/// Every way to name a machine on a command line: a known name (8xh100), a part
/// of a known machine (4xh100), a path of a .json file, or a number of ranks on
/// processor cores (4).
Result<Machine> findMachine(const std::string &name);

struct KnownMachine {
  std::string name, description;
};

/// The files that are part of the program, by name.
std::vector<KnownMachine> knownMachines();

} // namespace grok::machines
