// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Loops over bit patterns, written so that the compiler vectorises them: whole
// checkpoints pass through here.
#include "frontends/checkpoint/ValueChecks.h"

#include <cstring>

namespace grok::checkpoint {

/// Elements tested at once before the loop may stop.
static constexpr int64_t blockElements = 4096;

template <typename Word> static Word load(std::span<const std::byte> data, int64_t index) {
  Word word;
  std::memcpy(&word, data.data() + index * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
  return word;
}

/// First word whose bits without the sign reach `infinity`, or which is less
/// than zero if `refuseNegative`.
template <typename Word>
static std::optional<int64_t> findBad(std::span<const std::byte> data, Word infinity,
                                      bool refuseNegative) {
  const Word sign = static_cast<Word>(Word(1) << (8 * sizeof(Word) - 1));
  // Bits of -0 pass: only what is above them is below zero.
  const Word largest = refuseNegative ? sign : static_cast<Word>(sign | (infinity - 1));
  int64_t count = static_cast<int64_t>(data.size() / sizeof(Word));
  auto isBad = [&](Word word) {
    return static_cast<Word>(word & ~sign) >= infinity || word > largest;
  };
  for (int64_t begin = 0; begin < count; begin += blockElements) {
    int64_t end = begin + blockElements < count ? begin + blockElements : count;
    bool bad = false;
    for (int64_t index = begin; index < end; ++index)
      bad |= isBad(load<Word>(data, index));
    for (int64_t index = begin; bad && index < end; ++index)
      if (isBad(load<Word>(data, index)))
        return index;
  }
  return std::nullopt;
}

static std::optional<int64_t> find(std::span<const std::byte> data, DType dtype,
                                   bool refuseNegative) {
  switch (dtype) {
  case DType::f32:
    return findBad<uint32_t>(data, 0x7f800000u, refuseNegative);
  case DType::bf16:
    return findBad<uint16_t>(data, 0x7f80u, refuseNegative);
  case DType::i8:
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<int64_t> findNonFinite(std::span<const std::byte> data, DType dtype) {
  return find(data, dtype, false);
}

std::optional<int64_t> findBadScale(std::span<const std::byte> data, DType dtype) {
  return find(data, dtype, true);
}

} // namespace grok::checkpoint
