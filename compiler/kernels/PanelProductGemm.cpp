// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The GEMM form of PanelProduct: per piece of a unit, weights are opened to
// float32 once and inputs are gathered densely, then register blocks run over
// both.
#include "compiler/kernels/PanelProduct.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

// `block` with as many panels as divide a walk.
RegisterBlock PanelProduct::fitted(RegisterBlock block) const {
  block.panels = std::min(block.panels, walkPanels);
  while (walkPanels % block.panels != 0)
    --block.panels;
  return block;
}

// Rows that fill up the last register block repeat the last real row.
Value PanelProduct::filledRows(Value rows) {
  const int64_t fill = kernel.tiles.remainder.rows;
  return kernel.mul(kernel.quotient(kernel.add(rows, fill - 1), fill), fill);
}

void PanelProduct::clearRows(Value target, Value rows) {
  Value vectors = kernel.mul(filledRows(rows), walkPanels), none = kernel.splat(0.0f);
  kernel.loop(kernel.index(0), vectors, 1, [&](Value vector) {
    kernel.store(none, kernel.rowAddress(target, vector, vectorBytes), 64);
  });
}

void PanelProduct::emitChunk(const MatrixOperand &matrix, const Walk &walk, Value rows,
                             RowInput input, Value result) {
  const int64_t rowStride = walkPanels * vectorBytes, sliceStride = chunkRows * rowStride;
  Value zero = kernel.index(0);
  kernel.loop(zero, kernel.index(slices), 1, [&](Value slice) {
    Value sliceSums = kernel.rowAddress(sums, slice, sliceStride);
    clearRows(sliceSums, rows);
    kernel.loop(zero, kernel.index(unitsPerSlice), 1, [&](Value unitOfSlice) {
      Value k = kernel.mul(kernel.add(kernel.mul(slice, unitsPerSlice), unitOfSlice), unit);
      if (piece == unit)
        emitPiece(matrix, walk, rows, input, k, sliceSums);
      else
        emitPieces(matrix, walk, rows, input, k, sliceSums);
    });
  });
  kernel.loop(zero, rows, 1, [&](Value row) {
    Value rowSums = kernel.rowAddress(sums, row, rowStride);
    for (int64_t i = 0; i < walkPanels; ++i)
      kernel.store(sumOfSlices(kernel.offset(rowSums, i * vectorBytes), sliceStride),
                   resultAddress(result, row, walk.relative[i]), 64);
  });
}

// A unit too long for the first-level cache: its chains pause in `paused`
// between pieces, which changes no bit.
void PanelProduct::emitPieces(const MatrixOperand &matrix, const Walk &walk, Value rows,
                              RowInput input, Value k, Value sliceSums) {
  clearRows(paused, rows);
  kernel.loop(kernel.index(0), kernel.index(unit), piece, [&](Value start) {
    emitPiece(matrix, walk, rows, input, kernel.add(k, start), paused);
  });
  Values scales = scalesAt(matrix, walk, k, reader.scalesSums());
  kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
    for (int64_t i = 0; i < walkPanels; ++i) {
      auto at = [&](Value base) {
        return kernel.offset(kernel.rowAddress(base, row, walkPanels * vectorBytes),
                             i * vectorBytes);
      };
      Value chain = kernel.load(kernel.floats, at(paused), 64);
      Value before = kernel.load(kernel.floats, at(sliceSums), 64);
      kernel.store(addUnit(chain, scales[i], before), at(sliceSums), 64);
    }
  });
}

void PanelProduct::emitPiece(const MatrixOperand &matrix, const Walk &walk, Value rows,
                             RowInput input, Value k, Value target) {
  openPiece(matrix, walk, k);
  packInputs(rows, input, k);
  RegisterBlock block = fitted(kernel.tiles.block), rest = fitted(kernel.tiles.remainder);
  Value whole = kernel.mul(kernel.quotient(rows, block.rows), block.rows);
  emitBlocks(block, matrix, walk, kernel.index(0), whole, k, target);
  emitBlocks(rest, matrix, walk, whole, rows, k, target);
}

void PanelProduct::openPiece(const MatrixOperand &matrix, const Walk &walk, Value k) {
  Values scales = scalesAt(matrix, walk, k, reader.scalesWeights());
  for (int64_t panel = 0; panel < walkPanels; ++panel) {
    Value from = kernel.offset(walk.weights[panel], reader.offsetOf(k));
    Value to = kernel.offset(opened, panel * piece * vectorBytes);
    kernel.loop(kernel.index(0), kernel.index(piece), bundle, [&](Value inner) {
      Values weights = reader.readBundle(kernel.rowAddress(from, inner, inputBytes), scales[panel]);
      for (int64_t i = 0; i < bundle; ++i)
        kernel.store(weights[i],
                     kernel.offset(kernel.rowAddress(to, inner, vectorBytes), i * vectorBytes), 64);
    });
  }
}

