// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What all forms share, and the form for one row.
#include "compiler/kernels/IntegerProduct.h"

#include "compiler/kernels/InputCodes.h"

#include <algorithm>
#include <bit>

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;
static constexpr int64_t lineInputs = 4;
static constexpr int64_t lineBytes = panelColumns * lineInputs;

// Inputs of one iteration: loops cost little against four lines of each panel.
static constexpr int64_t leastStep = 16;

// As the float form: each gathered row is used for four panels.
static constexpr int64_t chunkWalkPanels = 4;

static ByteDot::Bytes packedBytes(const WeightFormat &format) {
  return format.hasMultipliers() ? ByteDot::Bytes::codes : ByteDot::Bytes::weights;
}

// Registers hold the sums of each digit: of fewer rows, or, for few rows, of
// fewer panels, whose weights are still opened once for all rows.
static RegisterBlock withFewerRows(RegisterBlock block, int64_t digits) {
  return {std::max<int64_t>(block.rows / digits, 1), block.panels};
}

static RegisterBlock withFewerPanels(RegisterBlock block, int64_t digits) {
  if (block.panels % digits != 0)
    return withFewerRows(block, digits);
  return {block.rows, block.panels / digits};
}

IntegerProduct::IntegerProduct(KernelBuilder &kernel, int64_t width, bool isRagged,
                               bool areNeighbours)
    : MatrixProduct(kernel, width, isRagged,
                    kernel.spec.maxRows == 1 ? Blocking{kernel.tiles.gemvPanels, 1}
                                             : Blocking{chunkWalkPanels, kernel.tiles.integerRows}),
      format(kernel.spec.weight),
      record(plan::QuantizedRow::of(contraction, unit, kernel.spec.digits)),
      packed(kernel, format, contraction),
      packedDot(kernel, packedBytes(format), packed.zeroPoint()),
      storedDot(kernel, ByteDot::storedBytes(kernel, format), packed.zeroPoint()),
      fewRows(withFewerPanels(kernel.tiles.fewRows, record.digits)),
      manyRows(withFewerRows(kernel.tiles.manyRows, record.digits)),
      runsPerUnit(unit / packed.runInputs()), startCount(usesTiles()           ? 0
                                                         : storedDot.isCodes() ? runsPerUnit
                                                                               : 1),
      areNeighbours(areNeighbours),
      scalesUnits(contraction / format.groups % (contraction / slices) != 0),
      levels(std::countr_zero(static_cast<uint64_t>(slices))) {
  const int64_t rowBytes = walkPanels * vectorBytes;
  sums = kernel.scratch((isGemv ? slices : chunkRows) * rowBytes);
  if (isGemv)
    return;
  pending = kernel.scratch(levels * chunkRows * rowBytes);
  stored = kernel.scratch(walkPanels * unit * panelColumns);
  const int64_t gatheredUnits = gathersAll() ? contraction / unit : 1;
  codes = kernel.scratch(gatheredUnits * chunkRows * record.digits * unit);
  rowScales = kernel.scratch(gatheredUnits * chunkRows * 4);
  starts = kernel.scratch(chunkRows * record.digits * startCount * 4);
  if (!usesTiles())
    return;
  tileProduct.emplace(kernel);
  tileSums =
      kernel.scratch(TileProduct::mostRowTiles * TileProduct::mostPanels * TileProduct::tileBytes);
  gatheredKey = kernel.scratch(sizeof(int64_t));
  kernel.store(kernel.index(-1), gatheredKey);
}

void IntegerProduct::emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows,
                          RowInput input, Value result) {
  forWalks(matrix, firstPanel, panels, [&](const Walk &walk) {
    if (isGemv)
      emitRow(matrix, walk, input(kernel.index(0)), result);
    else
      emitChunk(matrix, walk, rows, input, result);
  });
}

// ---- units

