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

void IntegerProduct::emitTiles(const ChunkUnit &chunk) {
  gatherRows(chunk);
  if (storesLines())
    storeUnit(chunk);
  Value tiles = kernel.quotient(kernel.add(chunk.rows, TileProduct::rows - 1), TileProduct::rows);
  constexpr int64_t most = TileProduct::mostRowTiles;
  Value whole = kernel.mul(kernel.quotient(tiles, most), most);
  forPanelBlocks(chunk, TileProduct::mostPanels, [&](Value firstPanel, const Values &absolute) {
    TileBlock block{firstPanel, {}, unitScales(chunk.matrix, absolute, chunk.number)};
    for (size_t i = 0; i < absolute.size(); ++i) {
      Value opened = kernel.rowAddress(stored, kernel.add(firstPanel, i), unit * panelColumns);
      Value panel = kernel.rowAddress(chunk.matrix.weights, absolute[i], panelBytes);
      block.weights.push_back(
          storesLines() ? opened : kernel.rowAddress(panel, chunk.number, unit * panelColumns));
    }
    kernel.loop(kernel.index(0), whole, most,
                [&](Value tile) { emitTileBlock(chunk, block, tile, most); });
    kernel.when(kernel.less(whole, tiles), [&] { emitTileBlock(chunk, block, whole, 1); });
  });
}

void IntegerProduct::emitTileBlock(const ChunkUnit &chunk, const TileBlock &block, Value firstTile,
                                   int64_t rowTiles) {
  Value firstRow = kernel.mul(firstTile, TileProduct::rows);
  tileProduct->multiply({.inputs = kernel.rowAddress(codes, firstRow, unit),
                         .inputStride = unit,
                         .rowTiles = rowTiles,
                         .weights = block.weights,
                         .length = unit},
                        tileSums);
  const auto panels = static_cast<int64_t>(block.weights.size());
  Value corner = kernel.rowAddress(
      chunk.sliceSums, kernel.add(kernel.mul(firstRow, walkPanels), block.firstPanel), vectorBytes);
  Value scales = kernel.rowAddress(rowScales, firstRow, 4);
  auto addRows = [&](Value row) {
    for (int64_t i = 0; i < scaledRows; ++i) {
      Value scaleAt = kernel.offset(kernel.rowAddress(scales, row, 4), i * 4);
      Value rowScale = kernel.broadcast(kernel.load(kernel.f32, scaleAt));
      Value from = kernel.rowAddress(tileSums, row, panels * vectorBytes);
      Value to = kernel.rowAddress(corner, row, walkPanels * vectorBytes);
      for (int64_t j = 0; j < panels; ++j) {
        Value unitSum =
            kernel.load(kernel.words, kernel.offset(from, (i * panels + j) * vectorBytes), 64);
        Value at = kernel.offset(to, (i * walkPanels + j) * vectorBytes);
        Value before = kernel.load(kernel.floats, at, 64);
        kernel.store(addUnit(unitSum, rowScale, block.scales[j], before), at, 64);
      }
    }
  };
  kernel.loop(kernel.index(0), kernel.index(rowTiles * TileProduct::rows), scaledRows, addRows);
}

} // namespace grok::compiler
