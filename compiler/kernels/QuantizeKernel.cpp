// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// quantize: float32 rows to records of int8 digits, one scale per unit. Tile = row.
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/VectorMath.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

namespace {

class RowQuantizer {
public:
  explicit RowQuantizer(KernelBuilder &kernel)
      : kernel(kernel), inputs(kernel.spec.in), unit(kernel.spec.weight.unit),
        lanes(std::min(unit, VectorBuilder::lanes)),
        layout(plan::QuantizedRow::of(inputs, unit, kernel.spec.digits)),
        largestCode(static_cast<float>(plan::QuantizedRow::largestCode(layout.digits))) {}

  void emitRow(Value row);

private:
  void emitUnit(Value from, Value record, Value number);
  Value largestOf(const Values &parts);
  Value codesOf(Value part, Value inverse);
  Values digitsOf(Value codes);
  Value sumWord(Value codes);
  void clear(Value record, int64_t from, int64_t end);

  KernelBuilder &kernel;
  int64_t inputs, unit;
  int64_t lanes; // inputs of one vector
  plan::QuantizedRow layout;
  float largestCode;
};

} // namespace

void RowQuantizer::emitRow(Value row) {
  Value from = kernel.rowAddress(kernel.operand(0), row, rowBytes(inputs));
  Value record = kernel.rowAddress(kernel.operand(1), row, layout.bytes);
  kernel.loop(kernel.index(0), kernel.index((inputs / unit)), 1,
              [&](Value number) { emitUnit(from, record, number); });
  for (int64_t digit = 0; digit < layout.digits; ++digit)
    clear(record, digit * layout.digitBytes + inputs, (digit + 1) * layout.digitBytes);
  clear(record, layout.scalesOffset + 4 * (inputs / unit), layout.sumsOffset);
  for (int64_t digit = 0; digit < layout.digits; ++digit) {
    const int64_t first = layout.sumsOffset + digit * layout.digitSumBytes;
    clear(record, first + 4 * (inputs / layout.sumRows), first + layout.digitSumBytes);
  }
}

void RowQuantizer::clear(Value record, int64_t from, int64_t end) {
  if (from == end)
    return;
  Value zero = kernel.narrow(kernel.word(0), kernel.i8);
  kernel.loop(kernel.index(from), kernel.index(end), 1,
              [&](Value at) { kernel.store(zero, kernel.offset(record, at)); });
}

void RowQuantizer::emitUnit(Value from, Value record, Value number) {
  Value first = kernel.mul(number, unit);
  Value x = kernel.rowAddress(from, first, 4), codes = kernel.offset(record, first);
  Values parts;
  for (int64_t at = 0; at < unit; at += lanes)
    parts.push_back(kernel.load(kernel.vectorOf(kernel.f32, lanes), kernel.offset(x, at * 4)));
  Value largest = largestOf(parts), limit = kernel.number(largestCode);
  Value inverse = kernel.select(kernel.less(kernel.number(0.0f), largest),
                                kernel.div(limit, largest), kernel.number(0.0f));
  kernel.store(kernel.div(largest, limit),
               kernel.offset(kernel.rowAddress(record, number, 4), layout.scalesOffset));
  Value all = kernel.broadcast(inverse, lanes);
  Values runs(layout.digits); // sums of each digit
  Value sums = kernel.rowAddress(record, kernel.mul(number, unit / layout.sumRows), 4);
  for (size_t i = 0; i < parts.size(); ++i) {
    Values digits = digitsOf(codesOf(parts[i], all));
    const int64_t at = static_cast<int64_t>(i) * lanes, end = at + lanes;
    for (int64_t digit = 0; digit < layout.digits; ++digit) {
      Value words = digits[digit], &run = runs[digit];
      kernel.store(kernel.narrow(words, kernel.i8),
                   kernel.offset(codes, digit * layout.digitBytes + at));
      run = at % layout.sumRows == 0 ? words : kernel.add(run, words);
      if (end % layout.sumRows == 0)
        kernel.store(sumWord(run),
                     kernel.offset(sums, layout.sumsOffset + digit * layout.digitSumBytes +
                                             (end / layout.sumRows - 1) * 4));
    }
  }
}

Value RowQuantizer::largestOf(const Values &parts) {
  Value largest;
  for (Value part : parts) {
    Value bits = kernel.bitsOf(part);
    Value magnitude = kernel.fromBits(kernel.bitAnd(bits, kernel.constantLike(bits, 0x7fffffff)));
    largest = largest ? kernel.maximum(largest, magnitude) : magnitude;
  }
  return maximumOfLanes(kernel, largest);
}

Value RowQuantizer::codesOf(Value part, Value inverse) {
  Value code = kernel.roundToEven(kernel.mul(part, inverse));
  Value high = kernel.constantLike(code, largestCode),
        low = kernel.constantLike(code, -largestCode);
  code = kernel.select(kernel.less(high, code), high, code);
  return kernel.toInteger(kernel.maximum(code, low));
}

// The high one first.
Values RowQuantizer::digitsOf(Value codes) {
  if (layout.digits == 1)
    return {codes};
  constexpr int32_t bits = plan::QuantizedRow::radixBits;
  Value half = kernel.constantLike(codes, plan::QuantizedRow::radix / 2);
  Value high = kernel.shiftRightSigned(kernel.add(codes, half), bits);
  return {high, kernel.sub(codes, kernel.shiftLeft(high, bits))};
}

// Lanes in fours: k % 4 = 0, 1 to the low half word, 2, 3 to the high one.
Value RowQuantizer::sumWord(Value codes) {
  for (int64_t count = lanes; count > 4; count /= 2) {
    llvm::SmallVector<int64_t, 8> low, high;
    for (int64_t lane = 0; lane < count / 2; ++lane) {
      low.push_back(lane);
      high.push_back(count / 2 + lane);
    }
    codes = kernel.add(kernel.shuffle(codes, codes, low), kernel.shuffle(codes, codes, high));
  }
  Value first = kernel.add(kernel.extract(codes, 0), kernel.extract(codes, 1));
  Value second = kernel.add(kernel.extract(codes, 2), kernel.extract(codes, 3));
  return kernel.bitOr(kernel.shiftLeft(second, 16), kernel.bitAnd(first, kernel.word(0xffff)));
}

void emitQuantize(KernelBuilder &kernel) {
  RowQuantizer quantizer(kernel);
  kernel.forTiles([&](Value row) { quantizer.emitRow(row); });
}

} // namespace grok::compiler
