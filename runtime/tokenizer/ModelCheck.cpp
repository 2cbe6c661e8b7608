// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/tokenizer/ModelCheck.h"

#include <cstdint>
#include <optional>

namespace grok::runtime {

namespace {

/// One field of a protobuf message; `bytes` if it holds bytes or a message.
struct Field {
  uint64_t number = 0;
  std::string_view bytes;
};

/// Walks the fields of a serialized message (protobuf's wire format).
class FieldReader {
public:
  explicit FieldReader(std::string_view message) : rest(message) {}

  bool isAtEnd() const { return rest.empty(); }
  /// The next field; nothing if the bytes are malformed.
  std::optional<Field> next();

private:
  std::optional<uint64_t> readVarint();
  std::optional<std::string_view> take(uint64_t count);

  std::string_view rest;
};

} // namespace

std::optional<uint64_t> FieldReader::readVarint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80)
      return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> FieldReader::take(uint64_t count) {
  if (count > rest.size())
    return std::nullopt;
  const std::string_view taken = rest.substr(0, count);
  rest.remove_prefix(count);
  return taken;
}

std::optional<Field> FieldReader::next() {
  enum WireType { varint = 0, fixed64 = 1, lengthDelimited = 2, fixed32 = 5 };
  const std::optional<uint64_t> key = readVarint();
  if (!key)
    return std::nullopt;
  const uint64_t number = *key >> 3;
  const auto withoutBytes = [&](bool isRead) {
    return isRead ? std::optional<Field>({number, {}}) : std::nullopt;
  };
  switch (*key & 7) {
  case varint:
    return withoutBytes(readVarint().has_value());
  case fixed64:
    return withoutBytes(take(8).has_value());
  case fixed32:
    return withoutBytes(take(4).has_value());
  case lengthDelimited: {
    const std::optional<uint64_t> length = readVarint();
    const std::optional<std::string_view> bytes = length ? take(*length) : std::nullopt;
    return bytes ? std::optional<Field>({number, *bytes}) : std::nullopt;
  }
  default: // groups, which no SentencePiece model has
    return std::nullopt;
  }
}

/// Whether a NormalizerSpec has rules; nothing if it is malformed.
static std::optional<bool> hasRules(std::string_view normalizerSpec) {
  constexpr uint64_t precompiledCharsmap = 2;
  bool found = false;
  for (FieldReader fields(normalizerSpec); !fields.isAtEnd();) {
    const std::optional<Field> field = fields.next();
    if (!field)
      return std::nullopt;
    found |= field->number == precompiledCharsmap && !field->bytes.empty();
  }
  return found;
}

Result<void> checkTokenizerModel(std::string_view model) {
  constexpr uint64_t normalizerSpec = 3;
  constexpr uint64_t denormalizerSpec = 5;
  for (FieldReader fields(model); !fields.isAtEnd();) {
    const std::optional<Field> field = fields.next();
    if (!field)
      return fail("its bytes are not a SentencePiece model");
    if (field->number != normalizerSpec && field->number != denormalizerSpec)
      continue;
    const std::optional<bool> rules = hasRules(field->bytes);
    if (!rules)
      return fail("its bytes are not a SentencePiece model");
    if (*rules)
      return fail("it has normalisation rules and Grok-1's has none");
  }
  return {};
}

} // namespace grok::runtime
