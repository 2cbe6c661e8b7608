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

PanelProduct::PanelProduct(KernelBuilder &kernel, int64_t width, bool isRagged)
    : MatrixProduct(kernel, width, isRagged,
                    kernel.spec.maxRows == 1 ? Blocking{kernel.tiles.gemvPanels, 1}
                                             : Blocking{gemmWalkPanels, kernel.tiles.chunkRows}),
      reader(kernel, kernel.spec.weight, kernel.spec.numerics, contraction),
      inputBytes(reader.inputBytes()), bundle(reader.bundleInputs()),
      piece(std::min(unit, gemmPieceInputs)) {
  sums = kernel.scratch(slices * chunkRows * walkPanels * vectorBytes);
  if (isGemv)
    return;
  opened = kernel.scratch(walkPanels * piece * vectorBytes);
  inputs = kernel.scratch(chunkRows * piece * 4);
  if (piece < unit)
    paused = kernel.scratch(chunkRows * walkPanels * vectorBytes);
}

void PanelProduct::emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows,
                        RowInput input, Value result) {
  forWalks(matrix, firstPanel, panels, [&](const Walk &walk) {
    if (isGemv)
      emitRow(matrix, walk, input(kernel.index(0)), result);
    else
      emitChunk(matrix, walk, rows, input, result);
  });
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

// ---- GEMV form

void PanelProduct::emitRow(const MatrixOperand &matrix, const Walk &walk, Value input,
                           Value result) {
  const int64_t stride = walkPanels * vectorBytes;
  storeSlicesOfRow(sums, [&](Value number, ValueRange sliceSums) {
    Value k = kernel.mul(number, unit);
    Values unitSums = emitUnitOfRow(matrix, walk, input, k);
    Values scales = scalesAt(matrix, walk, k, reader.scalesSums());
    for (int64_t i = 0; i < walkPanels; ++i)
      unitSums[i] = addUnit(unitSums[i], scales[i], sliceSums[i]);
    return unitSums;
  });
  for (int64_t i = 0; i < walkPanels; ++i)
    kernel.store(sumOfSlices(kernel.offset(sums, i * vectorBytes), stride),
                 resultAddress(result, kernel.index(0), walk.relative[i]), 64);
}

Values PanelProduct::emitUnitOfRow(const MatrixOperand &matrix, const Walk &walk, Value input,
                                   Value k) {
  const int64_t step = std::min(unit, bundle * kernel.tiles.gemvUnroll);
  Values scales = scalesAt(matrix, walk, k, reader.scalesWeights());
  Values streams;
  for (Value weights : walk.weights)
    streams.push_back(kernel.offset(weights, reader.offsetOf(k)));
  Value unitInput = kernel.rowAddress(input, k, 4);
  auto body = [&](Value inner, ValueRange carried) {
    Values chains(carried);
    for (int64_t at = 0; at < step; at += bundle) {
      Values x;
      for (int64_t i = 0; i < bundle; ++i)
        x.push_back(kernel.broadcast(kernel.load(
            kernel.f32, kernel.offset(kernel.rowAddress(unitInput, inner, 4), (at + i) * 4))));
      for (int64_t panel = 0; panel < walkPanels; ++panel) {
        Value address =
            kernel.offset(kernel.rowAddress(streams[panel], inner, inputBytes), at * inputBytes);
        for (int64_t line = 0; line < bundle * inputBytes && kernel.tiles.prefetchBytes; line += 64)
          kernel.prefetch(kernel.offset(address, line + kernel.tiles.prefetchBytes));
        Values weights = reader.readBundle(address, scales[panel]);
        for (int64_t i = 0; i < bundle; ++i)
          chains[panel] = kernel.multiplyAdd(weights[i], x[i], chains[panel]);
      }
    }
    return chains;
  };
  return kernel.loop(kernel.index(0), kernel.index(unit), step,
                     Values(walkPanels, kernel.splat(0.0f)), body);
}

} // namespace grok::compiler
