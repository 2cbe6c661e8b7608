// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What drawing tokens on a GPU keeps in device memory.
#pragma once

#include <cstdint>

namespace grok::compiler {

inline constexpr int64_t sampleTileLogits = 1024;
inline constexpr int64_t sampleTilesOf(int64_t vocab) {
  return (vocab + sampleTileLogits - 1) / sampleTileLogits;
}

/// Of a nucleus: weights are found by three digits of ten bits.
inline constexpr int32_t sampleDigits = 3, sampleDigitBits = 10;
inline constexpr int64_t sampleDigitValues = int64_t(1) << sampleDigitBits;
/// Of a row after each digit: the digits so far, what is better, its bound.
inline constexpr int64_t sampleStateBytes = 24;

/// Scratch memory for that many rows: of each tile its largest logit and its kept weight,
/// of each row its least kept weight, its states and its histograms; the blocks' meeting;
/// parts are rounded up.
inline constexpr int64_t sampleScratchBytes(int64_t vocab, int64_t rows) {
  constexpr int64_t ofRow = 4 + sampleDigits * (sampleStateBytes + sampleDigitValues * 8);
  return rows * (sampleTilesOf(vocab) * 16 + ofRow) + 6 * 256;
}

} // namespace grok::compiler
