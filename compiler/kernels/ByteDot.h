// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Exact integer sums of weight bytes times int8 inputs, by whatever
// instructions a level has for it. A line is 64 bytes, [16 columns][4 k].
#pragma once

#include "compiler/kernels/KernelBuilder.h"

namespace grok::compiler {

class ByteDot {
public:
  /// What the bytes of a line are.
  enum class Bytes {
    weights, // int8
    shifted, // weight + 128, unsigned
    codes    // unsigned; weight = multiplier * (code - zero point)
  };

  ByteDot(KernelBuilder &kernel, Bytes bytes, int64_t zeroPoint = 0);

  /// Bytes that lines should have where they are stored for many rows.
  static Bytes storedBytes(const KernelBuilder &kernel, const WeightFormat &format);

  bool isCodes() const { return bytes == Bytes::codes; }
  Bytes kind() const { return bytes; }

  /// The 32-bit word that a row's sums start from, out of `count` sum words of
  /// the row's record (plan::QuantizedRow): it corrects for unsigned bytes.
  Value startWord(Value sumWords, int64_t count) const;
  /// Sums of 16 columns before their first line.
  Value start(Value word) const;

  /// Forms of a line that all rows share.
  Values prepare(Value line) const;
  /// sums + line * inputs; `inputs` is a word of four int8.
  Value add(Value sums, ValueRange prepared, Value inputs) const;

  /// The sums as int32 words, times the multipliers (multipliersAt), which are
  /// given for codes only.
  Value finish(Value sums, Value multipliers) const;
  /// Sixteen int8 multipliers as finish() takes them.
  Value multipliersAt(Value address) const;

private:
  bool hasDots() const;
  Value dot(Value sums, Value unsignedBytes, Value inputs) const;
  Value pairs(Value unsignedBytes, Value signedBytes) const;
  Value pairSums(Value words, Value factors) const;

  KernelBuilder &kernel;
  Bytes bytes;
  int64_t zeroPoint;
  int64_t parts; // vectors of the level in one line
};

/// words + the products of four bytes in each word of `line` with those of
/// `inputs`, in plain arithmetic; `isUnsigned` tells of the line's bytes.
Value plainDot(VectorBuilder &v, Value words, Value line, Value inputs, bool isUnsigned);

/// Word w as both int16 halves of 32 bits, in all lanes.
Value halvesOf(VectorBuilder &v, Value words);

} // namespace grok::compiler
