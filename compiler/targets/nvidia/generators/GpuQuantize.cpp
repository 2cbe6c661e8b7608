// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// quantize: float32 rows to int8 records (docs/packing.md), one scale per unit. Tile
// = part of a row; a thread has quads of four consecutive inputs, and neighbouring
// threads share a unit.
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/InputCodes.h"
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <array>

namespace grok::compiler::gpu_kernels {

static constexpr int64_t quadInputs = 4;

namespace {

class RowQuantizer {
public:
  explicit RowQuantizer(GpuBuilder &kernel)
      : kernel(kernel), codes(kernel, kernel.spec.in, kernel.spec.weight.unit, kernel.spec.digits),
        layout(codes.layout), unitThreads(std::min(codes.unit / quadInputs, warpLanes)),
        threadQuads(codes.unit / quadInputs / unitThreads) {}

  void emit();

private:
  int64_t tileUnits() const { return kernel.threads / unitThreads; }
  void emitUnit(Value from, Value record, Value number);
  void emitQuad(Value quad, Value exists, ValueRange x, Value inverse, Value record);
  void emitDigits(Value quad, Value exists, ValueRange digits, Value record, int64_t number);
  Value largestOf(const Values &parts);
  void clear(Value record, int64_t from, int64_t end);
  // Between the threads of `count` neighbours.
  Value sumOver(Value word, int64_t count);

  GpuBuilder &kernel;
  InputCodes codes;
  const plan::QuantizedRow &layout;
  int64_t unitThreads, threadQuads;
};

} // namespace

void RowQuantizer::emit() {
  const int64_t units = codes.inputs / codes.unit, perRow = (units + tileUnits() - 1) / tileUnits();
  const KernelSpec &spec = kernel.spec;
  Value rows = spec.selected
                   ? kernel.entry(kernel.operand(2), kernel.index(GroupsLayout(1).pairCount))
                   : kernel.rows;
  const int64_t most = spec.maxRows * std::max<int64_t>(spec.selected, 1);
  kernel.forTiles(kernel.mul(rows, perRow), most * perRow, [&](Value tile) {
    Value row = kernel.quotient(tile, perRow), part = kernel.remainder(tile, perRow);
    Value from = kernel.rowAddress(kernel.operand(0), row, rowBytes(codes.inputs));
    Value record = kernel.rowAddress(kernel.operand(1), row, layout.bytes);
    Value number =
        kernel.add(kernel.mul(part, tileUnits()), kernel.quotient(kernel.thread, unitThreads));
    emitUnit(from, record, number);
    kernel.when(kernel.equal(part, kernel.index(0)), [&] {
      codes.forPaddings([&](int64_t from, int64_t end) { clear(record, from, end); });
    });
  });
}

// Less than 64 bytes: a word for each of the first threads.
void RowQuantizer::clear(Value record, int64_t from, int64_t end) {
  kernel.when(kernel.less(kernel.thread, kernel.index((end - from) / 4)), [&] {
    Value to = kernel.offset(kernel.rowAddress(record, kernel.thread, 4), from);
    kernel.store(kernel.word(0), to);
  });
}

void RowQuantizer::emitUnit(Value from, Value record, Value number) {
  // All threads take part in the shuffles: those behind the last unit read it too.
  const int64_t units = codes.inputs / codes.unit;
  Value exists = kernel.less(number, kernel.index(units));
  Value first =
      kernel.mul(kernel.minimum(number, kernel.index(units - 1)), codes.unit / quadInputs);
  Value quad = kernel.add(first, kernel.remainder(kernel.thread, unitThreads));
  Values parts;
  for (int64_t i = 0; i < threadQuads; ++i)
    for (int64_t j = 0; j < quadInputs; ++j) {
      Value at = kernel.offset(kernel.rowAddress(from, quad, quadInputs * 4),
                               (i * unitThreads * quadInputs + j) * 4);
      parts.push_back(kernel.load(kernel.f32, at));
    }
  Value largest = largestOf(parts), inverse = codes.inverseOf(largest);
  Value isFirst = kernel.equal(kernel.remainder(kernel.thread, unitThreads), kernel.index(0));
  kernel.when(kernel.both(exists, isFirst), [&] {
    Value to = kernel.offset(kernel.rowAddress(record, number, 4), layout.scalesOffset);
    kernel.store(codes.scaleOf(largest), to);
  });
  for (int64_t i = 0; i < threadQuads; ++i) {
    ValueRange quadOfParts = ValueRange(parts).slice(i * quadInputs, quadInputs);
    emitQuad(kernel.add(quad, i * unitThreads), exists, quadOfParts, inverse, record);
  }
}

Value RowQuantizer::largestOf(const Values &parts) {
  Value largest = kernel.number(0.0f);
  for (Value part : parts)
    largest = kernel.maximum(largest, codes.magnitudeOf(part));
  for (int64_t mask = unitThreads / 2; mask > 0; mask /= 2)
    largest = kernel.maximum(largest, kernel.shuffleXor(largest, static_cast<int32_t>(mask)));
  return largest;
}

void RowQuantizer::emitQuad(Value quad, Value exists, ValueRange x, Value inverse, Value record) {
  Values numbers;
  for (Value input : x)
    numbers.push_back(codes.codesOf(input, inverse));
  std::array<Values, plan::QuantizedRow::mostDigits> digits;
  for (Value number : numbers)
    for (auto [place, digit] : llvm::enumerate(codes.digitsOf(number)))
      digits[place].push_back(digit);
  for (int64_t digit = 0; digit < layout.digits; ++digit)
    emitDigits(quad, exists, digits[digit], record, digit);
}

// Digit `number` of one quad's codes, and from the first quad of every sumRows codes
// their sums.
void RowQuantizer::emitDigits(Value quad, Value exists, ValueRange digits, Value record,
                              int64_t number) {
  Value word = kernel.bitAnd(digits[0], kernel.word(0xff));
  for (int32_t j = 1; j < quadInputs; ++j) {
    Value byte = kernel.bitAnd(digits[j], kernel.word(0xff));
    word = kernel.bitOr(word, kernel.shiftLeft(byte, 8 * j));
  }
  const int64_t sumQuads = layout.sumRows / quadInputs;
  Value first = sumOver(kernel.add(digits[0], digits[1]), sumQuads);
  Value second = sumOver(kernel.add(digits[2], digits[3]), sumQuads);
  kernel.when(exists, [&] {
    kernel.store(word, kernel.offset(kernel.rowAddress(record, quad, quadInputs),
                                     number * layout.digitBytes));
    kernel.when(kernel.equal(kernel.remainder(quad, sumQuads), kernel.index(0)), [&] {
      Value sums = codes.sumWord(first, second);
      Value to = kernel.rowAddress(record, kernel.quotient(quad, sumQuads), 4);
      kernel.store(sums, kernel.offset(to, layout.sumsOffset + number * layout.digitSumBytes));
    });
  });
}

Value RowQuantizer::sumOver(Value word, int64_t count) {
  for (int64_t mask = count / 2; mask > 0; mask /= 2)
    word = kernel.add(word, kernel.shuffleXor(word, static_cast<int32_t>(mask)));
  return word;
}

void emitQuantize(GpuBuilder &kernel) { RowQuantizer(kernel).emit(); }

} // namespace grok::compiler::gpu_kernels
