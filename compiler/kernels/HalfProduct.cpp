// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/HalfProduct.h"

#include "compiler/kernels/VectorMath.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;
static constexpr int64_t lineBytes = 64;

// Panels that share the rounded rows in the first-level cache; of few rows,
// the streams in flight.
static constexpr int64_t tileWalkPanels = TileProduct::mostSums;

// Rounded rows that a worker keeps: beyond this a chunk is cut.
static constexpr int64_t roundedBytes = int64_t(8) << 20;
static constexpr int64_t leastChunkRows = TileProduct::mostRowTiles * TileProduct::rows;

// Rows whose sums of all slices stay in the second-level cache.
static constexpr int64_t summedRows = 128;

static int64_t chunkRowsOf(const KernelSpec &spec) {
  if (spec.maxRows == 1)
    return 1;
  const int64_t fitting = roundedBytes / (contractionOf(spec) * 2);
  const int64_t rows = std::min(spec.maxRows, std::max(fitting, leastChunkRows));
  return (rows + leastChunkRows - 1) / leastChunkRows * leastChunkRows;
}

bool HalfProduct::fits(const KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  return kernel.tiles.hasTiles && spec.numerics == Numerics::fast &&
         spec.weight.element == WeightFormat::Element::bf16 &&
         contractionOf(spec) / spec.weight.slices % TileProduct::halfInputs == 0;
}

HalfProduct::HalfProduct(KernelBuilder &kernel, int64_t width, bool isRagged)
    : MatrixProduct(kernel, width, isRagged, {tileWalkPanels, chunkRowsOf(kernel.spec)}),
      tiles(kernel, TileProduct::Elements::halves, isGemv ? 1 : TileProduct::rows),
      tileRows(isGemv ? 1 : TileProduct::rows),
      stepsPerSlice(contraction / slices / TileProduct::halfInputs),
      rowTileBytes(contraction * 2 * tileRows), roundedKey(kernel.scratch(sizeof(int64_t))),
      rounded(kernel.scratch(chunkRows / tileRows * rowTileBytes)),
      sums(kernel.scratch(slices * std::min(summedRows, chunkRows) * walkPanels * vectorBytes)) {
  kernel.store(kernel.index(-1), roundedKey);
}

// ---- inputs

// Rows that fill up the last tile repeat the last real row.
void HalfProduct::prepare(Value rows, RowInput input, Value key) {
  Value isOld = kernel.equal(kernel.load(kernel.i64, roundedKey), key);
  kernel.when(kernel.equal(isOld, kernel.bit(false)), [&] {
    kernel.store(key, roundedKey);
    Value rowTiles = kernel.quotient(kernel.add(rows, tileRows - 1), tileRows);
    kernel.loop(kernel.index(0), kernel.mul(rowTiles, tileRows), 1, [&](Value row) {
      Value tile = kernel.rowAddress(rounded, kernel.quotient(row, tileRows), rowTileBytes);
      Value rowOfTile = isGemv ? kernel.index(0) : kernel.remainder(row, tileRows);
      roundRow(input(kernel.minimum(row, kernel.add(rows, -1))),
               kernel.rowAddress(tile, rowOfTile, lineBytes));
    });
  });
}

// Rounds a whole row, which denormals leave as zeros of either kind: tiles take
// them for zeros.
void HalfProduct::roundRow(Value from, Value to) {
  constexpr int64_t stepInputs = TileProduct::halfInputs;
  kernel.loop(kernel.index(0), kernel.index(contraction / stepInputs), 1, [&](Value step) {
    Value source = kernel.rowAddress(from, step, stepInputs * 4);
    Value low = kernel.load(kernel.floats, source);
    Value high = kernel.load(kernel.floats, kernel.offset(source, vectorBytes));
    kernel.store(halves(low, high), kernel.rowAddress(to, step, tileRows * lineBytes), 64);
  });
}

