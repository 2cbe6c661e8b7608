// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Running a tool of the build folder as its users do.
#pragma once

#include <string>
#include <vector>

namespace grok::tools {

struct ToolResult {
  int status = 0; // exit code; 128 + signal if it was killed
  std::string out;
  std::string err;
};

/// Runs build/bin/TOOL with the arguments and `input` as standard input.
ToolResult runTool(const std::string &tool, const std::vector<std::string> &arguments,
                   const std::string &input = "");

/// The same through a shell, for redirections: "TOOL a b >/dev/full".
ToolResult runShell(const std::string &command);

/// Expects exit code `status`, nothing on standard output, and one line
/// "TOOL: ..." on standard error that contains `part`.
void expectError(const std::string &tool, const ToolResult &result, int status,
                 const std::string &part);

/// A SentencePiece model of the toy model's 20 pieces: the letters a to e as ids
/// 0 to 4 (the toy model writes only these), the space 5, f to o 6 to 15, then
/// [UNK] [BOS] [EOS] [PAD].
std::string makeTinyTokenizer();

} // namespace grok::tools
