// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// gate_up and down_combine: the matrices of the experts that any row selected.
// Pairs (row, choice) of one expert are neighbours in the order of `group`.
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/MatrixProduct.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

namespace {

// Reads the groups buffer.
class PairGroups {
public:
  PairGroups(KernelBuilder &kernel, Value groups)
      : kernel(kernel), groups(groups), layout(kernel.spec.experts) {}

  Value activeCount() { return at(layout.activeCount, kernel.index(0)); }
  Value expert(Value active) { return at(layout.ids, active); }
  Value firstPosition(Value active) { return at(layout.offsets, active); }
  Value pair(Value position) { return at(layout.pairs, position); }
  Value rowOfPair(Value pair) { return kernel.quotient(pair, kernel.spec.selected); }

private:
  Value at(int64_t part, Value index) {
    return kernel.loadIndex(kernel.offset(kernel.rowAddress(groups, index, 4), part * 4));
  }

  KernelBuilder &kernel;
  Value groups;
  GroupsLayout layout;
};

} // namespace

// One expert's matrix out of [experts][inputs, columns].
static MatrixOperand matrixOf(KernelBuilder &kernel, Value weights, Value scales, Value expert,
                              int64_t inputs, int64_t columns) {
  const WeightFormat &format = kernel.spec.weight;
  const int64_t padded = paddedColumns(columns);
  MatrixOperand matrix;
  matrix.weights =
      kernel.rowAddress(weights, expert, panelsOf(columns) * format.panelBytes(inputs));
  matrix.scales = kernel.rowAddress(scales, expert, format.groups * padded * 2);
  matrix.scaleColumns = kernel.index(padded);
  return matrix;
}

static Value panelsFrom(KernelBuilder &kernel, Value firstPanel, int64_t panels, int64_t width) {
  return kernel.minimum(kernel.sub(kernel.index(panels), firstPanel), kernel.index(width));
}

void emitGateUp(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const int64_t panels = panelsOf(spec.ffn), width = std::min(spec.tilePanels, panels);
  const int64_t blocks = (panels + width - 1) / width;
  auto product = makeProduct(kernel, width, panels % width != 0, /*areNeighbours=*/false);
  Value results[2] = {product->newResult(), product->newResult()};
  Value x = kernel.operand(0), y = kernel.operand(6);
  PairGroups groups(kernel, kernel.operand(5));
  kernel.forTiles([&](Value tile) {
    Value active = kernel.quotient(tile, blocks);
    Value firstPanel = kernel.mul(kernel.remainder(tile, blocks), width);
    Value count = panelsFrom(kernel, firstPanel, panels, width);
    Value expert = groups.expert(active), start = groups.firstPosition(active);
    Value pairs = kernel.sub(groups.firstPosition(kernel.add(active, 1)), start);
    product->forChunks(pairs, [&](Value first, Value rows) {
      Value position = kernel.add(start, first);
      auto input = [&](Value row) {
        Value pair = groups.pair(kernel.add(position, row));
        return kernel.rowAddress(x, groups.rowOfPair(pair), product->inputRowBytes());
      };
      product->prepare(rows, input, position);
      // Both matrices by the same code: gate first, then up.
      kernel.loop(kernel.index(0), kernel.index(2), 1, [&](Value which) {
        Value isGate = kernel.equal(which, kernel.index(0));
        Value weights = kernel.select(isGate, kernel.operand(1), kernel.operand(3));
        Value scales = kernel.select(isGate, kernel.operand(2), kernel.operand(4));
        product->emit(matrixOf(kernel, weights, scales, expert, spec.emb, spec.ffn), firstPanel,
                      count, rows, input, kernel.select(isGate, results[0], results[1]));
      });
      product->forResults(results[0], rows, count, [&](Value row, Value panel, Value gate) {
        Value up = kernel.load(kernel.floats, product->resultAddress(results[1], row, panel), 64);
        gate = roundActivation(kernel, spec.numerics, gate);
        up = roundActivation(kernel, spec.numerics, up);
        Value to = kernel.rowAddress(y, kernel.add(position, row), rowBytes(spec.ffn));
        kernel.store(kernel.mul(geluTanh(kernel, gate), up),
                     kernel.rowAddress(to, kernel.add(firstPanel, panel), rowBytes(1)));
      });
    });
  });
}

void emitDownCombine(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const int64_t panels = panelsOf(spec.emb), width = std::min(spec.tilePanels, panels);
  auto product = makeProduct(kernel, width, panels % width != 0, /*areNeighbours=*/true);
  Value result = product->newResult();
  Value y = kernel.operand(0), gates = kernel.operand(4), output = kernel.operand(5);
  PairGroups groups(kernel, kernel.operand(3));
  Value outputRows = spec.separate ? kernel.mul(kernel.rows, spec.selected) : kernel.rows;
  kernel.forTiles([&](Value tile) {
    Value firstPanel = kernel.mul(tile, width);
    Value count = panelsFrom(kernel, firstPanel, panels, width);
    // Rows of the output: those of the step, or pairs of the groups.
    auto outputAt = [&](Value row, Value panel) {
      Value to = kernel.rowAddress(output, row, rowBytes(spec.emb));
      return kernel.rowAddress(to, kernel.add(firstPanel, panel), rowBytes(1));
    };
    auto forOutputs = [&](llvm::function_ref<void(Value)> body) {
      kernel.loop(kernel.index(0), outputRows, 1, [&](Value row) {
        kernel.loop(kernel.index(0), count, 1, [&](Value panel) { body(outputAt(row, panel)); });
      });
    };
    if (!spec.accumulate)
      forOutputs([&](Value address) { kernel.store(kernel.splat(0.0f), address); });
    // Active experts ascend, so every row adds its experts in ascending order.
    kernel.loop(kernel.index(0), groups.activeCount(), 1, [&](Value active) {
      Value start = groups.firstPosition(active);
      Value pairs = kernel.sub(groups.firstPosition(kernel.add(active, 1)), start);
      MatrixOperand matrix = matrixOf(kernel, kernel.operand(1), kernel.operand(2),
                                      groups.expert(active), spec.ffn, spec.emb);
      product->forChunks(pairs, [&](Value first, Value rows) {
        Value position = kernel.add(start, first);
        auto input = [&](Value row) {
          return kernel.rowAddress(y, kernel.add(position, row), product->inputRowBytes());
        };
        product->emit(matrix, firstPanel, count, rows, input, result);
        product->forResults(result, rows, count, [&](Value row, Value panel, Value down) {
          Value pair = groups.pair(kernel.add(position, row));
          if (spec.separate)
            return kernel.store(down, outputAt(pair, panel));
          Value gate = kernel.load(kernel.f32, kernel.rowAddress(gates, pair, 4));
          gate = kernel.broadcast(roundActivation(kernel, spec.numerics, gate));
          Value to = outputAt(groups.rowOfPair(pair), panel);
          kernel.store(kernel.multiplyAdd(gate, down, kernel.load(kernel.floats, to)), to);
        });
      });
    });
    if (spec.numerics == Numerics::bf16 && !spec.separate)
      forOutputs([&](Value address) {
        kernel.store(roundToBf16(kernel, kernel.load(kernel.floats, address)), address);
      });
  });
}

} // namespace grok::compiler
