// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The GEMM form of PanelProduct: per unit of the contraction, weights are opened
// to float32 once and inputs are gathered densely, then register blocks run
// over both.
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

void PanelProduct::emitChunk(const MatrixOperand &matrix, const Walk &walk, Value rows,
                             RowInput input, Value result) {
  const int64_t rowStride = walkPanels * vectorBytes, sliceStride = chunkRows * rowStride;
  Value zero = kernel.index(0), none = kernel.splat(0.0f);
  kernel.loop(zero, kernel.index(slices), 1, [&](Value slice) {
    Value sliceSums = kernel.rowAddress(sums, slice, sliceStride);
    kernel.loop(zero, kernel.mul(filledRows(rows), walkPanels), 1, [&](Value vector) {
      kernel.store(none, kernel.rowAddress(sliceSums, vector, vectorBytes), 64);
    });
    kernel.loop(zero, kernel.index(unitsPerSlice), 1, [&](Value unitOfSlice) {
      Value k = kernel.mul(kernel.add(kernel.mul(slice, unitsPerSlice), unitOfSlice), unit);
      openUnit(matrix, walk, k);
      packInputs(rows, input, k);
      emitBlocks(matrix, walk, rows, k, sliceSums);
    });
  });
  kernel.loop(zero, rows, 1, [&](Value row) {
    Value rowSums = kernel.rowAddress(sums, row, rowStride);
    for (int64_t i = 0; i < walkPanels; ++i)
      kernel.store(sliceTree(kernel.offset(rowSums, i * vectorBytes), sliceStride, 0, slices),
                   resultAddress(result, row, walk.relative[i]), 64);
  });
}

void PanelProduct::openUnit(const MatrixOperand &matrix, const Walk &walk, Value k) {
  Values scales = scalesAt(matrix, walk, k, reader.scalesWeights());
  for (int64_t panel = 0; panel < walkPanels; ++panel) {
    Value from = kernel.rowAddress(walk.weights[panel], k, panelColumns * elementBytes);
    Value to = kernel.offset(opened, panel * unit * vectorBytes);
    kernel.loop(kernel.index(0), kernel.index(unit), kPack, [&](Value inner) {
      Value line = kernel.rowAddress(from, inner, panelColumns * elementBytes);
      Values weights = reader.readLine(line, scales[panel]);
      for (int64_t i = 0; i < kPack; ++i)
        kernel.store(weights[i],
                     kernel.offset(kernel.rowAddress(to, inner, vectorBytes), i * vectorBytes), 64);
    });
  }
}

void PanelProduct::packInputs(Value rows, RowInput input, Value k) {
  const int64_t length = std::min(unit, panelColumns);
  Type piece = length == 1 ? kernel.f32 : Type(kernel.vectorOf(kernel.f32, length));
  kernel.loop(kernel.index(0), filledRows(rows), 1, [&](Value row) {
    Value real = kernel.minimum(row, kernel.add(rows, -1));
    Value from = kernel.rowAddress(input(real), k, 4),
          to = kernel.rowAddress(inputs, row, unit * 4);
    kernel.loop(kernel.index(0), kernel.index(unit), length, [&](Value inner) {
      kernel.store(kernel.load(piece, kernel.rowAddress(from, inner, 4)),
                   kernel.rowAddress(to, inner, 4));
    });
  });
}

void PanelProduct::emitBlocks(const MatrixOperand &matrix, const Walk &walk, Value rows, Value k,
                              Value sliceSums) {
  RegisterBlock block = fitted(kernel.tiles.block), rest = fitted(kernel.tiles.remainder);
  Value whole = kernel.mul(kernel.quotient(rows, block.rows), block.rows);
  emitBlockRows(block, matrix, walk, kernel.index(0), whole, k, sliceSums);
  emitBlockRows(rest, matrix, walk, whole, rows, k, sliceSums);
}

// All blocks of rows [firstRow, endRow). Rows are the inner loop: a few panels'
// opened weights stay in the first-level cache while the inputs stream by.
void PanelProduct::emitBlockRows(RegisterBlock block, const MatrixOperand &matrix, const Walk &walk,
                                 Value firstRow, Value endRow, Value k, Value sliceSums) {
  auto emitPanels = [&](Value panel) {
    Values scales(block.panels);
    for (int64_t j = 0; j < block.panels && reader.scalesSums(); ++j) {
      Value absolute = kernel.add(walk.absolute[0], kernel.add(panel, j));
      if (mayClamp)
        absolute = kernel.minimum(absolute, walk.absolute.back());
      scales[j] = reader.scale(matrix, absolute, k);
    }
    kernel.loop(firstRow, endRow, block.rows, [&](Value row) {
      Values chains = multiplyBlock(block, row, panel);
      Value first = kernel.add(kernel.mul(row, walkPanels), panel);
      Value target = kernel.rowAddress(sliceSums, first, vectorBytes);
      for (int64_t i = 0; i < block.rows; ++i)
        for (int64_t j = 0; j < block.panels; ++j) {
          Value at = kernel.offset(target, (i * walkPanels + j) * vectorBytes);
          Value before = kernel.load(kernel.floats, at, 64);
          kernel.store(addUnit(chains[i * block.panels + j], scales[j], before), at, 64);
        }
    });
  };
  if (block.panels == walkPanels)
    emitPanels(kernel.index(0));
  else
    kernel.loop(kernel.index(0), kernel.index(walkPanels), block.panels, emitPanels);
}

// One chain per row and panel of the block: [row][panel].
Values PanelProduct::multiplyBlock(RegisterBlock block, Value row, Value panel) {
  const int64_t step = std::min<int64_t>(unit, 4);
  Value weights = kernel.rowAddress(opened, panel, unit * vectorBytes);
  Value x = kernel.rowAddress(inputs, row, unit * 4);
  auto body = [&](Value inner, ValueRange carried) {
    Values chains(carried);
    for (int64_t k = 0; k < step; ++k) {
      Value line = kernel.offset(kernel.rowAddress(weights, inner, vectorBytes), k * vectorBytes);
      Values columns;
      for (int64_t j = 0; j < block.panels; ++j)
        columns.push_back(
            kernel.load(kernel.floats, kernel.offset(line, j * unit * vectorBytes), 64));
      Value input = kernel.offset(kernel.rowAddress(x, inner, 4), k * 4);
      for (int64_t i = 0; i < block.rows; ++i) {
        Value scalar = kernel.load(kernel.f32, kernel.offset(input, i * unit * 4));
        Value repeated = kernel.broadcast(scalar);
        for (int64_t j = 0; j < block.panels; ++j) {
          Value &chain = chains[i * block.panels + j];
          chain = kernel.multiplyAdd(columns[j], repeated, chain);
        }
      }
    }
    return chains;
  };
  return kernel.loop(kernel.index(0), kernel.index(unit), step,
                     Values(block.rows * block.panels, kernel.splat(0.0f)), body);
}

} // namespace grok::compiler
