// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The two element types of activations, as roundings of float32.
#pragma once

#include <bit>
#include <cstdint>

namespace grok::interpreter {

/// How a result is rounded: not at all, or to bfloat16, ties to even.
enum class Rounding { f32, bf16 };

inline float toBF16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) // NaN stays NaN, quiet
    return std::bit_cast<float>(bits | 0x00400000);
  return std::bit_cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
}

inline float fromBF16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

inline float round(float value, Rounding rounding) {
  return rounding == Rounding::bf16 ? toBF16(value) : value;
}

} // namespace grok::interpreter
