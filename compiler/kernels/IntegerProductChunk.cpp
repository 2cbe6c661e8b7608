// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// IntegerProduct for chunks of rows: register blocks of rows and panels, over
// packed weights for few rows, over opened ones for many.
#include "compiler/kernels/IntegerProduct.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;
static constexpr int64_t lineInputs = 4;
static constexpr int64_t lineBytes = panelColumns * lineInputs;

// Up to so many blocks of few rows, opening weights in registers for each
// block costs less than storing them opened. Of codes and two digits that ends
// at half as many, of int8 it does not (measured on v4 and v4-amx).
static constexpr int64_t fewBlocks = 2;

// Whether many rows read opened weights. The pairs of int8 are made from
// packed lines as they are, which the first-level cache holds after one block.
bool IntegerProduct::storesLines() const {
  return format.hasMultipliers() || storedDot.kind() != ByteDot::Bytes::weights;
}

Value IntegerProduct::isMany(Value rows) {
  const int64_t share = format.hasMultipliers() ? record.digits : 1;
  return kernel.less(kernel.index(fewBlocks * kernel.tiles.fewRows.rows / share), rows);
}

void IntegerProduct::emitChunk(const MatrixOperand &matrix, const Walk &walk, Value rows,
                               RowInput input, Value result) {
  Value many = isMany(rows);
  if (usesTiles())
    kernel.when(many, [&] { tileProduct->configure(); });
  kernel.loop(kernel.index(0), kernel.index(slices), 1, [&](Value slice) {
    auto forUnits = [&](llvm::function_ref<void(const ChunkUnit &)> body) {
      kernel.loop(kernel.index(0), kernel.index(unitsPerSlice), 1, [&](Value unitOfSlice) {
        Value number = kernel.add(kernel.mul(slice, unitsPerSlice), unitOfSlice);
        Value isLater = kernel.broadcast(kernel.less(kernel.index(0), unitOfSlice));
        body({matrix, walk, rows, input, number, isLater});
      });
    };
    auto addUnits = [&](const ChunkUnit &chunk) {
      usesTiles() ? emitTiles(chunk) : emitManyRows(chunk);
    };
    kernel.when(
        many, [&] { forUnits(addUnits); },
        [&] { forUnits([&](const ChunkUnit &chunk) { emitFewRows(chunk); }); });
    mergeSlice(matrix, walk, rows, slice, result);
  });
  if (usesTiles())
    kernel.when(many, [&] { tileProduct->release(); });
}

// ---- slices

// The balanced tree as a binary counter: level n holds the sum of 2^n slices
// until its neighbour is ready. What `slice` completes is told by its ones.
void IntegerProduct::mergeSlice(const MatrixOperand &matrix, const Walk &walk, Value rows,
                                Value slice, Value result) {
  auto emitFrom = [&](int64_t level, auto &emitMore) -> void {
    if (level == levels)
      return mergeRows(matrix, walk, rows, slice, level, result);
    Value bit = kernel.bitAnd(slice, kernel.index(int64_t(1) << level));
    kernel.when(
        kernel.equal(bit, kernel.index(0)),
        [&] { mergeRows(matrix, walk, rows, slice, level, result); },
        [&] { emitMore(level + 1, emitMore); });
  };
  emitFrom(0, emitFrom);
}

void IntegerProduct::mergeRows(const MatrixOperand &matrix, const Walk &walk, Value rows,
                               Value slice, int64_t level, Value result) {
  const int64_t rowStride = walkPanels * vectorBytes;
  Values scales;
  for (int64_t panel = 0; panel < walkPanels && !scalesUnits; ++panel)
    scales.push_back(sliceScale(matrix, walk.absolute[panel], slice));
  kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
    for (int64_t panel = 0; panel < walkPanels; ++panel) {
      auto partOf = [&](Value base, int64_t number) {
        return kernel.offset(kernel.rowAddress(base, row, rowStride),
                             number * chunkRows * rowStride + panel * vectorBytes);
      };
      Value sum = kernel.load(kernel.floats, partOf(sums, 0), 64);
      if (!scalesUnits)
        sum = kernel.mul(sum, scales[panel]);
      for (int64_t lower = 0; lower < level; ++lower)
        sum = kernel.add(kernel.load(kernel.floats, partOf(pending, lower), 64), sum);
      kernel.store(sum,
                   level == levels ? resultAddress(result, row, walk.relative[panel])
                                   : partOf(pending, level),
                   64);
    }
  });
}

// Rows that fill up the last block repeat the last real row.
Value IntegerProduct::filledRows(Value rows) {
  int64_t block = std::max(fewRows.rows, manyRows.rows);
  if (usesTiles())
    block = std::max(block, TileProduct::rows);
  return kernel.minimum(kernel.add(rows, block - 1), kernel.index(chunkRows));
}

