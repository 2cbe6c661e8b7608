// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// IntegerProduct for many rows with AMX: tiles make the integer sums of a
// unit, vectors scale them and add them to their slices.
#include "compiler/kernels/InputCodes.h"
#include "compiler/kernels/IntegerProduct.h"

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

// Rows whose sums are scaled in one iteration.
static constexpr int64_t scaledRows = 4;

bool IntegerProduct::usesTiles() const {
  return kernel.tiles.hasTiles && unit % TileProduct::inputs == 0;
}

// Neighbouring rows are multiplied where they stand, as far as they fill whole
// tiles; the last ones are gathered. All others were gathered by prepare(). A
// tile's two digits are multiplied as two tiles of rows are.
void IntegerProduct::emitTiles(const ChunkUnit &chunk) {
  constexpr int64_t tileRows = TileProduct::rows;
  Value whole = kernel.mul(kernel.quotient(chunk.rows, tileRows), tileRows);
  if (areNeighbours)
    kernel.when(kernel.less(whole, chunk.rows), [&] { gatherRows(chunk, whole); });
  if (storesLines())
    storeUnit(chunk);
  else
    prefetchUnit(chunk);
  const int64_t most = TileProduct::mostRowTiles / record.digits;
  TileInputs inputs = areNeighbours ? inputsInPlace(chunk) : gatheredInputs(chunk);
  Value tiles =
      kernel.quotient(areNeighbours ? chunk.rows : kernel.add(chunk.rows, tileRows - 1), tileRows);
  Value even = kernel.mul(kernel.quotient(tiles, most), most);
  kernel.loop(kernel.index(0), even, most,
              [&](Value tile) { emitTileRows(chunk, inputs, tile, most); });
  if (most > 1)
    kernel.when(kernel.less(even, tiles), [&] { emitTileRows(chunk, inputs, even, 1); });
  if (areNeighbours)
    kernel.when(kernel.less(whole, chunk.rows),
                [&] { emitTileRows(chunk, gatheredInputs(chunk), tiles, 1); });
}

// Panels are the inner loop: the unit's weights stay in the first-level cache,
// of which inputs and sums of many rows would need more than there is.
void IntegerProduct::emitTileRows(const ChunkUnit &chunk, const TileInputs &inputs, Value firstTile,
                                  int64_t rowTiles) {
  forPanelBlocks(chunk, TileProduct::mostPanels, [&](Value firstPanel, const Values &absolute) {
    TileBlock block{firstPanel, {}, unitScales(chunk.matrix, absolute, chunk.number)};
    for (size_t i = 0; i < absolute.size(); ++i)
      block.weights.push_back(
          storesLines()
              ? kernel.rowAddress(stored, kernel.add(firstPanel, i), unit * panelColumns)
              : kernel.rowAddress(kernel.rowAddress(chunk.matrix.weights, absolute[i], panelBytes),
                                  chunk.number, unit * panelColumns));
    emitTileBlock(chunk, block, inputs, firstTile, rowTiles);
  });
}

IntegerProduct::TileInputs IntegerProduct::gatheredInputs(const ChunkUnit &chunk) {
  Value number = gathersAll() ? chunk.number : kernel.index(0);
  const int64_t codeStride = record.digits * unit;
  return {kernel.rowAddress(codes, number, chunkRows * codeStride),
          kernel.rowAddress(rowScales, number, chunkRows * 4), codeStride, unit, 4};
}

// Tiles want rows at one distance: scattered rows are copied, once for all
// matrices and tiles of columns that meet the same chunk.
void IntegerProduct::prepare(Value rows, RowInput input, Value key) {
  if (isGemv || !gathersAll())
    return;
  auto gather = [&] {
    kernel.store(key, gatheredKey);
    kernel.loop(kernel.index(0), filledRows(rows), 1, [&](Value row) {
      Value from = input(kernel.minimum(row, kernel.add(rows, -1)));
      Value scales = kernel.offset(from, record.scalesOffset);
      kernel.loop(kernel.index(0), kernel.index(contraction / unit), 1, [&](Value number) {
        Value place = kernel.add(kernel.mul(number, chunkRows), row), to = gatheredCodes(place);
        Value source = kernel.rowAddress(from, number, unit);
        for (int64_t digit = 0; digit < record.digits; ++digit)
          for (int64_t at = 0; at < unit; at += TileProduct::inputs)
            kernel.store(kernel.load(kernel.vectorOf(kernel.i8, TileProduct::inputs),
                                     kernel.offset(source, digit * record.digitBytes + at), 64),
                         kernel.offset(to, digit * unit + at), 64);
        kernel.store(kernel.load(kernel.f32, kernel.rowAddress(scales, number, 4)),
                     kernel.rowAddress(rowScales, place, 4));
      });
    });
  };
  kernel.when(isMany(rows), [&] {
    Value isNew = kernel.equal(kernel.load(kernel.i64, gatheredKey), key);
    kernel.when(kernel.equal(isNew, kernel.bit(false)), gather);
  });
}

