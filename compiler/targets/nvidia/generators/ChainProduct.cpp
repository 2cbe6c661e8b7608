// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/ChainProduct.h"

#include "compiler/kernels/InputCodes.h"

#include <algorithm>

namespace grok::compiler {

using Element = WeightFormat::Element;

static constexpr int64_t lineBytes = 64;
static constexpr int64_t superRuns = 4; // runs of codes that share a header
static constexpr int64_t mostRows = 8;

// Inputs whose weights are loaded together: with eight rows their inputs take the
// registers. Codes of three bits open 32 at a time.
static int64_t stepOf(const KernelSpec &spec) {
  if (spec.weight.element == Element::i3)
    return 32;
  const int64_t few = spec.weight.hasMultipliers() ? 32 : 16;
  return std::min<int64_t>(spec.weight.unit, spec.maxRows == 1 ? few : 8);
}

ChainProduct::ChainProduct(GpuBuilder &kernel, int64_t slots)
    : GpuProduct(kernel, slots, kernel.spec.maxRows == 1 ? 1 : mostRows),
      readsCodes(readsQuantizedRows(kernel.spec)),
      record(readsCodes ? plan::QuantizedRow::of(contraction, unit, kernel.spec.digits)
                        : plan::QuantizedRow()),
      step(stepOf(kernel.spec)), slotsTogether(threads / panelColumns / slices),
      partials(kernel.sharedMemory(threads * chunkRows * 4)) {
  kernel.holdBlocks(kernel.spec.maxRows == 1 ? 3 : 1);
  kernel.keepLoops();
}

void ChainProduct::compute(PanelSource source, Value rows, RowInput input) {
  Value column = kernel.remainder(kernel.thread, panelColumns);
  Value part = kernel.quotient(kernel.thread, panelColumns);
  Value slice = kernel.remainder(part, slices), own = kernel.quotient(part, slices);
  kernel.loop(kernel.index(0), kernel.index(slots), slotsTogether, [&](Value firstSlot) {
    Work work;
    Value slot = kernel.minimum(kernel.add(firstSlot, own), kernel.index(slots - 1));
    work.panel = source(slot);
    work.column = column;
    for (int64_t row = 0; row < chunkRows; ++row)
      work.inputs.push_back(input(kernel.minimum(kernel.index(row), kernel.add(rows, -1))));
    Values sums = sumSlice(work, slice);
    Value to = kernel.rowAddress(partials, part, chunkRows * lineBytes);
    for (int64_t row = 0; row < chunkRows; ++row)
      kernel.store(sums[row], kernel.offset(kernel.rowAddress(to, column, 4), row * lineBytes));
    kernel.barrier();
    // Thread = (slot, row, column) of a result.
    const int64_t ofSlot = chunkRows * panelColumns;
    kernel.loop(kernel.thread, kernel.index(slotsTogether * ofSlot), threads, [&](Value at) {
      Value summed = kernel.quotient(at, ofSlot), inside = kernel.remainder(at, ofSlot);
      Value from = kernel.rowAddress(partials, summed, slices * ofSlot * 4);
      from = kernel.rowAddress(from, inside, 4);
      Value sum = sumOfSlices([&](int64_t number) {
        return kernel.load(kernel.f32, kernel.offset(from, number * ofSlot * 4));
      });
      Value target = kernel.add(firstSlot, summed);
      kernel.when(kernel.less(target, kernel.index(slots)), [&] {
        Value position =
            kernel.add(kernel.mul(target, panelColumns), kernel.remainder(inside, panelColumns));
        Value row = resultRow(kernel.quotient(inside, panelColumns));
        kernel.store(sum, kernel.rowAddress(row, position, 4));
      });
    });
    kernel.barrier();
  });
}

// ---- sums

Values ChainProduct::sumSlice(const Work &work, Value slice) {
  Value first = kernel.mul(slice, unitsPerSlice);
  Values sums = kernel.loop(first, kernel.add(first, unitsPerSlice), 1,
                            Values(chunkRows, kernel.number(0.0f)),
                            [&](Value unitNumber, mlir::ValueRange carried) {
                              return addUnit(work, unitNumber, carried);
                            });
  if (readsCodes && !scalesUnits) {
    Value rowGroup = kernel.quotient(slice, slices / format.groups);
    Value scale = columnScales(work.panel, rowGroup, work.column, 1)[0];
    for (Value &sum : sums)
      sum = kernel.mul(sum, scale);
  }
  return sums;
}

Values ChainProduct::addUnit(const Work &work, Value unitNumber, mlir::ValueRange sums) {
  Values chains = chainsOf(work, unitNumber), scale = unitScale(work, unitNumber), result;
  for (int64_t row = 0; row < chunkRows; ++row) {
    if (readsCodes) {
      Value address = kernel.rowAddress(work.inputs[row], unitNumber, 4);
      Value factor = kernel.load(kernel.f32, kernel.offset(address, record.scalesOffset));
      if (scalesUnits)
        factor = kernel.mul(factor, scale[0]);
      result.push_back(kernel.multiplyAdd(kernel.toFloat(chains[row]), factor, sums[row]));
    } else if (format.isInteger()) {
      result.push_back(kernel.multiplyAdd(chains[row], scale[0], sums[row]));
    } else {
      result.push_back(kernel.add(sums[row], chains[row]));
    }
  }
  return result;
}

// The column's scale of the unit, if that is not the slice's.
Values ChainProduct::unitScale(const Work &work, Value unitNumber) {
  if (!format.isInteger() || (readsCodes && !scalesUnits))
    return {};
  Value rowGroup = kernel.quotient(unitNumber, contraction / format.groups / unit);
  Value scale = columnScales(work.panel, rowGroup, work.column, 1)[0];
  if (format.hasMultipliers()) {
    Value address = kernel.offset(work.panel.weights, placeOf(unitNumber, /*ofMultipliers=*/true));
    Value multiplier = kernel.load(kernel.i8, kernel.offset(address, work.column));
    scale = kernel.mul(kernel.toFloat(kernel.widen(multiplier, kernel.i32)), scale);
  }
  return {scale};
}

// Chains of the unit, or exact sums of codes, of all rows.
Values ChainProduct::chainsOf(const Work &work, Value unitNumber) {
  Value start = kernel.offset(work.panel.weights, placeOf(unitNumber, /*ofMultipliers=*/false));
  start = kernel.rowAddress(start, work.column, columnBytes());
  Value firstInput = kernel.mul(unitNumber, unit);
  Value zero = readsCodes ? kernel.word(0) : kernel.number(0.0f);
  auto body = [&](Value at, mlir::ValueRange carried) -> Values {
    Values chains(carried);
    Values weights = readWeights(kernel.rowAddress(start, at, inputBytes()));
    Value k = kernel.add(firstInput, at);
    for (size_t chain = 0; chain < chains.size(); ++chain) { // [row][digit]
      Value row = kernel.offset(work.inputs[chain / record.digits],
                                static_cast<int64_t>(chain) % record.digits * record.digitBytes);
      Values x = readRow(row, k);
      for (size_t i = 0; i < weights.size(); ++i)
        chains[chain] = readsCodes ? kernel.dot4(weights[i], x[i], chains[chain])
                                   : kernel.multiplyAdd(weights[i], x[i], chains[chain]);
    }
    return chains;
  };
  Values chains = kernel.loop(kernel.index(0), kernel.index(unit), step,
                              Values(chunkRows * record.digits, zero), body);
  Values sums;
  for (int64_t row = 0; row < chunkRows; ++row)
    sums.push_back(
        sumOfDigits(kernel, ValueRange(chains).slice(row * record.digits, record.digits)));
  return sums;
}

// ---- weights

// From one column of a line to the next.
int64_t ChainProduct::columnBytes() const {
  return format.hasMultipliers() ? 4 : format.kPack() * format.bits() / 8;
}

// Codes: a unit is a run, four of which follow their multipliers.
Value ChainProduct::placeOf(Value unitNumber, bool ofMultipliers) const {
  if (!format.hasMultipliers())
    return kernel.mul(unitNumber, unit * inputBytes());
  const int64_t runs = contraction / unit, whole = runs / superRuns * superRuns;
  const int64_t runBytes = unit * inputBytes();
  Value inside = kernel.remainder(unitNumber, superRuns);
  Value start =
      kernel.mul(kernel.quotient(unitNumber, superRuns), superRuns * (runBytes + panelColumns));
  if (ofMultipliers)
    return kernel.add(start, kernel.mul(inside, panelColumns));
  Value header = kernel.index(superRuns * panelColumns);
  if (whole != runs) // the last super-run is shorter
    header = kernel.select(kernel.less(unitNumber, kernel.index(whole)), header,
                           kernel.index((runs - whole) * panelColumns));
  return kernel.add(kernel.add(start, header), kernel.mul(inside, runBytes));
}

Values ChainProduct::floatsOfBytes(Value word, int32_t zeroPoint) const {
  Values result;
  for (int32_t i = 0; i < 4; ++i) {
    Value value = zeroPoint ? kernel.bitAnd(kernel.shiftRight(word, 8 * i), kernel.word(255))
                            : kernel.shiftRightSigned(kernel.shiftLeft(word, 24 - 8 * i), 24);
    if (zeroPoint)
      value = kernel.sub(value, kernel.word(zeroPoint));
    result.push_back(kernel.toFloat(value));
  }
  return result;
}

Values ChainProduct::openCodes(Value address) const {
  auto masked = [&](Value word, int32_t shift, int32_t mask) {
    return kernel.bitAnd(kernel.shiftRight(word, shift), kernel.word(mask * 0x01010101));
  };
  Values lines, words, result;
  const int64_t count = step * format.bits() / 32; // 64 bytes hold 8 inputs of 4 bits
  for (int64_t i = 0; i < count; ++i)
    lines.push_back(kernel.load(kernel.i32, kernel.offset(address, i * lineBytes)));
  const bool isFour = format.element == Element::i4;
  for (Value line : lines) {
    words.push_back(masked(line, 0, isFour ? 15 : 7));
    words.push_back(masked(line, isFour ? 4 : 3, isFour ? 15 : 7));
  }
  if (!isFour) {
    words.push_back(kernel.bitOr(masked(lines[0], 6, 3), masked(lines[2], 4, 4)));
    words.push_back(kernel.bitOr(masked(lines[1], 6, 3), masked(lines[2], 5, 4)));
  }
  for (Value word : words)
    result.append(floatsOfBytes(word, isFour ? 8 : 4));
  return result;
}

Values ChainProduct::readWeights(Value address) const {
  if (format.hasMultipliers())
    return openCodes(address);
  const int64_t kPack = format.kPack();
  Values result;
  for (int64_t at = 0; at < step; at += kPack) {
    Value from = kernel.offset(address, at * inputBytes());
    if (format.element == Element::f32) {
      result.push_back(kernel.load(kernel.f32, from));
    } else if (format.element == Element::bf16 && kPack == 1) {
      Value half = kernel.widenUnsigned(kernel.load(kernel.i16, from), kernel.i32);
      result.push_back(kernel.fromBits(kernel.shiftLeft(half, 16)));
    } else if (format.element == Element::bf16) {
      Value word = kernel.load(kernel.i32, from);
      result.push_back(kernel.fromBits(kernel.shiftLeft(word, 16)));
      result.push_back(kernel.fromBits(kernel.bitAnd(word, kernel.word(-65536))));
    } else if (kPack == 1) {
      result.push_back(kernel.toFloat(kernel.widen(kernel.load(kernel.i8, from), kernel.i32)));
    } else {
      Value word = kernel.load(kernel.i32, from);
      readsCodes ? result.push_back(word) : void(result.append(floatsOfBytes(word, 0)));
    }
  }
  return result;
}

// A row's inputs from `k` on, for one step: words of codes, or float32.
Values ChainProduct::readRow(Value row, Value k) const {
  const int64_t count = readsCodes ? step / 4 : step, wide = std::min<int64_t>(count, 4);
  Value from = kernel.rowAddress(row, k, readsCodes ? 1 : 4);
  Type element = readsCodes ? kernel.i32 : kernel.f32;
  Values result;
  for (int64_t at = 0; at < count; at += wide) {
    if (wide == 1) {
      result.push_back(kernel.load(element, kernel.offset(from, at * 4)));
      continue;
    }
    Value loaded =
        kernel.load(kernel.vectorOf(element, wide), kernel.offset(from, at * 4), 4 * wide);
    for (int64_t i = 0; i < wide; ++i)
      result.push_back(kernel.extract(loaded, i));
  }
  return result;
}

} // namespace grok::compiler
