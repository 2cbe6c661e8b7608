// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-plan fit`, `search` and `check`: which way to run a model.
#pragma once

#include "tools/commandline/CommandLine.h"

namespace grok::tools {

struct Command {
  std::string name;
  std::function<runtime::Result<void>()> run;
};

/// Declares the subcommands, whose options live as long as the result.
std::vector<Command> declarePlanning(CommandLine &commandLine);

} // namespace grok::tools
