// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// linear and unembed: dense matrices, one tile = two panels, or eight, of a chunk of rows.
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/GpuProduct.h"

namespace grok::compiler::gpu_kernels {

namespace {

// y[r] = finish(x[inputRow(r)] . W) for all rows.
struct DenseProduct {
  int64_t columns;
  Value rows;
  llvm::function_ref<Value(Value row)> inputRow;
  llvm::function_ref<Value(Value sum)> finish;
};

} // namespace

static void emitDense(GpuBuilder &kernel, const DenseProduct &dense) {
  const int64_t panels = panelsOf(dense.columns);
  const int64_t width = std::min(productPanels(kernel.spec, kernel.chip), panels);
  const int64_t tiles = (panels + width - 1) / width,
                panelBytes = kernel.spec.weight.panelBytes(contractionOf(kernel.spec));
  auto product = makeGpuProduct(kernel, width);
  Value chunks = product->chunksOf(dense.rows);
  const int64_t mostChunks = (kernel.spec.maxRows + product->chunkRows - 1) / product->chunkRows;
  auto panelOf = [&](Value pair, Value slot) -> GpuPanel {
    Value panel =
        kernel.minimum(kernel.add(kernel.mul(pair, width), slot), kernel.index(panels - 1));
    return {kernel.rowAddress(kernel.operand(1), panel, panelBytes),
            kernel.rowAddress(kernel.operand(2), panel, panelColumns * 2),
            kernel.index(panels * panelColumns)};
  };
  Value allTiles = kernel.mul(chunks, tiles);
  product->announce(product->sequenceOfTiles(allTiles, [=, &kernel](Value tile, Value slot) {
    return panelOf(kernel.divide(tile, chunks).first, slot);
  }));
  kernel.waitForEarlierLaunches();
  // Neighbouring tiles share weights, which then come from the second-level cache.
  kernel.forTiles(allTiles, tiles * mostChunks, [&](Value tile) {
    auto [pair, chunk] = kernel.divide(tile, chunks);
    Value firstPanel = kernel.mul(pair, width);
    Value firstRow = kernel.mul(chunk, product->chunkRows);
    Value rows = product->rowsOfChunk(dense.rows, chunk);
    auto source = [&, pair = pair](Value slot) { return panelOf(pair, slot); };
    product->compute(source, rows, [&](Value row) {
      Value from = dense.inputRow(kernel.add(firstRow, row));
      return kernel.rowAddress(kernel.operand(0), from, product->inputRowBytes());
    });
    product->forResults(rows, [&](Value row, Value position) {
      Value column = kernel.add(kernel.mul(firstPanel, panelColumns), position);
      kernel.when(kernel.less(column, kernel.index(panels * panelColumns)), [&] {
        Value to = kernel.rowAddress(kernel.operand(3), kernel.add(firstRow, row),
                                     rowBytes(dense.columns));
        kernel.store(dense.finish(product->result(row, position)),
                     kernel.rowAddress(to, column, 4));
      });
    });
  });
  product->finish();
}

void emitLinear(GpuBuilder &kernel) {
  emitDense(kernel, {.columns = kernel.spec.out,
                     .rows = kernel.rows,
                     .inputRow = [](Value row) { return row; },
                     .finish = [](Value sum) { return sum; }});
}

void emitUnembed(GpuBuilder &kernel) {
  auto finish = [&](Value sum) {
    return kernel.mul(sum, kernel.number(static_cast<float>(kernel.spec.multiplier)));
  };
  emitDense(kernel, {.columns = kernel.spec.vocab,
                     .rows = kernel.logitRows,
                     .inputRow = [&](Value row) { return kernel.entry(kernel.logitRow, row); },
                     .finish = finish});
}

} // namespace grok::compiler::gpu_kernels
