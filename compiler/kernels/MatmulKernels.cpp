// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// linear and unembed: dense matrices, one tile = tilePanels panels of columns.
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/MatrixProduct.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

namespace {

// y[r] = finish(x[inputRow(r)] . W) for all rows, tile by tile of columns.
struct DenseProduct {
  int64_t columns;
  Value input, weights, scales, output, rows;
  llvm::function_ref<Value(Value row)> inputRow;
  bool areNeighbours; // input rows
  llvm::function_ref<Value(Value sums)> finish;
};

} // namespace

static void emitDense(KernelBuilder &kernel, const DenseProduct &dense) {
  const int64_t panels = panelsOf(dense.columns), width = std::min(kernel.spec.tilePanels, panels);
  auto product = makeProduct(kernel, width, panels % width != 0, dense.areNeighbours);
  Value result = product->newResult();
  MatrixOperand matrix{dense.weights, dense.scales, kernel.index(panels * panelColumns)};
  kernel.forTiles([&](Value tile) {
    Value firstPanel = kernel.mul(tile, width);
    Value count = kernel.minimum(kernel.sub(kernel.index(panels), firstPanel), kernel.index(width));
    product->forChunks(dense.rows, [&](Value first, Value rows) {
      auto input = [&](Value row) {
        return kernel.rowAddress(dense.input, dense.inputRow(kernel.add(first, row)),
                                 product->inputRowBytes());
      };
      product->prepare(rows, input, first);
      product->emit(matrix, firstPanel, count, rows, input, result);
      product->forResults(result, rows, count, [&](Value row, Value panel, Value sums) {
        Value to = kernel.rowAddress(dense.output, kernel.add(first, row), rowBytes(dense.columns));
        kernel.store(dense.finish(sums),
                     kernel.rowAddress(to, kernel.add(firstPanel, panel), rowBytes(1)));
      });
    });
  });
}

void emitLinear(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  emitDense(kernel,
            {.columns = spec.out,
             .input = kernel.operand(0),
             .weights = kernel.operand(1),
             .scales = kernel.operand(2),
             .output = kernel.operand(3),
             .rows = kernel.rows,
             .inputRow = [](Value row) { return row; },
             .areNeighbours = true,
             .finish = [&](Value sums) { return roundActivation(kernel, spec.numerics, sums); }});
}

void emitUnembed(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  auto finish = [&](Value sums) {
    Value logits = roundActivation(kernel, spec.numerics, sums);
    logits = kernel.mul(logits, kernel.splat(static_cast<float>(spec.multiplier)));
    return roundActivation(kernel, spec.numerics, logits);
  };
  emitDense(kernel, {.columns = spec.vocab,
                     .input = kernel.operand(0),
                     .weights = kernel.operand(1),
                     .scales = kernel.operand(2),
                     .output = kernel.operand(3),
                     .rows = kernel.logitRows,
                     .inputRow = [&](Value row) { return kernel.entry(kernel.logitRow, row); },
                     .areNeighbours = false,
                     .finish = finish});
}

} // namespace grok::compiler
