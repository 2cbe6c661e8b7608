// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// gate_up and down_combine: the matrices of the experts that any row selected.
// Pairs (row, choice) of one expert are neighbours in the order of `group`.
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/MatrixProduct.h"
#include "compiler/kernels/PairGroups.h"
#include "compiler/kernels/VectorMath.h"

#include <memory>

namespace grok::compiler {

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
  PairGroups groups(kernel, spec, kernel.operand(5));
  kernel.forTiles([&](Value tile) {
    Value active = kernel.quotient(tile, blocks);
    Value firstPanel = kernel.mul(kernel.remainder(tile, blocks), width);
    Value count = panelsFrom(kernel, firstPanel, panels, width);
    Value expert = groups.expert(active), start = groups.firstPosition(active);
    Value pairs = kernel.sub(groups.endPosition(active), start);
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

namespace {

// down_combine: columns of a tile, of the rows of the step or, `separate`, of
// pairs of the groups.
class DownEmitter {
public:
  explicit DownEmitter(KernelBuilder &kernel)
      : kernel(kernel), spec(kernel.spec), panels(panelsOf(spec.emb)),
        width(std::min(spec.tilePanels, panels)),
        product(makeProduct(kernel, width, panels % width != 0, /*areNeighbours=*/true)),
        result(product->newResult()), groups(kernel, spec, kernel.operand(3)) {}

  void emit();

private:
  void startTile(Value tile);
  Value outputAt(Value row, Value panel);
  void forOutputs(llvm::function_ref<void(Value address)> body);
  void addExpert(Value active);
  void addChunk(const MatrixOperand &matrix, Value position, Value rows);

  KernelBuilder &kernel;
  const KernelSpec &spec;
  int64_t panels, width;
  std::unique_ptr<MatrixProduct> product;
  Value result;
  PairGroups groups;
  Value firstPanel, count; // of the current tile
};

} // namespace

void DownEmitter::startTile(Value tile) {
  firstPanel = kernel.mul(tile, width);
  count = panelsFrom(kernel, firstPanel, panels, width);
}

Value DownEmitter::outputAt(Value row, Value panel) {
  Value to = kernel.rowAddress(kernel.operand(5), row, rowBytes(spec.emb));
  return kernel.rowAddress(to, kernel.add(firstPanel, panel), rowBytes(1));
}

void DownEmitter::forOutputs(llvm::function_ref<void(Value)> body) {
  Value rows = spec.separate ? kernel.mul(kernel.rows, spec.selected) : kernel.rows;
  kernel.forTiles([&](Value tile) {
    startTile(tile);
    kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
      kernel.loop(kernel.index(0), count, 1, [&](Value panel) { body(outputAt(row, panel)); });
    });
  });
}

// Active experts ascend, so every row adds its experts in ascending order. They
// are the outer loop: what a product prepares of an expert's rows serves all tiles.
void DownEmitter::emit() {
  if (!spec.accumulate)
    forOutputs([&](Value address) { kernel.store(kernel.splat(0.0f), address); });
  kernel.loop(kernel.index(0), groups.activeCount(), 1, [&](Value active) { addExpert(active); });
  if (spec.numerics == Numerics::bf16 && !spec.separate)
    forOutputs([&](Value address) {
      kernel.store(roundToBf16(kernel, kernel.load(kernel.floats, address)), address);
    });
}

void DownEmitter::addExpert(Value active) {
  Value start = groups.firstPosition(active);
  Value pairs = kernel.sub(groups.endPosition(active), start);
  MatrixOperand matrix = matrixOf(kernel, kernel.operand(1), kernel.operand(2),
                                  groups.expert(active), spec.ffn, spec.emb);
  kernel.forTiles([&](Value tile) {
    startTile(tile);
    product->forChunks(
        pairs, [&](Value first, Value rows) { addChunk(matrix, kernel.add(start, first), rows); });
  });
}

void DownEmitter::addChunk(const MatrixOperand &matrix, Value position, Value rows) {
  auto input = [&](Value row) {
    return kernel.rowAddress(kernel.operand(0), kernel.add(position, row),
                             product->inputRowBytes());
  };
  product->prepare(rows, input, position);
  product->emit(matrix, firstPanel, count, rows, input, result);
  product->forResults(result, rows, count, [&](Value row, Value panel, Value down) {
    Value pair = groups.pair(kernel.add(position, row));
    if (spec.separate)
      return kernel.store(down, outputAt(pair, panel));
    Value gate = kernel.load(kernel.f32, kernel.rowAddress(kernel.operand(4), pair, 4));
    gate = kernel.broadcast(roundActivation(kernel, spec.numerics, gate));
    Value to = outputAt(groups.rowOfPair(pair), panel);
    kernel.store(kernel.multiplyAdd(gate, down, kernel.load(kernel.floats, to)), to);
  });
}

void emitDownCombine(KernelBuilder &kernel) { DownEmitter(kernel).emit(); }

} // namespace grok::compiler
