// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// quantize: float32 rows to int8 records (docs/packing.md), one scale per unit. Tile
// = part of a row; a thread has quads of four consecutive inputs, and neighbouring
// threads share a unit.
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "dialects/plan/QuantizedRow.h"

#include <algorithm>

namespace grok::compiler::gpu_kernels {

static constexpr int64_t quadInputs = 4;

namespace {

class RowQuantizer {
public:
  explicit RowQuantizer(GpuBuilder &kernel)
      : kernel(kernel), inputs(kernel.spec.in), unit(kernel.spec.weight.unit),
        unitThreads(std::min(unit / quadInputs, warpLanes)),
        threadQuads(unit / quadInputs / unitThreads),
        layout(plan::QuantizedRow::of(inputs, unit, kernel.spec.digits)),
        largestCode(static_cast<float>(plan::QuantizedRow::largestCode(layout.digits))) {}

  void emit();

private:
  int64_t tileUnits() const { return kernel.threads / unitThreads; }
  void emitUnit(Value from, Value record, Value number);
  void emitQuad(Value quad, Value exists, ValueRange x, Value inverse, Value record);
  void emitDigits(Value quad, Value exists, ValueRange digits, Value record, int64_t number);
  Value largestOf(const Values &parts);
  Value codeOf(Value x, Value inverse);
  void clear(Value record, int64_t from, int64_t end);
  // Between the threads of `count` neighbours.
  Value sumOver(Value word, int64_t count);

