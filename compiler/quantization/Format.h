// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The formats in which a weight matrix can be stored and what they cost.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace grok::quantization {

/// How one matrix [rows, columns] is stored; rows are the contracted axis. Every
/// quantised value is code * multiplier * scale with int8 codes around zero.
struct MatrixFormat {
  enum class Kind {
    stored, // as in the checkpoint, whatever that is
    i8,     // code * scale
    i4,     // codes -8..7, signed int8 multipliers up to 15
    i3      // codes -4..3, signed int8 multipliers up to 31
  };

  Kind kind = Kind::stored;
  int64_t rowGroups = 1;      // bf16 scales of a column, each for rows / rowGroups rows
  int64_t multiplierRows = 0; // rows that share a multiplier: 32 or 64; 0 without
  bool alongLast = false;     // one scale per row instead (the embedding table)

  bool operator==(const MatrixFormat &) const = default;
};

/// By parameter: one format for each expert, or one for a matrix.
using WeightFormats = std::map<std::string, std::vector<MatrixFormat>, std::less<>>;

/// Bits of one code; 0 for `stored`.
int64_t bitsOf(MatrixFormat::Kind kind);
/// What is subtracted from an unsigned code: 8, 4, or 0 for int8.
int64_t zeroPointOf(MatrixFormat::Kind kind);
/// Largest absolute multiplier: 15 or 31, so that every product with a code
/// stays in int8. 1 without multipliers.
int64_t maxMultiplierOf(MatrixFormat::Kind kind);
/// "int4 g32", "int3 g64", "int8", "int8 by row", "stored".
std::string nameOf(const MatrixFormat &format);

/// Whether `rows` rows can be stored so: multiplier groups are whole and none
/// straddles two row groups.
bool isPossible(const MatrixFormat &format, int64_t rows);

/// Bytes of a quantised matrix: codes, multipliers and scales, no padding.
int64_t bytesOf(const MatrixFormat &format, int64_t rows, int64_t columns);
/// The same per weight, in bits.
double bitsPerWeight(const MatrixFormat &format, int64_t rows, int64_t columns);

} // namespace grok::quantization
