// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// IntegerProduct for many rows with AMX: tiles make the integer sums of a
// unit, vectors scale them and add them to their slices.
#include "compiler/kernels/IntegerProduct.h"

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

// Rows whose sums are scaled in one iteration.
static constexpr int64_t scaledRows = 4;

bool IntegerProduct::usesTiles() const {
  return kernel.tiles.hasTiles && unit % TileProduct::inputs == 0;
}

// Neighbouring rows are multiplied where they stand, as far as they fill whole
// tiles; all others are gathered.
void IntegerProduct::emitTiles(const ChunkUnit &chunk) {
  constexpr int64_t tileRows = TileProduct::rows;
  Value whole = kernel.mul(kernel.quotient(chunk.rows, tileRows), tileRows);
  if (areNeighbours)
    kernel.when(kernel.less(whole, chunk.rows), [&] { gatherRows(chunk, whole); });
  else
    gatherRows(chunk, kernel.index(0));
  if (storesLines())
    storeUnit(chunk);
  forPanelBlocks(chunk, TileProduct::mostPanels, [&](Value firstPanel, const Values &absolute) {
    TileBlock block{firstPanel, {}, unitScales(chunk.matrix, absolute, chunk.number)};
    for (size_t i = 0; i < absolute.size(); ++i) {
      Value opened = kernel.rowAddress(stored, kernel.add(firstPanel, i), unit * panelColumns);
      Value panel = kernel.rowAddress(chunk.matrix.weights, absolute[i], panelBytes);
      Value packedUnit = kernel.rowAddress(panel, chunk.number, unit * panelColumns);
      block.weights.push_back(storesLines() ? opened : packedUnit);
      if (!storesLines())
        prefetchUnit(packedUnit);
    }
    emitTileRows(chunk, block);
  });
}

void IntegerProduct::emitTileRows(const ChunkUnit &chunk, const TileBlock &block) {
  constexpr int64_t most = TileProduct::mostRowTiles, tileRows = TileProduct::rows;
  TileInputs inputs = areNeighbours ? inputsInPlace(chunk) : gatheredInputs();
  Value tiles =
      kernel.quotient(areNeighbours ? chunk.rows : kernel.add(chunk.rows, tileRows - 1), tileRows);
  Value whole = kernel.mul(kernel.quotient(tiles, most), most);
  kernel.loop(kernel.index(0), whole, most,
              [&](Value tile) { emitTileBlock(chunk, block, inputs, tile, most); });
  kernel.when(kernel.less(whole, tiles), [&] { emitTileBlock(chunk, block, inputs, whole, 1); });
  if (areNeighbours)
    kernel.when(kernel.less(kernel.mul(tiles, tileRows), chunk.rows),
                [&] { emitTileBlock(chunk, block, gatheredInputs(), tiles, 1); });
}

IntegerProduct::TileInputs IntegerProduct::gatheredInputs() const {
  return {codes, rowScales, unit, 4};
}

IntegerProduct::TileInputs IntegerProduct::inputsInPlace(const ChunkUnit &chunk) {
  Value row = chunk.input(kernel.index(0));
  Value scales = kernel.offset(kernel.rowAddress(row, chunk.number, 4), record.scalesOffset);
  return {kernel.rowAddress(row, chunk.number, unit), scales, record.bytes, record.bytes};
}

// The unit after the one at `weights`: tiles are loaded as a whole, too late to
// ask for the next.
void IntegerProduct::prefetchUnit(Value weights) {
  const int64_t unitBytes = unit * panelColumns;
  kernel.loop(kernel.index(0), kernel.index(unitBytes), 4 * vectorBytes, [&](Value at) {
    for (int64_t line = 0; line < 4; ++line)
      kernel.prefetch(kernel.offset(kernel.offset(weights, at), unitBytes + line * vectorBytes));
  });
}

void IntegerProduct::emitTileBlock(const ChunkUnit &chunk, const TileBlock &block,
                                   const TileInputs &inputs, Value firstTile, int64_t rowTiles) {
  Value firstRow = kernel.mul(firstTile, TileProduct::rows);
  tileProduct->multiply({.inputs = kernel.rowAddress(inputs.codes, firstRow, inputs.codeStride),
                         .inputStride = inputs.codeStride,
                         .rowTiles = rowTiles,
                         .weights = block.weights,
                         .length = unit},
                        tileSums);
  const auto panels = static_cast<int64_t>(block.weights.size());
  Value corner = kernel.rowAddress(
      chunk.sliceSums, kernel.add(kernel.mul(firstRow, walkPanels), block.firstPanel), vectorBytes);
  Value scales = kernel.rowAddress(inputs.scales, firstRow, inputs.scaleStride);
  auto addRows = [&](Value row) {
    Value scale = kernel.rowAddress(scales, row, inputs.scaleStride);
    Value from = kernel.rowAddress(tileSums, row, panels * vectorBytes);
    Value to = kernel.rowAddress(corner, row, walkPanels * vectorBytes);
    for (int64_t i = 0; i < scaledRows; ++i) {
      Value rowScale =
          kernel.broadcast(kernel.load(kernel.f32, kernel.offset(scale, i * inputs.scaleStride)));
      for (int64_t j = 0; j < panels; ++j) {
        Value unitSum =
            kernel.load(kernel.words, kernel.offset(from, (i * panels + j) * vectorBytes), 64);
        Value at = kernel.offset(to, (i * walkPanels + j) * vectorBytes);
        kernel.store(addUnit(unitSum, rowScale, block.scales[j], sumBefore(chunk, at)), at, 64);
      }
    }
  };
  kernel.loop(kernel.index(0), kernel.index(rowTiles * TileProduct::rows), scaledRows, addRows);
}

} // namespace grok::compiler
