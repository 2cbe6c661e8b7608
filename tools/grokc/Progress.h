// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What grokc tells a person: phases with their times, and the progress of long
// work where standard error is a terminal.
#pragma once

#include "compiler/pipeline/Compile.h"

namespace grok {

class Progress {
public:
  Progress();
  /// Hooks that print to standard error; empty if it is no terminal.
  compiler::CompileHooks hooks();

private:
  void bar(std::string_view tensor, uint64_t done, uint64_t total);
  void clear();
  bool isTerminal;
};

/// The phases, their times and the artifact's size.
void printReport(const compiler::CompileReport &report);

} // namespace grok
