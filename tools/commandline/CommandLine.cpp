// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/commandline/CommandLine.h"

#include <algorithm>
#include <cstdio>

namespace grok::tools {

static void writeError(const std::string &tool, std::string message) {
  // One line, whatever text of files or arguments the message quotes.
  std::replace_if(
      message.begin(), message.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  message.erase(message.find_last_not_of(' ') + 1);
  std::fprintf(stderr, "%s: %s\n", tool.c_str(), message.c_str());
}

CommandLine::CommandLine(std::string name, std::string description)
    : tool(std::move(name)), parser(std::move(description), tool) {
  parser.set_version_flag("--version", tool + " " GROKC_VERSION);
  parser.get_formatter()->column_width(34);
  parser.option_defaults()->always_capture_default(false);
}

void CommandLine::addOptionOfLaterVersion(const std::string &name) {
  const CLI::callback_t refuse = [name](const CLI::results_t &) -> bool {
    throw CLI::ValidationError(name + " is not in this version");
  };
  parser.add_option(name, refuse)->group("")->expected(0, 1);
}

void CommandLine::addSubcommandOfLaterVersion(const std::string &name) {
  CLI::App *subcommand = parser.add_subcommand(name)->group("")->prefix_command();
  subcommand->parse_complete_callback(
      [name] { throw CLI::ValidationError(name + " is not in this version"); });
}

static std::string join(const std::vector<std::string> &words) {
  return CLI::detail::join(words, " or ");
}

void CommandLine::setValues(CLI::Option *option, std::vector<std::string> now,
                            std::vector<std::string> later) {
  const std::string hint = ", give " + join(now);
  option->check([now = std::move(now), later = std::move(later),
                 hint](const std::string &value) -> std::string {
    if (std::ranges::count(now, value))
      return "";
    return std::ranges::count(later, value) ? value + " is not in this version" + hint
                                            : "'" + value + "' is no such value" + hint;
  });
}

std::optional<int> CommandLine::parse(int argc, char **argv) {
  try {
    parser.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::Success &answer) { // --help, --version
    return parser.exit(answer);
  } catch (const CLI::ParseError &error) {
    return reportUsage(error.what());
  }
}

int CommandLine::reportUsage(const std::string &message) const {
  writeError(tool, message + ", see " + tool + " --help");
  return exitWrongUsage;
}

int CommandLine::reportError(const std::string &message) const {
  writeError(tool, message);
  return exitBadInput;
}

CLI::Validator threadRange() { return CLI::Range(1, 1024).description(""); }

CLI::Validator wholeNumber() {
  return {[](const std::string &value) -> std::string {
            return value.starts_with('-') ? value + " is negative, give 0 or more" : "";
          },
          ""};
}

int runTool(const std::string &tool, const std::function<int()> &body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    writeError(tool, "memory, the system gives no more, free some or lower the sizes asked for");
  } catch (const std::exception &error) {
    writeError(tool, error.what());
  }
  return exitBadInput;
}

} // namespace grok::tools
