// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What grok-run does with tokens and logits as they come.
#pragma once

#include "runtime/generation/Generation.h"
#include "runtime/generation/StopText.h"
#include "runtime/output/NpyWriter.h"
#include "runtime/output/OrderedText.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-run/Prompts.h"

namespace grok::tools {

/// Streams text (or ids, without a tokenizer) to standard output and logits to
/// files. The texts of several prompts are headed "==> N <==", in order.
class Writer : public runtime::GenerationListener {
public:
  /// All must outlive the writer; `tokenizer` may be null.
  Writer(const RunOptions &options, std::span<const Prompt> prompts,
         const runtime::Tokenizer *tokenizer, std::string tool);

  /// Opens the logits files, so that a bad name is found before any work.
  runtime::Result<void> openLogits(int64_t vocabSize);
  /// Completes files and the lines after the text.
  runtime::Result<void> close();

  runtime::Result<void> takeLogits(size_t prompt, std::span<const float> logits) override;
  runtime::Result<bool> takeToken(size_t prompt, int32_t token) override;
  runtime::Result<void> finish(size_t prompt) override;
  void showProgress(int64_t promptTokensFed) override;

private:
  struct Stream {
    runtime::StopText stop;
    std::optional<runtime::TextStream> text; // none without a tokenizer
    std::vector<int32_t> ids;
  };

  std::string textOf(Stream &stream, int32_t token) const;

  const RunOptions &options;
  int64_t promptTokens = 0; // of all prompts
  std::vector<Stream> streams;
  runtime::OrderedText output;
  std::vector<runtime::NpyWriter> logitsFiles;
  ProgressLine progress;
};

} // namespace grok::tools
