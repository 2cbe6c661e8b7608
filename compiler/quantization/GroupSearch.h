// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The multiplier of one group of rows: the choice that every encoder to four
// and three bits makes.
#pragma once

#include "compiler/quantization/Format.h"

namespace grok::quantization {

/// Columns that are searched side by side.
inline constexpr int64_t searchColumns = 16;
/// Most rows of a group.
inline constexpr int64_t largestGroup = 64;

/// Rows of a group over 16 columns, in units of the int8 grid's scale.
struct GroupBlock {
  const float *values;     // [rows][16], 64-byte aligned
  const float *importance; // [rows], finite and not negative; null = all 1
  int64_t rows;            // at most largestGroup
};

/// For each column the multiplier of least sum of importance[k] * (w - m * code)^2
/// over all m of both signs, codes rounded to nearest. Equal errors: the smaller
/// |m|, then the positive one. The same bits on every machine.
void searchMultipliers(MatrixFormat::Kind kind, const GroupBlock &block, int8_t *multipliers);

/// For each column the multiplier that puts its largest |w| on the outermost
/// code, rounded half to even; at least 1 in size.
void nearestMultipliers(MatrixFormat::Kind kind, const GroupBlock &block, int8_t *multipliers);

/// The codes [rows][16] of a block under its columns' multipliers: the quotients
/// rounded half to even, within the format's codes.
void encodeGroup(MatrixFormat::Kind kind, const GroupBlock &block, const int8_t *multipliers,
                 int8_t *codes);

} // namespace grok::quantization
