// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/Utf8.h"

namespace grok::runtime {

/// What SentencePiece writes for each byte that is part of no character.
static constexpr std::string_view replacementCharacter = "\xef\xbf\xbd";

std::string TextStream::push(int32_t id) {
  const Tokenizer::Surface &surface = tokenizer.surfaces[static_cast<size_t>(id)];
  if (surface.kind == Tokenizer::Kind::byte) {
    pending += surface.text;
    atStart = false;
    return takeCharacters(/*isEnd=*/false);
  }
  std::string text = takeCharacters(/*isEnd=*/true);
  std::string_view added = surface.text;
  if (atStart && surface.startsWithSpace && tokenizer.dropsLeadingSpace) {
    added.remove_prefix(1);
    // One space was put before the text when it was encoded; a normaliser that
    // removes extra spaces has removed all that stood there.
    atStart = tokenizer.dropsAllLeadingSpaces && added.empty();
  } else if (!added.empty()) {
    atStart = false;
  }
  return text.append(added);
}

std::string TextStream::finish() { return takeCharacters(/*isEnd=*/true); }

std::string TextStream::takeCharacters(bool isEnd) {
  std::string text;
  while (!pending.empty()) {
    const Utf8Character character = readUtf8Character(pending);
    if (character.state == Utf8State::incomplete && !isEnd)
      break;
    const bool isComplete = character.state == Utf8State::complete;
    const size_t length = isComplete ? character.length : 1;
    text += isComplete ? std::string_view(pending).substr(0, length) : replacementCharacter;
    pending.erase(0, length);
  }
  return text;
}

} // namespace grok::runtime
