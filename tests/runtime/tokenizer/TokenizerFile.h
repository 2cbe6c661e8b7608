// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The tokenizer of examples/grok-nano, for tests.
#pragma once

#include "runtime/tokenizer/Tokenizer.h"
#include <fstream>
#include <iterator>

namespace grok::runtime {

inline constexpr int64_t nanoVocabulary = 2048;

inline std::string readNanoFile(const std::string &name) {
  std::ifstream file(GROKC_SOURCE_DIR "/examples/grok-nano/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Result<Tokenizer> loadFromString(const std::string &model) {
  return Tokenizer::load(std::as_bytes(std::span(model)), nanoVocabulary);
}

} // namespace grok::runtime