// Slices start from 0, whatever the scratch holds.
Value IntegerProduct::sumBefore(const ChunkUnit &chunk, Value address) {
  return kernel.select(chunk.isLater, kernel.load(kernel.floats, address, 64), kernel.splat(0.0f));
}

// ---- blocks

void IntegerProduct::forPanelBlocks(const ChunkUnit &chunk, int64_t count,
                                    llvm::function_ref<void(Value, const Values &)> body) {
  count = std::min(count, walkPanels);
  while (walkPanels % count != 0)
    --count;
  auto emitBlock = [&](Value first) {
    Values absolute;
    for (int64_t i = 0; i < count; ++i) {
      Value panel = kernel.add(chunk.walk.absolute[0], kernel.add(first, i));
      absolute.push_back(mayClamp ? kernel.minimum(panel, chunk.walk.absolute.back()) : panel);
    }
    body(first, absolute);
  };
  if (count == walkPanels)
    emitBlock(kernel.index(0));
  else
    kernel.loop(kernel.index(0), kernel.index(walkPanels), count, emitBlock);
}

// Adds a unit to the slice sums of neighbouring rows and panels.
void IntegerProduct::addBlock(const ChunkUnit &chunk, const Lines &lines,
                              llvm::ArrayRef<RowUnit> rows, Value firstRow, Value firstPanel,
                              ValueRange scales) {
  Values unitSums = multiplyUnit(lines, rows, chunk.number);
  Value corner = kernel.rowAddress(sums, kernel.add(kernel.mul(firstRow, walkPanels), firstPanel),
                                   vectorBytes);
  for (size_t row = 0; row < rows.size(); ++row) {
    Value rowScale = kernel.broadcast(rows[row].scale);
    for (size_t panel = 0; panel < lines.count(); ++panel) {
      Value at = kernel.offset(corner, (row * walkPanels + panel) * vectorBytes);
      Value before = sumBefore(chunk, at);
      Value unitSum = unitSums[row * lines.count() + panel];
      kernel.store(addUnit(unitSum, rowScale, scales[panel], before), at, 64);
    }
  }
}

// ---- few rows

// Blocks of one, two or all rows of a full block: an expert of a small batch
// has any of these.
void IntegerProduct::emitFewRows(const ChunkUnit &chunk) {
  const int64_t whole = fewRows.rows;
  kernel.loop(kernel.index(0), chunk.rows, whole, [&](Value first) {
    Value left = kernel.sub(chunk.rows, first);
    auto emitFrom = [&](int64_t count, auto &emitMore) -> void {
      if (count >= whole)
        return emitFewRowBlock(chunk, first, whole);
      kernel.when(
          kernel.equal(left, kernel.index(count)), [&] { emitFewRowBlock(chunk, first, count); },
          [&] { emitMore(2 * count, emitMore); });
    };
    emitFrom(1, emitFrom);
  });
}

void IntegerProduct::emitFewRowBlock(const ChunkUnit &chunk, Value first, int64_t count) {
  llvm::SmallVector<RowUnit, 8> rows;
  for (int64_t i = 0; i < count; ++i) {
    Value row = kernel.minimum(kernel.add(first, i), kernel.add(chunk.rows, -1));
    rows.push_back(rowUnit(chunk.input(row), chunk.number));
  }
  const int64_t panels = std::min(kernel.tiles.gemvPanels, fewRows.panels * fewRows.rows / count);
  forPanelBlocks(chunk, panels, [&](Value firstPanel, const Values &absolute) {
    Lines lines{/*isStored=*/false, {}, {}};
    for (Value panel : absolute)
      lines.panels.push_back(kernel.rowAddress(chunk.matrix.weights, panel, panelBytes));
    addBlock(chunk, lines, rows, first, firstPanel,
             unitScales(chunk.matrix, absolute, chunk.number));
  });
}

// ---- many rows

void IntegerProduct::emitManyRows(const ChunkUnit &chunk) {
  gatherRows(chunk, kernel.index(0));
  if (storesLines())
    storeUnit(chunk);
  forPanelBlocks(chunk, manyRows.panels, [&](Value firstPanel, const Values &absolute) {
    Lines lines{storesLines(), {}, {}};
    for (size_t i = 0; i < absolute.size(); ++i) {
      Value panel = kernel.add(firstPanel, i);
      lines.lines.push_back(kernel.rowAddress(stored, panel, unit * panelColumns));
      lines.panels.push_back(kernel.rowAddress(chunk.matrix.weights, absolute[i], panelBytes));
    }
    Values scales = unitScales(chunk.matrix, absolute, chunk.number);
    kernel.loop(kernel.index(0), chunk.rows, manyRows.rows, [&](Value first) {
      llvm::SmallVector<RowUnit, 8> rows;
      for (int64_t i = 0; i < manyRows.rows; ++i)
        rows.push_back(gatheredRow(kernel.add(first, i)));
      addBlock(chunk, lines, rows, first, firstPanel, scales);
    });
  });
}

