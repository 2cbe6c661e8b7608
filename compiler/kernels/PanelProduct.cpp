// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What both forms share, and the GEMV form.
#include "compiler/kernels/PanelProduct.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

// Panels whose opened weights share a chunk: enough to use each packed input
// several times, few enough that the opened unit stays near the core.
static constexpr int64_t gemmWalkPanels = 4;

// Inputs opened together: two panels of 8 KiB each fit the first-level cache.
static constexpr int64_t gemmPieceInputs = 128;

PanelProduct::PanelProduct(KernelBuilder &kernel, int64_t contraction, int64_t width, bool isRagged)
    : kernel(kernel), reader(kernel, kernel.spec.weight, kernel.spec.numerics, contraction),
      unit(kernel.spec.weight.unit), slices(kernel.spec.weight.slices),
      unitsPerSlice(contraction / slices / unit), elementBytes(kernel.spec.weight.bits() / 8),
      kPack(kernel.spec.weight.kPack()), width(width), isGemv(kernel.spec.maxRows == 1) {
  walkPanels = std::min(width, isGemv ? kernel.tiles.gemvPanels : gemmWalkPanels);
  mayClamp = isRagged || width % walkPanels != 0;
  piece = std::min(unit, gemmPieceInputs);
  chunkRows = isGemv ? 1 : kernel.tiles.chunkRows;
  sums = kernel.scratch(slices * chunkRows * walkPanels * vectorBytes);
  if (isGemv)
    return;
  opened = kernel.scratch(walkPanels * piece * vectorBytes);
  inputs = kernel.scratch(chunkRows * piece * 4);
  if (piece < unit)
    paused = kernel.scratch(chunkRows * walkPanels * vectorBytes);
}

Value PanelProduct::newResult() { return kernel.scratch(chunkRows * width * vectorBytes); }

Value PanelProduct::resultAddress(Value result, Value row, Value panel) {
  Value vector = kernel.add(kernel.mul(row, width), panel);
  return kernel.rowAddress(result, vector, vectorBytes);
}

void PanelProduct::forChunks(Value rows, llvm::function_ref<void(Value, Value)> body) {
  kernel.loop(kernel.index(0), rows, chunkRows, [&](Value first) {
    Value left = kernel.sub(rows, first);
    body(first, isGemv ? kernel.index(1) : kernel.minimum(left, kernel.index(chunkRows)));
  });
}

void PanelProduct::forResults(Value result, Value rows, Value panels,
                              llvm::function_ref<void(Value, Value, Value)> body) {
  kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
    kernel.loop(kernel.index(0), panels, 1, [&](Value panel) {
      body(row, panel, kernel.load(kernel.floats, resultAddress(result, row, panel), 64));
    });
  });
}

void PanelProduct::emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows,
                        RowInput input, Value result) {
  auto emitFrom = [&](Value start) {
    Walk walk = walkFrom(matrix, firstPanel, panels, start);
    if (isGemv)
      emitRow(matrix, walk, input(kernel.index(0)), result);
    else
      emitChunk(matrix, walk, rows, input, result);
  };
  if (width <= walkPanels)
    emitFrom(kernel.index(0));
  else
    kernel.loop(kernel.index(0), panels, walkPanels, emitFrom);
}

PanelProduct::Walk PanelProduct::walkFrom(const MatrixOperand &matrix, Value firstPanel,
                                          Value panels, Value start) {
  Walk walk;
  for (int64_t i = 0; i < walkPanels; ++i) {
    Value relative = kernel.add(start, i);
    // Past the end the last panel is done again, with the same result.
    if (mayClamp && i > 0)
      relative = kernel.minimum(relative, kernel.add(panels, -1));
    walk.relative.push_back(relative);
    walk.absolute.push_back(kernel.add(firstPanel, relative));
    // A constant distance lets all streams share one address register.
    bool isNeighbour = i > 0 && !mayClamp;
    walk.weights.push_back(
        isNeighbour ? kernel.offset(walk.weights[0], i * reader.panelBytes())
                    : kernel.rowAddress(matrix.weights, walk.absolute[i], reader.panelBytes()));
  }
  return walk;
}

