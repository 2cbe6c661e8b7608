// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/tools/commandline/ToolRun.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/wait.h>

namespace grok::tools {

static std::string quote(const std::string &text) {
  std::string quoted = "'";
  for (char c : text)
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

static std::string readAll(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

static ToolResult runCommand(const std::string &command, const std::string &input) {
  char pattern[] = "/tmp/grok-tool-XXXXXX";
  const std::filesystem::path folder = mkdtemp(pattern);
  std::ofstream(folder / "in", std::ios::binary) << input;
  // The redirections come first, so that those of the command win.
  const std::string script = "exec <" + (folder / "in").string() + " >" +
                             (folder / "out").string() + " 2>" + (folder / "err").string() + "; " +
                             command;
  // NOLINTNEXTLINE(bugprone-command-processor): tests need its redirections
  const int status = std::system(("exec /bin/sh -c " + quote(script)).c_str());
  ToolResult result{.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                    .out = readAll(folder / "out"),
                    .err = readAll(folder / "err")};
  std::filesystem::remove_all(folder);
  return result;
}

ToolResult runTool(const std::string &tool, const std::vector<std::string> &arguments,
                   const std::string &input) {
  std::string command = quote(GROKC_BINARY_DIR "/bin/" + tool);
  for (const std::string &argument : arguments)
    command += " " + quote(argument);
  return runCommand(command, input);
}

ToolResult runShell(const std::string &command) {
  return runCommand("PATH=" GROKC_BINARY_DIR "/bin:$PATH; " + command, "");
}

void expectError(const std::string &tool, const ToolResult &result, int status,
                 const std::string &part) {
  EXPECT_EQ(result.status, status) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, testing::StartsWith(tool + ": "));
  EXPECT_THAT(result.err, testing::HasSubstr(part));
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
}

// ---- Just enough of protobuf's wire format.

/// Field `number` of bytes.
static std::string bytesField(int number, const std::string &bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

/// Field `number` below 2048 of a value below 128.
static std::string numberField(int number, int value) {
  const int key = number << 3;
  if (key < 128)
    return {static_cast<char>(key), static_cast<char>(value)};
  return {static_cast<char>((key & 127) | 128), static_cast<char>(key >> 7),
          static_cast<char>(value)};
}

static std::string piece(const std::string &text, int type, float score) {
  char bits[4];
  std::memcpy(bits, &score, 4);
  return bytesField(1, bytesField(1, text) + "\x15" + std::string(bits, 4) + numberField(3, type));
}

std::string makeTinyTokenizer() {
  enum { normal = 1, unknown = 2, control = 3, bpe = 2 };
  std::string model;
  float score = 0;
  const auto add = [&](const std::string &text, int type) { model += piece(text, type, --score); };
  for (char letter = 'a'; letter <= 'o'; ++letter) {
    add(std::string(1, letter), normal);
    if (letter == 'e')
      add("\xe2\x96\x81", normal);
  }
  add("[UNK]", unknown);
  for (const char *name : {"[BOS]", "[EOS]", "[PAD]"})
    add(name, control);
  // Trainer: model_type, unk/bos/eos/pad ids. Normaliser: dummy prefix, no
  // removal of extra spaces.
  model += bytesField(2, numberField(3, bpe) + numberField(40, 16) + numberField(41, 17) +
                             numberField(42, 18) + numberField(43, 19));
  return model + bytesField(3, bytesField(1, "identity") + numberField(3, 1) + numberField(4, 0));
}

} // namespace grok::tools
