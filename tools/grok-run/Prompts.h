// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From the prompt flags of grok-run to token ids.
#pragma once

#include "runtime/tokenizer/Tokenizer.h"
#include "tools/grok-run/Options.h"

namespace grok::tools {

/// A prompt and what to call it in messages.
struct Prompt {
  std::string name; // "prompt", "prompts.txt line 3"
  std::vector<int32_t> ids;
};

/// Reads the prompts; `tokenizer` may be null (a model without one).
runtime::Result<std::vector<Prompt>> readPrompts(const RunOptions &options,
                                                 const runtime::Tokenizer *tokenizer);

} // namespace grok::tools
