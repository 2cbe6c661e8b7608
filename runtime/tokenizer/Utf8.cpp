// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/tokenizer/Utf8.h"

#include <cstdint>

namespace grok::runtime {

/// Bytes of the character that `lead` starts, 0 if it starts none.
static size_t lengthFromLead(uint8_t lead) {
  if (lead < 0x80)
    return 1;
  if (lead >= 0xc2 && lead <= 0xdf)
    return 2;
  if ((lead & 0xf0) == 0xe0)
    return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/// Unicode Standard, table 3-7: the second byte has a narrower range after
/// these leads, which keeps out overlong forms, surrogates and > U+10FFFF.
static bool isSecondByte(uint8_t lead, uint8_t second) {
  switch (lead) {
  case 0xe0:
    return second >= 0xa0 && second <= 0xbf;
  case 0xed:
    return second >= 0x80 && second <= 0x9f;
  case 0xf0:
    return second >= 0x90 && second <= 0xbf;
  case 0xf4:
    return second >= 0x80 && second <= 0x8f;
  default:
    return (second & 0xc0) == 0x80;
  }
}

Utf8Character readUtf8Character(std::string_view bytes) {
  const auto lead = static_cast<uint8_t>(bytes[0]);
  const size_t length = lengthFromLead(lead);
  if (length == 0)
    return {Utf8State::broken, 1};
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size())
      return {Utf8State::incomplete, 0};
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (i == 1 ? !isSecondByte(lead, byte) : (byte & 0xc0) != 0x80)
      return {Utf8State::broken, 1};
  }
  return {Utf8State::complete, length};
}

size_t findBrokenUtf8(std::string_view text) {
  size_t offset = 0;
  while (offset < text.size()) {
    const Utf8Character character = readUtf8Character(text.substr(offset));
    if (character.state != Utf8State::complete)
      return offset;
    offset += character.length;
  }
  return std::string_view::npos;
}

} // namespace grok::runtime
