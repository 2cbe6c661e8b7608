// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the command lines of all tools have in common: exit codes, one-line
// errors, and options that belong to a later version.
#pragma once

#include "runtime/Result.h"
#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

namespace grok::tools {

enum ExitCode { exitDone = 0, exitBadInput = 1, exitWrongUsage = 2 };

class CommandLine {
public:
  /// `tool` starts every message. --help and --version are there already.
  CommandLine(std::string tool, std::string description);

  CLI::App &app() { return parser; }

  /// An option or subcommand that does not work yet: not in --help, and a usage
  /// error that says so.
  void addOptionOfLaterVersion(const std::string &name);
  void addSubcommandOfLaterVersion(const std::string &name);
  /// Values of `option` that do not work yet, and those that do, for the error.
  static void setValues(CLI::Option *option, std::vector<std::string> now,
                        std::vector<std::string> later);

  /// Parses the arguments. A value is the exit code of a run that is over:
  /// --help and --version have been answered, or the usage was wrong.
  std::optional<int> parse(int argc, char **argv);

  /// Writes the one line of an error to standard error; gives the exit code.
  int reportUsage(const std::string &message) const;
  int reportError(const std::string &message) const;
  const std::string &name() const { return tool; }

private:
  std::string tool;
  CLI::App parser;
};

/// Limits of --threads.
CLI::Validator threadRange();
/// Refuses the negative numbers that CLI11 would wrap around.
CLI::Validator wholeNumber();

/// Runs `body`, turning exceptions (no memory) into a one-line error.
int runTool(const std::string &tool, const std::function<int()> &body);

/// "1536", "64KiB", "1.5GiB": bytes.
runtime::Result<uint64_t> parseSize(const std::string &text);
/// "1,2,3": token ids, each in int32's range; not empty.
runtime::Result<std::vector<int32_t>> parseIds(const std::string &text);

/// Bytes for people: "1.5 GiB".
std::string showSize(uint64_t bytes);

} // namespace grok::tools
