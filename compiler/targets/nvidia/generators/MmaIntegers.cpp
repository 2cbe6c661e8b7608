// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The sums of a unit of quantised rows: exact integers, then float32.
#include "compiler/targets/nvidia/generators/MmaProduct.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t tilesTogether = 2; // whose accumulators take registers

// Of a unit of integers.
Values MmaProduct::zeroSums(size_t rowTiles) const {
  return Values(rowTiles * (format.hasMultipliers() ? tileSums : accumulators), kernel.word(0));
}

Value MmaProduct::inputOf(const Work &work, int64_t tile) const {
  if (work.inputs[tile])
    return work.inputs[tile];
  return fromDigit(addressAt(rowTable, rowOf(tile)));
}

// Adds to the integer sums of a unit: accumulators, or of codes runs of them times their
// multipliers, of one digit 2^codeShift times as much.
Values MmaProduct::multiplyCodes(const Work &work, const Stage &stage, const Steps &steps,
                                 Values total) {
  const auto tiles = static_cast<int64_t>(work.inputs.size());
  const int64_t perRun = fragments.stepsPerRun();
  llvm::SmallVector<Values, 4> read(tiles);
  Values sums = total;
  for (int64_t step = 0; step < fragments.steps(); ++step) {
    if (format.hasMultipliers() && step % perRun == 0)
      sums = Values(tiles * accumulators, kernel.word(0));
    for (int64_t tile = 0; tile < tiles; ++tile) {
      Values rows = operandsOf(work, stage, tile, step, read[tile]);
      for (int64_t half = 0; half < 2; ++half) {
        Value *part = &sums[tile * accumulators + half * 4];
        Values made = kernel.mmaBytes(steps[step].tiles[half], rows, Values(part, part + 4),
                                      /*unsignedA=*/false);
        std::copy(made.begin(), made.end(), part);
      }
    }
    stage.afterStep(step);
    if (!format.hasMultipliers() || step % perRun != perRun - 1)
      continue;
    Values multipliers = fragments.multipliers(stage.loaded, step / perRun);
    for (size_t i = 0; i < total.size(); ++i) {
      Value sum = digits == 1 ? sums[i] : sumOfDigits(sums, i, fragments.codeShift());
      total[i] = kernel.add(total[i], kernel.mul(sum, multipliers[i / laneRows % 4]));
    }
  }
  return format.hasMultipliers() ? total : sums;
}

// The two digits' sums of a column and row stand together, both 2^shift times too large.
// Without that factor a unit's sum fits an int32.
Value MmaProduct::sumOfDigits(const Values &sums, size_t i, int32_t shift) const {
  Value low = sums[2 * i + 1];
  if (shift)
    low = kernel.shiftRightSigned(low, shift);
  return kernel.add(kernel.shiftLeft(sums[2 * i], plan::QuantizedRow::radixBits - shift), low);
}

// Sum `i` of a unit, exact.
Value MmaProduct::unitSum(const Values &sums, size_t i) const {
  if (digits > 1)
    return format.hasMultipliers() ? sums[i] : sumOfDigits(sums, i, 0);
  return fragments.codeShift() ? kernel.shiftRightSigned(sums[i], fragments.codeShift()) : sums[i];
}

// The scales of the rows whose sums the lane has: lane 4 g + t has read that of the row of
// its codes, row g / digits; sums are of rows 2 t and 2 t + 1, or row t of two digits.
Values MmaProduct::rowScales(Value ownRow, Value unitNumber) const {
  Value address = kernel.offset(kernel.rowAddress(ownRow, unitNumber, 4), record.scalesOffset);
  if (ownDigit)
    address = kernel.offset(address, kernel.sub(kernel.index(0), ownDigit));
  Value own = kernel.load(kernel.f32, address), first = kernel.shiftLeft(quad32, 3);
  Values scales = {kernel.shuffleFrom(own, first)};
  if (laneRows == 2)
    scales.push_back(kernel.shuffleFrom(own, kernel.bitOr(first, kernel.word(4))));
  return scales;
}

Values MmaProduct::addUnit(const Work &work, Value unitNumber, const Values &unitSums,
                           mlir::ValueRange sums) {
  Values columns, result;
  if (scalesUnits) {
    Value rowGroup = kernel.quotient(unitNumber, contraction / format.groups / unit);
    columns = columnScales(work.panel, rowGroup, kernel.mul(kernel.remainder(group, 4), 4), 4);
  }
  for (size_t tile = 0; tile < work.inputs.size(); ++tile) {
    const Values ofRow = rowScales(work.inputs[tile], unitNumber);
    for (int64_t i = 0; i < tileSums; ++i) {
      Value factor = ofRow[i % laneRows];
      if (scalesUnits)
        factor = kernel.mul(factor, columns[i / laneRows]);
      const size_t number = tile * tileSums + i;
      Value sum = kernel.toFloat(unitSum(unitSums, number));
      result.push_back(kernel.multiplyAdd(sum, factor, sums[number]));
    }
  }
  return result;
}

// Of two digits, where a stage is a unit: some row tiles at a time, so that few
// accumulators take registers.
void MmaProduct::multiplyUnit(const Work &work, Value number, const Stage &stage, Values &sums) {
  const Steps steps = fragments.open(stage.loaded);
  auto nothing = [](int64_t) {};
  const Stage others{stage.number, stage.loaded, nothing};
  Work some{work.panel, work.lane, {}};
  Values result;
  for (size_t first = 0; first < work.inputs.size(); first += tilesTogether) {
    const size_t count = std::min<size_t>(tilesTogether, work.inputs.size() - first);
    if (first > 0)
      kernel.syncWarp(); // else all tiles' operands are read at once, and registers spill
    some.inputs.clear();
    for (size_t tile = first; tile < first + count; ++tile)
      some.inputs.push_back(inputOf(work, static_cast<int64_t>(tile)));
    Values unitSums = multiplyCodes(some, first == 0 ? stage : others, steps, zeroSums(count));
    result.append(addUnit(some, number, unitSums,
                          mlir::ValueRange(sums).slice(first * tileSums, count * tileSums)));
  }
  sums = result;
}

} // namespace grok::compiler
