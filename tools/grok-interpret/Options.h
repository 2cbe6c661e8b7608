// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Flags of grok-interpret.
#pragma once

#include "frontends/graph/BuildGraph.h"
#include "tools/commandline/CommandLine.h"

#include <variant>

namespace grok::tools {

struct InterpretOptions {
  std::string model;
  std::string weightsFrom; // empty: the model's own folder
  std::vector<int32_t> tokens;
  int64_t chunk = 0; // 0: all tokens in one step
  bool isFused = false;
  std::string sharding; // empty: one rank
  graph::GraphOptions graph;
  std::string dumpFolder; // empty: no dump
  std::string logitsFile; // empty: not written
};

/// The options, or the exit code of a run that is over.
std::variant<InterpretOptions, int> parseInterpretOptions(CommandLine &commandLine, int argc,
                                                          char **argv);

} // namespace grok::tools
