// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Arithmetic on matrix formats.
#include "compiler/quantization/Format.h"

#include <cassert>

namespace grok::quantization {

using Kind = MatrixFormat::Kind;

int64_t bitsOf(Kind kind) {
  switch (kind) {
  case Kind::stored:
    return 0;
  case Kind::i8:
    return 8;
  case Kind::i4:
    return 4;
  case Kind::i3:
    return 3;
  }
  return 0;
}

int64_t zeroPointOf(Kind kind) { return kind == Kind::i4 ? 8 : kind == Kind::i3 ? 4 : 0; }

int64_t maxMultiplierOf(Kind kind) { return kind == Kind::i4 ? 15 : kind == Kind::i3 ? 31 : 1; }

std::string nameOf(const MatrixFormat &format) {
  if (format.kind == Kind::stored)
    return "stored";
  std::string name = "int" + std::to_string(bitsOf(format.kind));
  if (format.multiplierRows)
    name += " g" + std::to_string(format.multiplierRows);
  return format.alongLast ? name + " by row" : name;
}

bool isPossible(const MatrixFormat &format, int64_t rows) {
  if (format.kind == Kind::stored)
    return true;
  if (format.rowGroups < 1 || rows % format.rowGroups)
    return false;
  if (format.kind == Kind::i8)
    return format.multiplierRows == 0 && (!format.alongLast || format.rowGroups == 1);
  return (format.multiplierRows == 32 || format.multiplierRows == 64) && !format.alongLast &&
         rows / format.rowGroups % format.multiplierRows == 0;
}

int64_t bytesOf(const MatrixFormat &format, int64_t rows, int64_t columns) {
  assert(format.kind != Kind::stored && isPossible(format, rows));
  const int64_t scales = format.alongLast ? rows : format.rowGroups * columns;
  const int64_t multipliers = format.multiplierRows ? rows / format.multiplierRows * columns : 0;
  return (rows * columns * bitsOf(format.kind) + 7) / 8 + multipliers + 2 * scales;
}

double bitsPerWeight(const MatrixFormat &format, int64_t rows, int64_t columns) {
  return 8.0 * static_cast<double>(bytesOf(format, rows, columns)) /
         static_cast<double>(rows * columns);
}

} // namespace grok::quantization
