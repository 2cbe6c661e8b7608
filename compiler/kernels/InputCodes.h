// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What `quantize` makes of a unit's inputs: every target gives the same bits.
#pragma once

#include "compiler/kernels/VectorBuilder.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

/// What numbers have been split into `digits`, the high one first; or exact sums of those.
inline Value sumOfDigits(VectorBuilder &builder, ValueRange digits) {
  Value sum = digits.front();
  for (Value low : digits.drop_front())
    sum = builder.add(builder.shiftLeft(sum, plan::QuantizedRow::radixBits), low);
  return sum;
}

/// From float32 inputs to whole numbers, their digits and the words of a record
/// (plan::QuantizedRow). Scalars or vectors, unless said.
class InputCodes {
public:
  /// Of rows of `inputs`, one scale for every `unit` of them.
  InputCodes(VectorBuilder &builder, int64_t inputs, int64_t unit, int64_t digits)
      : inputs(inputs), unit(unit), layout(plan::QuantizedRow::of(inputs, unit, digits)),
        builder(builder), largestCode(static_cast<float>(plan::QuantizedRow::largestCode(digits))) {
  }

  const int64_t inputs, unit;
  const plan::QuantizedRow layout;

  Value magnitudeOf(Value input) {
    Value bits = builder.bitsOf(input);
    return builder.fromBits(builder.bitAnd(bits, builder.constantLike(bits, 0x7fffffff)));
  }

  /// Of a unit whose largest magnitude is the scalar `largest`: what its codes are
  /// multiplied by, and what its inputs are multiplied by, 0 of zeros.
  Value scaleOf(Value largest) { return builder.div(largest, builder.number(largestCode)); }
  Value inverseOf(Value largest) {
    Value zero = builder.number(0.0f);
    return builder.select(builder.less(zero, largest),
                          builder.div(builder.number(largestCode), largest), zero);
  }

  /// The nearest whole numbers, ties to even, as int32.
  Value codesOf(Value inputs, Value inverse) {
    Value code = builder.roundToEven(builder.mul(inputs, inverse));
    Value high = builder.constantLike(code, largestCode),
          low = builder.constantLike(code, -largestCode);
    code = builder.select(builder.less(high, code), high, code);
    return builder.toInteger(builder.maximum(code, low));
  }

  /// The high one first; of all ways the one whose low digit is centered.
  Values digitsOf(Value codes) {
    if (layout.digits == 1)
      return {codes};
    constexpr int32_t bits = plan::QuantizedRow::radixBits;
    Value half = builder.constantLike(codes, plan::QuantizedRow::radix / 2);
    Value high = builder.shiftRightSigned(builder.add(codes, half), bits);
    return {high, builder.sub(codes, builder.shiftLeft(high, bits))};
  }

  /// The record's word of scalar sums of a digit: `first` of those whose number mod 4 is
  /// 0 or 1, `second` of the others.
  Value sumWord(Value first, Value second) {
    return builder.bitOr(builder.shiftLeft(second, 16),
                         builder.bitAnd(first, builder.word(0xffff)));
  }

  /// body(from, end) for the bytes of a record that must be zeros, behind its parts.
  void forPaddings(llvm::function_ref<void(int64_t from, int64_t end)> body) const {
    auto pad = [&](int64_t from, int64_t end) {
      if (from != end)
        body(from, end);
    };
    for (int64_t digit = 0; digit < layout.digits; ++digit)
      pad(digit * layout.digitBytes + inputs, (digit + 1) * layout.digitBytes);
    pad(layout.scalesOffset + 4 * (inputs / unit), layout.sumsOffset);
    for (int64_t digit = 0; digit < layout.digits; ++digit) {
      const int64_t first = layout.sumsOffset + digit * layout.digitSumBytes;
      pad(first + 4 * (inputs / layout.sumRows), first + layout.digitSumBytes);
    }
  }

private:
  VectorBuilder &builder;
  const float largestCode;
};

} // namespace grok::compiler