IntegerProduct::TileInputs IntegerProduct::inputsInPlace(const ChunkUnit &chunk) {
  Value row = chunk.input(kernel.index(0));
  Value scales = kernel.offset(kernel.rowAddress(row, chunk.number, 4), record.scalesOffset);
  return {kernel.rowAddress(row, chunk.number, unit), scales, record.bytes, record.digitBytes,
          record.bytes};
}

// What the rows are too few to prefetch of the next unit's weights: see
// emitTileBlock.
void IntegerProduct::prefetchUnit(const ChunkUnit &chunk) {
  const int64_t unitBytes = unit * panelColumns, step = 4 * vectorBytes;
  Value done = kernel.mul(kernel.quotient(chunk.rows, 4 * scaledRows), step);
  for (Value panel : chunk.walk.weights) {
    Value weights = kernel.rowAddress(panel, chunk.number, unitBytes);
    kernel.loop(done, kernel.index(unitBytes), step, [&](Value at) {
      for (int64_t line = 0; line < 4; ++line)
        kernel.prefetch(kernel.offset(kernel.offset(weights, at), unitBytes + line * vectorBytes));
    });
  }
}

void IntegerProduct::emitTileBlock(const ChunkUnit &chunk, const TileBlock &block,
                                   const TileInputs &inputs, Value firstTile, int64_t rowTiles) {
  constexpr int64_t tileRows = TileProduct::rows;
  Value firstRow = kernel.mul(firstTile, tileRows);
  Value rowCodes = kernel.rowAddress(inputs.codes, firstRow, inputs.codeStride);
  const auto panels = static_cast<int64_t>(block.weights.size());
  tileProduct->multiply(
      {.inputs = rowCodes,
       .inputStride = inputs.codeStride,
       .rowTileBytes = record.digits == 1 ? tileRows * inputs.codeStride : inputs.digitStride,
       .stepBytes = TileProduct::inputs,
       .rowTiles = rowTiles * record.digits,
       .weights = block.weights,
       .steps = unit / TileProduct::inputs},
      tileSums, panels * vectorBytes);
  Value corner = kernel.rowAddress(
      sums, kernel.add(kernel.mul(firstRow, walkPanels), block.firstPanel), vectorBytes);
  Value scales = kernel.rowAddress(inputs.scales, firstRow, inputs.scaleStride);
  auto addRows = [&](Value row) {
    Value scale = kernel.rowAddress(scales, row, inputs.scaleStride);
    Value from = kernel.rowAddress(tileSums, row, panels * vectorBytes);
    Value to = kernel.rowAddress(corner, row, walkPanels * vectorBytes);
    // Spread over the rows, because only so many loads can be under way.
    Value ahead = kernel.mul(kernel.add(firstRow, row), vectorBytes / scaledRows);
    for (Value weights : block.weights)
      if (!storesLines())
        kernel.prefetch(kernel.offset(kernel.offset(weights, ahead), unit * panelColumns));
    for (int64_t i = 0; i < scaledRows; ++i) {
      Value rowScale =
          kernel.broadcast(kernel.load(kernel.f32, kernel.offset(scale, i * inputs.scaleStride)));
      for (int64_t j = 0; j < panels; ++j) {
        Values unitSums;
        for (int64_t digit = 0; digit < record.digits; ++digit)
          unitSums.push_back(kernel.load(
              kernel.words,
              kernel.offset(from, ((digit * tileRows + i) * panels + j) * vectorBytes), 64));
        Value at = kernel.offset(to, (i * walkPanels + j) * vectorBytes);
        kernel.store(
            addUnit(sumOfDigits(kernel, unitSums), rowScale, block.scales[j], sumBefore(chunk, at)),
            at, 64);
      }
    }
  };
  kernel.loop(kernel.index(0), kernel.index(rowTiles * tileRows), scaledRows, addRows);
}

} // namespace grok::compiler
