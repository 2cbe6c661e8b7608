// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What every launch of a run wrote, in a few numbers: where two devices part ways.
#pragma once

#include "runtime/Result.h"
#include "runtime/executor/LaunchView.h"
#include <cstdio>
#include <memory>
#include <string>

namespace grok::tools {

/// A file with a line for each buffer that a launch wrote, tabs between: the step, the launch,
/// the buffer, its rows, the root mean square of their elements, the largest magnitude, how
/// many are not finite. Of bytes, as quantised rows are, the numbers are those of signed bytes.
class LaunchTrace {
public:
  static runtime::Result<LaunchTrace> open(const std::string &path);

  void note(const runtime::LaunchView &launch);
  runtime::Result<void> close();

private:
  struct Closer {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };

  std::string path;
  std::unique_ptr<std::FILE, Closer> file;
  std::string firstLaunch; // of a step
  int64_t step = -1;
};

} // namespace grok::tools