  GpuBuilder &kernel;
  int64_t inputs, unit;
  int64_t unitThreads, threadQuads;
  plan::QuantizedRow layout;
  float largestCode;
};

} // namespace

void RowQuantizer::emit() {
  const int64_t units = inputs / unit, perRow = (units + tileUnits() - 1) / tileUnits();
  const KernelSpec &spec = kernel.spec;
  Value rows = spec.selected
                   ? kernel.entry(kernel.operand(2), kernel.index(GroupsLayout(1).pairCount))
                   : kernel.rows;
  const int64_t most = spec.maxRows * std::max<int64_t>(spec.selected, 1);
  kernel.forTiles(kernel.mul(rows, perRow), most * perRow, [&](Value tile) {
    Value row = kernel.quotient(tile, perRow), part = kernel.remainder(tile, perRow);
    Value from = kernel.rowAddress(kernel.operand(0), row, rowBytes(inputs));
    Value record = kernel.rowAddress(kernel.operand(1), row, layout.bytes);
    Value number =
        kernel.add(kernel.mul(part, tileUnits()), kernel.quotient(kernel.thread, unitThreads));
    emitUnit(from, record, number);
    kernel.when(kernel.equal(part, kernel.index(0)), [&] {
      for (int64_t digit = 0; digit < layout.digits; ++digit)
        clear(record, digit * layout.digitBytes + inputs, (digit + 1) * layout.digitBytes);
      clear(record, layout.scalesOffset + 4 * units, layout.sumsOffset);
      for (int64_t digit = 0; digit < layout.digits; ++digit) {
        const int64_t sums = layout.sumsOffset + digit * layout.digitSumBytes;
        clear(record, sums + 4 * (inputs / layout.sumRows), sums + layout.digitSumBytes);
      }
    });
  });
}

// Less than 64 bytes: a word for each of the first threads.
void RowQuantizer::clear(Value record, int64_t from, int64_t end) {
  if (from == end)
    return;
  kernel.when(kernel.less(kernel.thread, kernel.index((end - from) / 4)), [&] {
    Value to = kernel.offset(kernel.rowAddress(record, kernel.thread, 4), from);
    kernel.store(kernel.word(0), to);
  });
}

void RowQuantizer::emitUnit(Value from, Value record, Value number) {
  // All threads take part in the shuffles: those behind the last unit read it too.
  const int64_t units = inputs / unit;
  Value exists = kernel.less(number, kernel.index(units));
  Value first = kernel.mul(kernel.minimum(number, kernel.index(units - 1)), unit / quadInputs);
  Value quad = kernel.add(first, kernel.remainder(kernel.thread, unitThreads));
  Values parts;
  for (int64_t i = 0; i < threadQuads; ++i)
    for (int64_t j = 0; j < quadInputs; ++j) {
      Value at = kernel.offset(kernel.rowAddress(from, quad, quadInputs * 4),
                               (i * unitThreads * quadInputs + j) * 4);
      parts.push_back(kernel.load(kernel.f32, at));
    }
  Value largest = largestOf(parts), limit = kernel.number(largestCode);
  Value inverse = kernel.select(kernel.less(kernel.number(0.0f), largest),
                                kernel.div(limit, largest), kernel.number(0.0f));
  Value isFirst = kernel.equal(kernel.remainder(kernel.thread, unitThreads), kernel.index(0));
  kernel.when(kernel.both(exists, isFirst), [&] {
    Value to = kernel.offset(kernel.rowAddress(record, number, 4), layout.scalesOffset);
    kernel.store(kernel.div(largest, limit), to);
  });
  for (int64_t i = 0; i < threadQuads; ++i) {
    ValueRange quadOfParts = ValueRange(parts).slice(i * quadInputs, quadInputs);
    emitQuad(kernel.add(quad, i * unitThreads), exists, quadOfParts, inverse, record);
  }
}

Value RowQuantizer::largestOf(const Values &parts) {
  Value largest = kernel.number(0.0f);
  for (Value part : parts) {
    Value magnitude = kernel.bitAnd(kernel.bitsOf(part), kernel.word(0x7fffffff));
    largest = kernel.maximum(largest, kernel.fromBits(magnitude));
  }
  for (int64_t mask = unitThreads / 2; mask > 0; mask /= 2)
    largest = kernel.maximum(largest, kernel.shuffleXor(largest, static_cast<int32_t>(mask)));
  return largest;
}

void RowQuantizer::emitQuad(Value quad, Value exists, ValueRange x, Value inverse, Value record) {
  Values codes, high;
  for (Value input : x)
    codes.push_back(codeOf(input, inverse));
  if (layout.digits == 1)
    return emitDigits(quad, exists, codes, record, 0);
  for (Value &code : codes) { // of all ways the one whose low digit is centered
    Value middle = kernel.word(plan::QuantizedRow::radix / 2);
    high.push_back(
        kernel.shiftRightSigned(kernel.add(code, middle), plan::QuantizedRow::radixBits));
    code = kernel.sub(code, kernel.shiftLeft(high.back(), plan::QuantizedRow::radixBits));
  }
  emitDigits(quad, exists, high, record, 0);
  emitDigits(quad, exists, codes, record, 1);
}

// Digit `number` of one quad's codes, and from the first quad of every sumRows codes
// their sums.
void RowQuantizer::emitDigits(Value quad, Value exists, ValueRange codes, Value record,
                              int64_t number) {
  Value word = kernel.bitAnd(codes[0], kernel.word(0xff));
  for (int32_t j = 1; j < quadInputs; ++j) {
    Value byte = kernel.bitAnd(codes[j], kernel.word(0xff));
    word = kernel.bitOr(word, kernel.shiftLeft(byte, 8 * j));
  }
  const int64_t sumQuads = layout.sumRows / quadInputs;
  Value first = sumOver(kernel.add(codes[0], codes[1]), sumQuads);
  Value second = sumOver(kernel.add(codes[2], codes[3]), sumQuads);
  kernel.when(exists, [&] {
    kernel.store(word, kernel.offset(kernel.rowAddress(record, quad, quadInputs),
                                     number * layout.digitBytes));
    kernel.when(kernel.equal(kernel.remainder(quad, sumQuads), kernel.index(0)), [&] {
      Value sums =
          kernel.bitOr(kernel.shiftLeft(second, 16), kernel.bitAnd(first, kernel.word(0xffff)));
      Value to = kernel.rowAddress(record, kernel.quotient(quad, sumQuads), 4);
      kernel.store(sums, kernel.offset(to, layout.sumsOffset + number * layout.digitSumBytes));
    });
  });
}

Value RowQuantizer::codeOf(Value x, Value inverse) {
  Value code = kernel.roundToEven(kernel.mul(x, inverse));
  Value high = kernel.number(largestCode), low = kernel.number(-largestCode);
  code = kernel.select(kernel.less(high, code), high, code);
  return kernel.toInteger(kernel.maximum(code, low));
}

Value RowQuantizer::sumOver(Value word, int64_t count) {
  for (int64_t mask = count / 2; mask > 0; mask /= 2)
    word = kernel.add(word, kernel.shuffleXor(word, static_cast<int32_t>(mask)));
  return word;
}

void emitQuantize(GpuBuilder &kernel) { RowQuantizer(kernel).emit(); }

} // namespace grok::compiler::gpu_kernels
