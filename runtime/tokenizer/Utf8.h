// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where characters end in UTF-8 bytes.
#pragma once

#include <cstddef>
#include <string_view>

namespace grok::runtime {

enum class Utf8State { complete, incomplete, broken };

/// What the first character of `bytes` (not empty) is. Complete: a character of
/// `length` bytes. Incomplete: more bytes may make it one. Broken: no bytes can;
/// the first byte stands for itself and `length` is 1.
struct Utf8Character {
  Utf8State state;
  size_t length;
};

Utf8Character readUtf8Character(std::string_view bytes);

/// Offset of the first byte that is not part of a character, or npos.
size_t findBrokenUtf8(std::string_view text);

} // namespace grok::runtime
