// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The flags of grok-run.
#pragma once

#include "runtime/generation/Generation.h"
#include "tools/commandline/DeviceOption.h"
#include "tools/commandline/Ranks.h"
#include <variant>

namespace grok::tools {

struct RunOptions {
  std::string artifact;

  // Exactly one of the three is given.
  std::optional<std::string> promptText; // "-" = standard input
  std::optional<std::string> promptsFile;
  std::optional<std::vector<int32_t>> tokens;

  std::optional<int64_t> maxNewTokens; // else as many as fit, at most the default
  runtime::SamplingOptions sampling;
  bool stopAtEos = false;
  std::vector<std::string> stopTexts;
  runtime::DeviceKind device = runtime::DeviceKind::automatic;
  int threads = 0; // 0 = one per core
  runtime::RankFlags ranks;
  int64_t prefillChunk = 0;
  uint64_t kvMemory = 0; // 0 = what the prompts need
  std::optional<std::string> logitsFile, launchesFile;
  bool printTokens = false;
};

inline constexpr int64_t defaultNewTokens = 128;

/// Reads the command line. The other value is an exit code: the run is over.
std::variant<RunOptions, int> parseRunOptions(CommandLine &commandLine, int argc, char **argv);

} // namespace grok::tools