IntegerProduct::RowUnit IntegerProduct::rowUnit(Value row, Value unitNumber) {
  RowUnit result;
  Value codes = kernel.rowAddress(row, unitNumber, unit);
  result.scale = kernel.load(
      kernel.f32, kernel.offset(kernel.rowAddress(row, unitNumber, 4), record.scalesOffset));
  const int64_t runWords = packed.runInputs() / record.sumRows;
  Value words = kernel.offset(kernel.rowAddress(row, unitNumber, unit / record.sumRows * 4),
                              record.sumsOffset);
  for (int64_t digit = 0; digit < record.digits; ++digit) {
    DigitUnit &unitDigit = result.digits.emplace_back();
    unitDigit.codes = kernel.offset(codes, digit * record.digitBytes);
    for (int64_t run = 0; run < runsPerUnit; ++run)
      unitDigit.startWords.push_back(packedDot.startWord(
          kernel.offset(words, digit * record.digitSumBytes + run * runWords * 4), runWords));
  }
  return result;
}

// Sums of a unit, [row][panel].
Values IntegerProduct::multiplyUnit(const Lines &lines, llvm::ArrayRef<RowUnit> rows,
                                    Value unitNumber) {
  const ByteDot &dot = dotOf(lines);
  llvm::SmallVector<DigitUnit, 8> digits;
  for (const RowUnit &row : rows)
    digits.append(row.digits.begin(), row.digits.end());
  Values total; // [row][digit][panel]
  for (int64_t run = 0; run < (dot.isCodes() ? runsPerUnit : 1); ++run) {
    PackedLines::Place place = packed.placeOf(kernel.add(kernel.mul(unitNumber, runsPerUnit), run));
    Values sums = multiplyRun(lines, digits, place, run), multipliers(lines.count());
    for (size_t panel = 0; panel < lines.count() && dot.isCodes(); ++panel)
      multipliers[panel] = dot.multipliersAt(kernel.offset(lines.panels[panel], place.multipliers));
    for (size_t i = 0; i < sums.size(); ++i) {
      Value sum = dot.finish(sums[i], multipliers[i % lines.count()]);
      if (run == 0)
        total.push_back(sum);
      else
        total[i] = kernel.add(total[i], sum);
    }
  }
  Values sums;
  for (size_t row = 0; row < rows.size(); ++row)
    for (size_t panel = 0; panel < lines.count(); ++panel) {
      Values ofDigits;
      for (int64_t digit = 0; digit < record.digits; ++digit)
        ofDigits.push_back(total[(row * record.digits + digit) * lines.count() + panel]);
      sums.push_back(sumOfDigits(kernel, ofDigits));
    }
  return sums;
}

// `place` counts for packed lines only.
Values IntegerProduct::multiplyRun(const Lines &lines, llvm::ArrayRef<DigitUnit> digits,
                                   const PackedLines::Place &place, int64_t run) {
  const ByteDot &dot = dotOf(lines);
  const int64_t inputs = dot.isCodes() ? packed.runInputs() : unit, first = run * inputs;
  const int64_t bundle = lines.isStored ? lineInputs : packed.bundleInputs();
  const int64_t step = std::min(inputs, std::max(leastStep, bundle));
  Values starts;
  for (const DigitUnit &digit : digits)
    starts.append(lines.count(), dot.start(digit.startWords[run]));
  llvm::SmallVector<DigitUnit, 8> runDigits(digits.begin(), digits.end());
  for (DigitUnit &digit : runDigits)
    digit.codes = kernel.offset(digit.codes, first);
  Lines runLines = lines;
  for (Value &line : runLines.lines)
    line = kernel.offset(line, first * panelColumns);
  auto body = [&](Value at, ValueRange carried) {
    Values sums(carried);
    for (int64_t inner = 0; inner < step; inner += bundle)
      addBundle(runLines, runDigits, place, kernel.add(at, inner), sums);
    return sums;
  };
  if (step == inputs)
    return body(kernel.index(0), starts);
  return kernel.loop(kernel.index(0), kernel.index(inputs), step, starts, body);
}

