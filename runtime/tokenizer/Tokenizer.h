// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Text to token ids and back, by the SentencePiece model inside a plan.
#pragma once

#include "runtime/Result.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
} // namespace sentencepiece

namespace grok::runtime {

/// Immutable after load; may be used from several threads.
class Tokenizer {
public:
  /// Reads a serialized SentencePiece model, which must have exactly
  /// `vocabSize` pieces: another number means another model's tokenizer.
  static Result<Tokenizer> load(std::span<const std::byte> model, int64_t vocabSize);

  Tokenizer(Tokenizer &&) noexcept;
  ~Tokenizer();

  /// Ids of UTF-8 text. Nothing is put before or after (no BOS, no EOS), and
  /// names of control pieces inside the text are text. Fails on bad UTF-8.
  Result<std::vector<int32_t>> encode(std::string_view text) const;

  /// Text of ids; ids outside the vocabulary are an error.
  Result<std::string> decode(std::span<const int32_t> ids) const;

  int64_t vocabSize() const { return static_cast<int64_t>(surfaces.size()); }

private:
  friend class TextStream;
  enum class Kind : uint8_t { text, control, byte };

  /// What one piece adds to decoded text.
  struct Surface {
    std::string text; // spaces as spaces; a byte piece's single byte
    Kind kind = Kind::text;
    bool startsWithSpace = false; // the space that may have to be dropped
  };

  explicit Tokenizer(std::unique_ptr<sentencepiece::SentencePieceProcessor> processor);
  Result<void> readSurfaces();
  void probeLeadingSpaces();

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor;
  std::vector<Surface> surfaces; // [vocab]
  bool dropsLeadingSpace = false;
  bool dropsAllLeadingSpaces = false;
};

/// Decodes ids one by one into the same text that `Tokenizer::decode` gives for
/// all of them. Text is given out in whole characters: bytes of byte-fallback
/// pieces wait until their character is complete or proven broken.
class TextStream {
public:
  /// `tokenizer` must outlive the stream.
  explicit TextStream(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}

  /// Text that `id` completes; `id` must be in the vocabulary.
  std::string push(int32_t id);
  /// What still waits, at the end of the ids.
  std::string finish();

private:
  std::string takeCharacters(bool isEnd);

  const Tokenizer &tokenizer;
  std::string pending; // bytes of an incomplete character
  bool atStart = true; // no text given out yet
};

} // namespace grok::runtime
