// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-run/Writer.h"

namespace grok::tools {
using runtime::fail;
using runtime::NpyWriter;
using runtime::Result;
using runtime::StopText;

Writer::Writer(const RunOptions &options, std::span<const Prompt> prompts,
               const runtime::Tokenizer *tokenizer, std::string tool)
    : options(options), output(prompts.size(),
                               [this](std::string_view text) {
                                 progress.clear();
                                 return writeOut(text);
                               }),
      progress(std::move(tool)) {
  for (const Prompt &prompt : prompts) {
    Stream stream{StopText(options.stopTexts), {}, {}};
    // The stream must know the prompt: it decides whether a leading space of
    // the first new token is part of the text.
    if (tokenizer)
      stream.text.emplace(*tokenizer);
    for (size_t i = 0; tokenizer && i < prompt.ids.size(); ++i)
      stream.text->push(prompt.ids[i]);
    streams.push_back(std::move(stream));
    promptTokens += static_cast<int64_t>(prompt.ids.size());
  }
}

Result<void> Writer::openLogits(int64_t vocabSize) {
  for (size_t i = 0; options.logitsFile && i < streams.size(); ++i) {
    const std::string suffix = options.promptsFile ? "." + std::to_string(i) : "";
    Result<NpyWriter> file = NpyWriter::create(*options.logitsFile + suffix, vocabSize);
    if (!file)
      return fail("--logits-out: ", file.error());
    logitsFiles.push_back(std::move(*file));
  }
  return {};
}

Result<void> Writer::takeLogits(size_t prompt, std::span<const float> logits) {
  return logitsFiles.empty() ? Result<void>() : logitsFiles[prompt].append(logits);
}

std::string Writer::textOf(Stream &stream, int32_t token) const {
  if (stream.text)
    return stream.stop.push(stream.text->push(token));
  return (stream.ids.size() == 1 ? "" : ",") + std::to_string(token);
}

Result<bool> Writer::takeToken(size_t prompt, int32_t token) {
  Stream &stream = streams[prompt];
  stream.ids.push_back(token);
  if (stream.text && streams.size() > 1 && stream.ids.size() == 1)
    if (Result<void> headed = output.append(prompt, "==> " + std::to_string(prompt) + " <==\n");
        !headed)
      return fail(headed.error());
  if (Result<void> written = output.append(prompt, textOf(stream, token)); !written)
    return fail(written.error());
  return !stream.stop.isFound();
}

Result<void> Writer::finish(size_t prompt) {
  Stream &stream = streams[prompt];
  std::string rest;
  if (stream.text) {
    rest = stream.stop.push(stream.text->finish());
    rest += stream.stop.finish();
  }
  if (!stream.ids.empty())
    rest += '\n';
  return output.append(prompt, rest).and_then([&] { return output.finish(prompt); });
}

Result<void> Writer::close() {
  progress.clear();
  for (NpyWriter &file : logitsFiles)
    if (Result<void> committed = file.commit(); !committed)
      return committed;
  for (const Stream &stream : streams) {
    // Without a tokenizer the ids have been the text.
    if (!options.printTokens || (!stream.text && !stream.ids.empty()))
      continue;
    std::string line;
    for (int32_t id : stream.ids)
      line += (line.empty() ? "" : ",") + std::to_string(id);
    if (Result<void> written = writeOut(line + '\n'); !written)
      return written;
  }
  return {};
}

void Writer::showProgress(int64_t promptTokensFed) {
  if (promptTokensFed < promptTokens)
    progress.show("prompt tokens", promptTokensFed, promptTokens);
}

} // namespace grok::tools
