// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The window over a source, and little-endian integers from it.
#include "frontends/checkpoint/xai/ByteSource.h"

#include <algorithm>

namespace grok::checkpoint {

bool ByteCursor::read(std::span<std::byte> out) {
  int64_t count = static_cast<int64_t>(out.size());
  if (count > remaining() || count > static_cast<int64_t>(window.size()))
    return false;
  if (position < windowBegin || position + count > windowEnd) {
    int64_t length = std::min(remaining(), static_cast<int64_t>(window.size()));
    if (!source.read(position, std::span(window).first(static_cast<size_t>(length))))
      return false;
    windowBegin = position;
    windowEnd = position + length;
  }
  if (count > 0)
    std::memcpy(out.data(), window.data() + (position - windowBegin), out.size());
  position += count;
  return true;
}

bool ByteCursor::readInteger(int width, uint64_t &value) {
  std::array<std::byte, 8> bytes{};
  if (!read(std::span(bytes).first(static_cast<size_t>(width))))
    return false;
  value = 0;
  for (int index = width - 1; index >= 0; --index)
    value = value << 8 | static_cast<uint64_t>(bytes[static_cast<size_t>(index)]);
  return true;
}

bool ByteCursor::readText(int64_t length, std::string &text) {
  if (length > remaining() || length > static_cast<int64_t>(window.size()))
    return false;
  text.resize(static_cast<size_t>(length));
  return read(std::as_writable_bytes(std::span(text)));
}

bool ByteCursor::skip(uint64_t count) {
  if (count > static_cast<uint64_t>(remaining()))
    return false;
  position += static_cast<int64_t>(count);
  return true;
}

} // namespace grok::checkpoint
