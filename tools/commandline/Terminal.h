// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Standard output and error as files that can fail and terminals that can be
// redrawn.
#pragma once

#include "runtime/Result.h"
#include <chrono>
#include <string>
#include <string_view>

namespace grok::tools {

/// Makes a write to a closed pipe an error instead of a signal. Call it first.
void refuseBrokenPipes();

/// Writes all of `text` to standard output, past the buffers of stdio.
runtime::Result<void> writeOut(std::string_view text);

/// One line on standard error that is overwritten as work goes on; silent if
/// standard error is not a terminal.
class ProgressLine {
public:
  explicit ProgressLine(std::string tool);
  ~ProgressLine() { clear(); }

  /// Shows "tool: what done/total", not more than ten times a second.
  void show(std::string_view what, int64_t done, int64_t total);
  void clear();

private:
  std::string tool;
  bool isTerminal;
  bool isShown = false;
  std::chrono::steady_clock::time_point lastShown;
};

} // namespace grok::tools