Value HalfProduct::halves(Value low, Value high) {
  if (!kernel.tiles.expandsProducts) {
    Type bf16 = mlir::BFloat16Type::get(kernel.f32.getContext());
    return kernel.intrinsic("x86.avx512bf16.cvtne2ps2bf16.512",
                            kernel.vectorOf(bf16, TileProduct::halfInputs), {high, low});
  }
  Values parts;
  for (Value part : {low, high}) {
    Value bits = kernel.bitsOf(roundToBf16(kernel, part));
    parts.push_back(kernel.narrow(kernel.shiftRight(bits, 16), kernel.i16));
  }
  return kernel.joined(parts);
}

// ---- products

void HalfProduct::emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows,
                       RowInput input, Value result) {
  tiles.configure();
  forWalks(matrix, firstPanel, panels, [&](const Walk &walk) {
    if (isGemv)
      return emitRows(walk, kernel.index(0), kernel.index(1), result);
    kernel.loop(kernel.index(0), rows, summedRows, [&](Value first) {
      Value count = kernel.minimum(kernel.sub(rows, first), kernel.index(summedRows));
      emitRows(walk, first, count, result);
    });
  });
  tiles.release();
}

// Slices are the outer loop: their weights are read once and stay in the caches
// for all row tiles.
void HalfProduct::emitRows(const Walk &walk, Value firstRow, Value rows, Value result) {
  constexpr int64_t most = TileProduct::mostRowTiles;
  const int64_t rowStride = walkPanels * vectorBytes;
  const int64_t sliceStride = std::min(summedRows, chunkRows) * rowStride;
  Value rowTiles = kernel.quotient(kernel.add(rows, tileRows - 1), tileRows);
  Value even = kernel.mul(kernel.quotient(rowTiles, most), most);
  kernel.loop(kernel.index(0), kernel.index(slices), 1, [&](Value slice) {
    if (isGemv)
      return emitTiles(walk, slice, firstRow, kernel.index(0), 1);
    kernel.loop(kernel.index(0), even, most,
                [&](Value tile) { emitTiles(walk, slice, firstRow, tile, most); });
    kernel.when(kernel.less(even, rowTiles), [&] { emitTiles(walk, slice, firstRow, even, 1); });
  });
  kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
    Value rowSums = kernel.rowAddress(sums, row, rowStride);
    for (int64_t i = 0; i < walkPanels; ++i)
      kernel.store(sumOfSlices(kernel.offset(rowSums, i * vectorBytes), sliceStride),
                   resultAddress(result, kernel.add(firstRow, row), walk.relative[i]), 64);
  });
}

// Row tiles [rowTile, rowTile + rowTiles) from `firstRow` on, by all panels of
// the walk. A single row tile takes four panels at once, straight from memory.
void HalfProduct::emitTiles(const Walk &walk, Value slice, Value firstRow, Value rowTile,
                            int64_t rowTiles) {
  const int64_t rowStride = walkPanels * vectorBytes;
  const int64_t sliceStride = std::min(summedRows, chunkRows) * rowStride;
  const int64_t together = TileProduct::mostSums / rowTiles, stepBytes = tileRows * lineBytes;
  Value tile = kernel.add(kernel.quotient(firstRow, tileRows), rowTile);
  Value inputs = kernel.rowAddress(kernel.rowAddress(rounded, tile, rowTileBytes), slice,
                                   stepsPerSlice * stepBytes);
  Value target = kernel.rowAddress(kernel.rowAddress(sums, slice, sliceStride),
                                   kernel.mul(rowTile, tileRows), rowStride);
  for (int64_t first = 0; first < walkPanels; first += together) {
    Values weights;
    for (int64_t i = first; i < std::min(walkPanels, first + together); ++i)
      weights.push_back(
          kernel.rowAddress(walk.weights[i], slice, stepsPerSlice * TileProduct::tileBytes));
    tiles.multiply({.inputs = inputs,
                    .inputStride = lineBytes,
                    .rowTileBytes = rowTileBytes,
                    .stepBytes = stepBytes,
                    .rowTiles = rowTiles,
                    .weights = weights,
                    .steps = stepsPerSlice,
                    .prefetchBytes = rowTiles == 1 ? kernel.tiles.prefetchBytes : 0},
                   kernel.offset(target, first * vectorBytes), rowStride);
  }
}

} // namespace grok::compiler