// The lines that open together, from input `at` of the run on; panel by panel,
// because registers do not hold the opened lines of all.
void IntegerProduct::addBundle(const Lines &lines, llvm::ArrayRef<DigitUnit> digits,
                               const PackedLines::Place &place, Value at, Values &sums) {
  const ByteDot &dot = dotOf(lines);
  for (size_t panel = 0; panel < lines.count(); ++panel) {
    Values opened;
    if (lines.isStored) {
      Value address = kernel.rowAddress(lines.lines[panel], at, panelColumns);
      opened = {kernel.load(kernel.vectorOf(kernel.i8, lineBytes), address, 64)};
    } else {
      Value address = kernel.offset(lines.panels[panel], place.lines);
      address = kernel.rowAddress(address, at, panelColumns * format.bits() / 8);
      packed.prefetchBundle(address);
      opened = packed.openBundle(address);
    }
    for (size_t line = 0; line < opened.size(); ++line) {
      Values prepared = dot.prepare(opened[line]);
      for (size_t digit = 0; digit < digits.size(); ++digit) {
        Value inputs =
            kernel.load(kernel.i32, kernel.offset(kernel.offset(digits[digit].codes, at),
                                                  static_cast<int64_t>(line) * lineInputs));
        Value &sum = sums[digit * lines.count() + panel];
        sum = dot.add(sum, prepared, inputs);
      }
    }
  }
}

// ---- sums

Values IntegerProduct::unitScales(const MatrixOperand &matrix, llvm::ArrayRef<Value> panels,
                                  Value unitNumber) {
  Values scales(panels.size());
  if (scalesUnits) {
    Value group = kernel.quotient(unitNumber, contraction / format.groups / unit);
    for (size_t i = 0; i < panels.size(); ++i)
      scales[i] = columnScales(kernel, matrix, panels[i], group);
  }
  return scales;
}

Value IntegerProduct::addUnit(Value unitSum, Value rowScale, Value columnScale, Value sliceSum) {
  Value factor = columnScale ? kernel.mul(rowScale, columnScale) : rowScale;
  return kernel.multiplyAdd(kernel.toFloat(unitSum), factor, sliceSum);
}

// Slices lie inside row groups, or their units are scaled already.
Value IntegerProduct::sliceScale(const MatrixOperand &matrix, Value panel, Value slice) {
  return columnScales(kernel, matrix, panel, kernel.quotient(slice, slices / format.groups));
}

// ---- one row

void IntegerProduct::emitRow(const MatrixOperand &matrix, const Walk &walk, Value row,
                             Value result) {
  const int64_t stride = walkPanels * vectorBytes;
  Lines lines{/*isStored=*/false, {}, walk.weights};
  storeSlicesOfRow(sums, [&](Value number, ValueRange sliceSums) {
    RowUnit inputs = rowUnit(row, number);
    Values unitSums = multiplyUnit(lines, inputs, number);
    Values scales = unitScales(matrix, walk.absolute, number);
    Value rowScale = kernel.broadcast(inputs.scale);
    for (int64_t i = 0; i < walkPanels; ++i)
      unitSums[i] = addUnit(unitSums[i], rowScale, scales[i], sliceSums[i]);
    return unitSums;
  });
  for (int64_t panel = 0; panel < walkPanels; ++panel) {
    auto leaf = [&](int64_t slice) {
      Value sum =
          kernel.load(kernel.floats, kernel.offset(sums, slice * stride + panel * vectorBytes), 64);
      if (scalesUnits)
        return sum;
      return kernel.mul(sum, sliceScale(matrix, walk.absolute[panel], kernel.index(slice)));
    };
    kernel.store(sliceTree(leaf, 0, slices),
                 resultAddress(result, kernel.index(0), walk.relative[panel]), 64);
  }
}

} // namespace grok::compiler
