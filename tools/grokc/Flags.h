// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The command line of grokc.
#pragma once

#include "compiler/pipeline/Compile.h"

namespace grok {

struct Flags {
  compiler::CompileOptions compile;
  std::string list;                   // "presets", "targets", "machines" or empty
  std::vector<std::string> mlirFlags; // --mlir-..., for MLIR's own parser
};

/// The flags, or the exit code of a process that has said all (help, version,
/// a usage error).
tl::expected<Flags, int> parseFlags(int argc, char **argv);

} // namespace grok
