// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// In place of planning where the compiler is not built.
#include "tools/grok-plan/Planning.h"

namespace grok::tools {

std::vector<Command> declarePlanning(CommandLine &commandLine) {
  for (const char *name : {"fit", "search", "check"})
    commandLine.addSubcommandOfLaterVersion(name);
  return {};
}

} // namespace grok::tools