void PanelProduct::packInputs(Value rows, RowInput input, Value k) {
  const int64_t length = std::min(piece, panelColumns);
  Type part = length == 1 ? kernel.f32 : Type(kernel.vectorOf(kernel.f32, length));
  kernel.loop(kernel.index(0), filledRows(rows), 1, [&](Value row) {
    Value real = kernel.minimum(row, kernel.add(rows, -1));
    Value from = kernel.rowAddress(input(real), k, 4),
          to = kernel.rowAddress(inputs, row, piece * 4);
    kernel.loop(kernel.index(0), kernel.index(piece), length, [&](Value inner) {
      kernel.store(kernel.load(part, kernel.rowAddress(from, inner, 4)),
                   kernel.rowAddress(to, inner, 4));
    });
  });
}

// All blocks of rows [firstRow, endRow). Rows are the inner loop: a few panels'
// opened weights stay in the first-level cache while the inputs stream by.
void PanelProduct::emitBlocks(RegisterBlock block, const MatrixOperand &matrix, const Walk &walk,
                              Value firstRow, Value endRow, Value k, Value target) {
  const bool isWholeUnit = piece == unit;
  auto emitPanels = [&](Value panel) {
    Values scales(block.panels);
    for (int64_t j = 0; j < block.panels && isWholeUnit && reader.scalesSums(); ++j) {
      Value absolute = kernel.add(walk.absolute[0], kernel.add(panel, j));
      if (mayClamp)
        absolute = kernel.minimum(absolute, walk.absolute.back());
      scales[j] = reader.scale(matrix, absolute, k);
    }
    kernel.loop(firstRow, endRow, block.rows, [&](Value row) {
      Value first = kernel.add(kernel.mul(row, walkPanels), panel);
      Value corner = kernel.rowAddress(target, first, vectorBytes);
      Values before(block.rows * block.panels), addresses;
      for (int64_t i = 0; i < block.rows; ++i)
        for (int64_t j = 0; j < block.panels; ++j)
          addresses.push_back(kernel.offset(corner, (i * walkPanels + j) * vectorBytes));
      auto loadBefore = [&] {
        for (size_t i = 0; i < addresses.size(); ++i)
          before[i] = kernel.load(kernel.floats, addresses[i], 64);
      };
      if (isWholeUnit) {
        Values chains(block.rows * block.panels, kernel.splat(0.0f));
        chains = multiplyBlock(block, row, panel, chains);
        loadBefore();
        for (size_t i = 0; i < addresses.size(); ++i)
          kernel.store(addUnit(chains[i], scales[i % block.panels], before[i]), addresses[i], 64);
        return;
      }
      loadBefore();
      Values chains = multiplyBlock(block, row, panel, before);
      for (size_t i = 0; i < addresses.size(); ++i)
        kernel.store(chains[i], addresses[i], 64);
    });
  };
  if (block.panels == walkPanels)
    emitPanels(kernel.index(0));
  else
    kernel.loop(kernel.index(0), kernel.index(walkPanels), block.panels, emitPanels);
}

// One chain per row and panel of the block: [row][panel].
Values PanelProduct::multiplyBlock(RegisterBlock block, Value row, Value panel, ValueRange chains) {
  const int64_t step = std::min<int64_t>(piece, 4);
  Value weights = kernel.rowAddress(opened, panel, piece * vectorBytes);
  Value x = kernel.rowAddress(inputs, row, piece * 4);
  auto body = [&](Value inner, ValueRange carried) {
    Values chains(carried);
    for (int64_t k = 0; k < step; ++k) {
      Value line = kernel.offset(kernel.rowAddress(weights, inner, vectorBytes), k * vectorBytes);
      Values columns;
      for (int64_t j = 0; j < block.panels; ++j)
        columns.push_back(
            kernel.load(kernel.floats, kernel.offset(line, j * piece * vectorBytes), 64));
      Value input = kernel.offset(kernel.rowAddress(x, inner, 4), k * 4);
      for (int64_t i = 0; i < block.rows; ++i) {
        Value scalar = kernel.load(kernel.f32, kernel.offset(input, i * piece * 4));
        Value repeated = kernel.broadcast(scalar);
        for (int64_t j = 0; j < block.panels; ++j) {
          Value &chain = chains[i * block.panels + j];
          chain = kernel.multiplyAdd(columns[j], repeated, chain);
        }
      }
    }
    return chains;
  };
  return kernel.loop(kernel.index(0), kernel.index(piece), step, chains, body);
}

} // namespace grok::compiler