// Rows from `first` on, and those that fill up their block.
void IntegerProduct::gatherRows(const ChunkUnit &chunk, Value first) {
  const int64_t length = std::min(unit, lineBytes);
  Type part = kernel.vectorOf(kernel.i8, length);
  kernel.loop(first, filledRows(chunk.rows), 1, [&](Value row) {
    Value real = kernel.minimum(row, kernel.add(chunk.rows, -1));
    Value from = chunk.input(real);
    Value source = kernel.rowAddress(from, chunk.number, unit);
    Value target = gatheredCodes(row);
    for (int64_t digit = 0; digit < record.digits; ++digit)
      for (int64_t at = 0; at < unit; at += length)
        kernel.store(kernel.load(part, kernel.offset(source, digit * record.digitBytes + at)),
                     kernel.offset(target, digit * unit + at));
    Value scale = kernel.offset(kernel.rowAddress(from, chunk.number, 4), record.scalesOffset);
    kernel.store(kernel.load(kernel.f32, scale), kernel.rowAddress(rowScales, row, 4));
    const int64_t words = unit / record.sumRows / std::max<int64_t>(startCount, 1);
    Value sumWords = kernel.offset(kernel.rowAddress(from, chunk.number, unit / record.sumRows * 4),
                                   record.sumsOffset);
    Value startWords = kernel.rowAddress(starts, row, record.digits * startCount * 4);
    for (int64_t i = 0; i < record.digits * startCount; ++i) {
      const int64_t digit = i / startCount, from = digit * record.digitSumBytes;
      kernel.store(
          storedDot.startWord(kernel.offset(sumWords, from + i % startCount * words * 4), words),
          kernel.offset(startWords, i * 4));
    }
  });
}

Value IntegerProduct::gatheredCodes(Value row) {
  return kernel.rowAddress(codes, row, record.digits * unit);
}

IntegerProduct::RowUnit IntegerProduct::gatheredRow(Value row) {
  RowUnit result;
  result.scale = kernel.load(kernel.f32, kernel.rowAddress(rowScales, row, 4));
  Value startWords = kernel.rowAddress(starts, row, record.digits * startCount * 4);
  for (int64_t digit = 0; digit < record.digits; ++digit) {
    DigitUnit &unitDigit = result.digits.emplace_back();
    unitDigit.codes = kernel.offset(gatheredCodes(row), digit * unit);
    for (int64_t i = 0; i < startCount; ++i)
      unitDigit.startWords.push_back(
          kernel.load(kernel.i32, kernel.offset(startWords, (digit * startCount + i) * 4)));
  }
  return result;
}

// ---- opened weights

void IntegerProduct::storeUnit(const ChunkUnit &chunk) {
  forPanelBlocks(chunk, 1, [&](Value firstPanel, const Values &absolute) {
    Value panel = kernel.rowAddress(chunk.matrix.weights, absolute[0], panelBytes);
    Value to = kernel.rowAddress(stored, firstPanel, unit * panelColumns);
    kernel.loop(kernel.index(0), kernel.index(runsPerUnit), 1, [&](Value run) {
      Value number = kernel.add(kernel.mul(chunk.number, runsPerUnit), run);
      storeRun(panel, kernel.rowAddress(to, run, packed.runInputs() * panelColumns),
               packed.placeOf(number));
    });
  });
}

void IntegerProduct::storeRun(Value panel, Value to, const PackedLines::Place &place) {
  Value multipliers;
  if (format.hasMultipliers())
    multipliers = kernel.offset(panel, place.multipliers);
  LineOpener opener(kernel, format, storedDot.kind(), multipliers);
  Value from = kernel.offset(panel, place.lines);
  const int64_t bundle = packed.bundleInputs();
  kernel.loop(kernel.index(0), kernel.index(packed.runInputs()), bundle, [&](Value at) {
    Value address = kernel.rowAddress(from, at, panelColumns * format.bits() / 8);
    packed.prefetchBundle(address);
    Values lines = packed.openBundle(address);
    for (size_t i = 0; i < lines.size(); ++i)
      kernel.store(opener.open(lines[i]),
                   kernel.offset(kernel.rowAddress(to, at, panelColumns), i * lineBytes), 64);
  });
}

} // namespace grok::compiler
