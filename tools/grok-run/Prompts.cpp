// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-run/Prompts.h"
#include "runtime/plan/File.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace grok::tools {
using runtime::fail;
using runtime::Result;
using runtime::Tokenizer;

/// Far beyond any context; bounds what a wrong file name can make us read.
static constexpr size_t maxPromptBytes = size_t(1) << 28;

static Result<std::string> readStandardInput() {
  std::string text;
  char block[1 << 16];
  while (true) {
    const ssize_t count = read(STDIN_FILENO, block, sizeof block);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fail("standard input, cannot be read: ", std::strerror(errno));
    if (count == 0)
      break;
    text.append(block, static_cast<size_t>(count));
    if (text.size() > maxPromptBytes)
      return fail("standard input, longer than any prompt (", maxPromptBytes, " bytes)");
  }
  if (text.ends_with('\n'))
    text.pop_back();
  return text;
}

static Result<Prompt> makePrompt(std::string name, std::string_view text,
                                 const Tokenizer *tokenizer) {
  Result<std::vector<int32_t>> ids =
      tokenizer ? tokenizer->encode(text) : parseIds(std::string(text));
  if (!ids)
    return fail(name, ", ", ids.error());
  return Prompt{std::move(name), std::move(*ids)};
}

static Result<std::vector<Prompt>> readPromptsFile(const std::string &path,
                                                   const Tokenizer *tokenizer) {
  const Result<runtime::FileBytes> file = runtime::readFile(path, maxPromptBytes);
  if (!file)
    return fail(file.error());
  std::string_view rest(reinterpret_cast<const char *>(file->data.get()), file->size);
  std::vector<Prompt> prompts;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    const std::string name = path + " line " + std::to_string(prompts.size() + 1);
    if (line.empty())
      return fail(name, ", is empty, give a prompt on every line");
    Result<Prompt> prompt = makePrompt(name, line, tokenizer);
    if (!prompt)
      return fail(prompt.error());
    prompts.push_back(std::move(*prompt));
  }
  if (prompts.empty())
    return fail(path, ", has no lines, give one prompt per line");
  return prompts;
}

Result<std::vector<Prompt>> readPrompts(const RunOptions &options, const Tokenizer *tokenizer) {
  if (options.tokens)
    return std::vector<Prompt>{{"--tokens", *options.tokens}};
  if (options.promptsFile)
    return readPromptsFile(*options.promptsFile, tokenizer);
  if (!tokenizer)
    return fail("--prompt, the model has no tokenizer, give ids with --tokens");
  const bool isPiped = *options.promptText == "-";
  Result<std::string> text = isPiped ? readStandardInput() : *options.promptText;
  if (!text)
    return fail(text.error());
  return makePrompt("prompt", *text, tokenizer).map([](Prompt prompt) {
    return std::vector<Prompt>{std::move(prompt)};
  });
}

} // namespace grok::tools