Values PanelProduct::scalesAt(const MatrixOperand &matrix, const Walk &walk, Value k, bool wanted) {
  Values scales(walkPanels);
  if (wanted)
    for (int64_t i = 0; i < walkPanels; ++i)
      scales[i] = reader.scale(matrix, walk.absolute[i], k);
  return scales;
}

Value PanelProduct::addUnit(Value unitSum, Value scale, Value sliceSum) {
  if (reader.scalesSums())
    return kernel.multiplyAdd(unitSum, scale, sliceSum);
  return kernel.add(sliceSum, unitSum);
}

Value PanelProduct::sliceTree(Value address, int64_t stride, int64_t first, int64_t count) {
  if (count == 1)
    return kernel.load(kernel.floats, kernel.offset(address, first * stride), 64);
  Value low = sliceTree(address, stride, first, count / 2);
  return kernel.add(low, sliceTree(address, stride, first + count / 2, count / 2));
}

// ---- GEMV form

void PanelProduct::emitRow(const MatrixOperand &matrix, const Walk &walk, Value input,
                           Value result) {
  const int64_t stride = walkPanels * vectorBytes;
  Value zero = kernel.splat(0.0f);
  kernel.loop(kernel.index(0), kernel.index(slices), 1, [&](Value slice) {
    Value firstUnit = kernel.mul(slice, unitsPerSlice);
    Values sliceSums =
        kernel.loop(kernel.index(0), kernel.index(unitsPerSlice), 1, Values(walkPanels, zero),
                    [&](Value unitOfSlice, ValueRange carried) {
                      Value k = kernel.mul(kernel.add(firstUnit, unitOfSlice), unit);
                      Values unitSums = emitUnitOfRow(matrix, walk, input, k);
                      Values scales = scalesAt(matrix, walk, k, reader.scalesSums());
                      for (int64_t i = 0; i < walkPanels; ++i)
                        unitSums[i] = addUnit(unitSums[i], scales[i], carried[i]);
                      return unitSums;
                    });
    Value address = kernel.rowAddress(sums, slice, stride);
    for (int64_t i = 0; i < walkPanels; ++i)
      kernel.store(sliceSums[i], kernel.offset(address, i * vectorBytes), 64);
  });
  for (int64_t i = 0; i < walkPanels; ++i)
    kernel.store(sliceTree(kernel.offset(sums, i * vectorBytes), stride, 0, slices),
                 resultAddress(result, kernel.index(0), walk.relative[i]), 64);
}

Values PanelProduct::emitUnitOfRow(const MatrixOperand &matrix, const Walk &walk, Value input,
                                   Value k) {
  const int64_t step = std::min(unit, kPack * kernel.tiles.gemvUnroll);
  Values scales = scalesAt(matrix, walk, k, reader.scalesWeights());
  Values streams;
  for (Value weights : walk.weights)
    streams.push_back(kernel.rowAddress(weights, k, panelColumns * elementBytes));
  Value unitInput = kernel.rowAddress(input, k, 4);
  auto body = [&](Value inner, ValueRange carried) {
    Values chains(carried);
    for (int64_t line = 0; line < step / kPack; ++line) {
      Values x;
      for (int64_t i = 0; i < kPack; ++i)
        x.push_back(kernel.broadcast(
            kernel.load(kernel.f32, kernel.offset(kernel.rowAddress(unitInput, inner, 4),
                                                  (line * kPack + i) * 4))));
      for (int64_t panel = 0; panel < walkPanels; ++panel) {
        Value at =
            kernel.offset(kernel.rowAddress(streams[panel], inner, panelColumns * elementBytes),
                          line * reader.lineBytes());
        if (kernel.tiles.prefetchBytes)
          kernel.prefetch(kernel.offset(at, kernel.tiles.prefetchBytes));
        Values weights = reader.readLine(at, scales[panel]);
        for (int64_t i = 0; i < kPack; ++i)
          chains[panel] = kernel.multiplyAdd(weights[i], x[i], chains[panel]);
      }
    }
    return chains;
  };
  return kernel.loop(kernel.index(0), kernel.index(unit), step,
                     Values(walkPanels, kernel.splat(0.0f)), body);
}

} // namespace grok::compiler
