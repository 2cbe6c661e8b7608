// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// quantize: float32 rows to records of int8 digits, one scale per unit. Tile = row.
#include "compiler/kernels/InputCodes.h"
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

namespace {

class RowQuantizer {
public:
  explicit RowQuantizer(KernelBuilder &kernel)
      : kernel(kernel), codes(kernel, kernel.spec.in, kernel.spec.weight.unit, kernel.spec.digits),
        layout(codes.layout), lanes(std::min(codes.unit, VectorBuilder::lanes)) {}

  void emitRow(Value row);

private:
  void emitUnit(Value from, Value record, Value number);
  Value largestOf(const Values &parts);
  Value sumWord(Value digits);
  void clear(Value record, int64_t from, int64_t end);

  KernelBuilder &kernel;
  InputCodes codes;
  const plan::QuantizedRow &layout;
  int64_t lanes; // inputs of one vector
};

} // namespace

void RowQuantizer::emitRow(Value row) {
  Value from = kernel.rowAddress(kernel.operand(0), row, rowBytes(codes.inputs));
  Value record = kernel.rowAddress(kernel.operand(1), row, layout.bytes);
  kernel.loop(kernel.index(0), kernel.index(codes.inputs / codes.unit), 1,
              [&](Value number) { emitUnit(from, record, number); });
  codes.forPaddings([&](int64_t from, int64_t end) { clear(record, from, end); });
}

void RowQuantizer::clear(Value record, int64_t from, int64_t end) {
  Value zero = kernel.narrow(kernel.word(0), kernel.i8);
  kernel.loop(kernel.index(from), kernel.index(end), 1,
              [&](Value at) { kernel.store(zero, kernel.offset(record, at)); });
}

void RowQuantizer::emitUnit(Value from, Value record, Value number) {
  Value first = kernel.mul(number, codes.unit);
  Value x = kernel.rowAddress(from, first, 4), to = kernel.offset(record, first);
  Values parts;
  for (int64_t at = 0; at < codes.unit; at += lanes)
    parts.push_back(kernel.load(kernel.vectorOf(kernel.f32, lanes), kernel.offset(x, at * 4)));
  Value largest = largestOf(parts), inverse = codes.inverseOf(largest);
  kernel.store(codes.scaleOf(largest),
               kernel.offset(kernel.rowAddress(record, number, 4), layout.scalesOffset));
  Value all = kernel.broadcast(inverse, lanes);
  Values runs(layout.digits); // sums of each digit
  Value sums = kernel.rowAddress(record, kernel.mul(number, codes.unit / layout.sumRows), 4);
  for (size_t i = 0; i < parts.size(); ++i) {
    Values digits = codes.digitsOf(codes.codesOf(parts[i], all));
    const int64_t at = static_cast<int64_t>(i) * lanes, end = at + lanes;
    for (int64_t digit = 0; digit < layout.digits; ++digit) {
      Value words = digits[digit], &run = runs[digit];
      kernel.store(kernel.narrow(words, kernel.i8),
                   kernel.offset(to, digit * layout.digitBytes + at));
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
    Value magnitude = codes.magnitudeOf(part);
    largest = largest ? kernel.maximum(largest, magnitude) : magnitude;
  }
  return maximumOfLanes(kernel, largest);
}

// Lanes in fours: k % 4 = 0, 1 to the low half word, 2, 3 to the high one.
Value RowQuantizer::sumWord(Value digits) {
  for (int64_t count = lanes; count > 4; count /= 2) {
    llvm::SmallVector<int64_t, 8> low, high;
    for (int64_t lane = 0; lane < count / 2; ++lane) {
      low.push_back(lane);
      high.push_back(count / 2 + lane);
    }
    digits = kernel.add(kernel.shuffle(digits, digits, low), kernel.shuffle(digits, digits, high));
  }
  Value first = kernel.add(kernel.extract(digits, 0), kernel.extract(digits, 1));
  Value second = kernel.add(kernel.extract(digits, 2), kernel.extract(digits, 3));
  return codes.sumWord(first, second);
}

void emitQuantize(KernelBuilder &kernel) {
  RowQuantizer quantizer(kernel);
  kernel.forTiles([&](Value row) { quantizer.emitRow(row); });
}

} // namespace grok::compiler
