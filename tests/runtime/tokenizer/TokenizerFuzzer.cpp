// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Any bytes as a tokenizer: refused, or able to encode and decode. The first
// byte is the size of the vocabulary.
#include "runtime/tokenizer/Tokenizer.h"

using namespace grok::runtime;

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const Result<Tokenizer> tokenizer =
      Tokenizer::load(std::as_bytes(std::span(data + 1, size - 1)), data[0]);
  if (!tokenizer)
    return 0;
  if (const auto ids = tokenizer->encode("Hello  world\n 1 caf\xc3\xa9"))
    (void)tokenizer->decode(*ids);
  return 0;
}
