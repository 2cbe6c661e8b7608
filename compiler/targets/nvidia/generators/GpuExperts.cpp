// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// gate_up and down_combine: the matrices of the experts that any row selected.
// Which these are stands in the groups, on the device. Pairs (row, choice) of one
// expert are neighbours there.
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/GpuProduct.h"

#include <algorithm>

namespace grok::compiler::gpu_kernels {

using Cursor = mlir::ValueRange; // of a PanelSequence

namespace {

// Reads the groups buffer.
class PairGroups {
public:
  PairGroups(GpuBuilder &kernel, Value groups)
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

  GpuBuilder &kernel;
  Value groups;
  GroupsLayout layout;
};

} // namespace

// Panel `panel` of one expert's matrix out of [experts][inputs, columns].
static GpuPanel panelOf(GpuBuilder &kernel, Value weights, Value scales, Value expert, Value panel,
                        int64_t inputs, int64_t columns) {
  const WeightFormat &format = kernel.spec.weight;
  const int64_t panels = panelsOf(columns), padded = paddedColumns(columns);
  Value number = kernel.add(kernel.mul(expert, panels), panel);
  Value matrixScales = kernel.rowAddress(scales, expert, format.groups * padded * 2);
  return {kernel.rowAddress(weights, number, format.panelBytes(inputs)),
          kernel.rowAddress(matrixScales, panel, panelColumns * 2), kernel.index(padded)};
}

// Chunks of an active expert's pairs.
static Value chunksOf(GpuProduct &product, PairGroups &groups, GpuBuilder &kernel, Value active) {
  Value start = groups.firstPosition(active);
  return product.chunksOf(kernel.sub(groups.firstPosition(kernel.add(active, 1)), start));
}

// Tile = one panel of an expert's gate and the same one of its up.
void emitGateUp(GpuBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const int64_t panels = panelsOf(spec.ffn);
  const int64_t mostActive = std::min(spec.experts, spec.maxRows * spec.selected);
  auto product = makeGpuProduct(kernel, 2);
  PairGroups groups(kernel, kernel.operand(5));
  auto panelOfExpert = [&](Value expert, Value panel, Value slot) {
    Value isGate = kernel.equal(slot, kernel.index(0));
    return panelOf(kernel, kernel.select(isGate, kernel.operand(1), kernel.operand(3)),
                   kernel.select(isGate, kernel.operand(2), kernel.operand(4)), expert, panel,
                   spec.emb, spec.ffn);
  };
  kernel.waitForEarlierLaunches(); // who the experts are, they say
  Value tiles = kernel.mul(groups.activeCount(), panels);
  // Cursor: tile, chunk of its expert's pairs.
  product->announce({.first = {kernel.block, kernel.index(0)},
                     .isValid = [&](Cursor at) { return kernel.less(at[0], tiles); },
                     .next = [&](Cursor at) -> Values {
                       Value chunk = kernel.add(at[1], 1), active = kernel.quotient(at[0], panels);
                       Value isSame =
                           kernel.less(chunk, chunksOf(*product, groups, kernel, active));
                       return {kernel.select(isSame, at[0], kernel.add(at[0], kernel.blocks)),
                               kernel.select(isSame, chunk, kernel.index(0))};
                     },
                     .panel =
                         [&](Cursor at, Value slot) {
                           return panelOfExpert(groups.expert(kernel.quotient(at[0], panels)),
                                                kernel.remainder(at[0], panels), slot);
                         }});
  kernel.forTiles(tiles, mostActive * panels, [&](Value tile) {
    Value active = kernel.quotient(tile, panels), panel = kernel.remainder(tile, panels);
    Value expert = groups.expert(active), start = groups.firstPosition(active);
    Value pairs = kernel.sub(groups.firstPosition(kernel.add(active, 1)), start);
    auto source = [&](Value slot) { return panelOfExpert(expert, panel, slot); };
    product->forChunks(pairs, [&](Value first, Value rows) {
      Value position = kernel.add(start, first);
      product->compute(source, rows, [&](Value row) {
        Value pair = groups.pair(kernel.add(position, row));
        return kernel.rowAddress(kernel.operand(0), groups.rowOfPair(pair),
                                 product->inputRowBytes());
      });
      kernel.loop(kernel.thread, kernel.mul(rows, panelColumns), kernel.threads, [&](Value at) {
        Value row = kernel.quotient(at, panelColumns), column = kernel.remainder(at, panelColumns);
        Value gate = product->result(row, column);
        Value up = product->result(row, kernel.add(column, panelColumns));
        Value to =
            kernel.rowAddress(kernel.operand(6), kernel.add(position, row), rowBytes(spec.ffn));
        to = kernel.rowAddress(to, kernel.add(kernel.mul(panel, panelColumns), column), 4);
        kernel.store(kernel.mul(geluTanh(kernel, gate), up), to);
      });
    });
  });
  product->finish();
}

namespace {

/// Tile = two panels of the output's columns, of the rows of the step or,
/// `separate`, of pairs of the groups. Active experts ascend, so every row adds its
/// experts in ascending order.
class DownEmitter {
public:
  explicit DownEmitter(GpuBuilder &kernel)
      : kernel(kernel), spec(kernel.spec), panels(panelsOf(spec.emb)),
        width(std::min<int64_t>(2, panels)), product(makeGpuProduct(kernel, width)),
        groups(kernel, kernel.operand(3)) {}

  void emit();

private:
  Value outputAt(Value row, Value position);
  void whenInside(Value position, llvm::function_ref<void()> body);
  void clear();
  PanelSequence sequence(int64_t tiles);
  GpuPanel panelOfExpert(Value tile, Value expert, Value slot);
  void addExpert(Value tile, Value active);

  GpuBuilder &kernel;
  const KernelSpec &spec;
  const int64_t panels, width;
  std::unique_ptr<GpuProduct> product;
  PairGroups groups;
  Value firstPanel; // of the current tile
};

} // namespace

Value DownEmitter::outputAt(Value row, Value position) {
  Value to = kernel.rowAddress(kernel.operand(5), row, rowBytes(spec.emb));
  return kernel.rowAddress(to, kernel.add(kernel.mul(firstPanel, panelColumns), position), 4);
}

// The last tile may have one panel.
void DownEmitter::whenInside(Value position, llvm::function_ref<void()> body) {
  Value column = kernel.add(kernel.mul(firstPanel, panelColumns), position);
  kernel.when(kernel.less(column, kernel.index(panels * panelColumns)), body);
}

void DownEmitter::emit() {
  const int64_t tiles = (panels + width - 1) / width;
  kernel.waitForEarlierLaunches(); // who the experts are, they say
  product->announce(sequence(tiles));
  kernel.forTiles(kernel.index(tiles), tiles, [&](Value tile) {
    firstPanel = kernel.mul(tile, width);
    if (!spec.accumulate)
      clear();
    kernel.loop(kernel.index(0), groups.activeCount(), 1,
                [&](Value active) { addExpert(tile, active); });
  });
  product->finish();
}

// Cursor: tile, active expert, chunk of its pairs.
PanelSequence DownEmitter::sequence(int64_t tiles) {
  Value actives = groups.activeCount(), zero = kernel.index(0);
  Value some = kernel.less(zero, actives);
  auto isValid = [=, this](Cursor at) {
    return kernel.both(some, kernel.less(at[0], kernel.index(tiles)));
  };
  auto next = [=, this](Cursor at) -> Values {
    Value chunk = kernel.add(at[2], 1), active = kernel.add(at[1], 1);
    Value isSame = kernel.less(chunk, chunksOf(*product, groups, kernel, at[1]));
    Value isSameTile = kernel.less(active, actives);
    return {kernel.select(isSame, at[0],
                          kernel.select(isSameTile, at[0], kernel.add(at[0], kernel.blocks))),
            kernel.select(isSame, at[1], kernel.select(isSameTile, active, zero)),
            kernel.select(isSame, chunk, zero)};
  };
  auto panel = [this](Cursor at, Value slot) {
    return panelOfExpert(at[0], groups.expert(at[1]), slot);
  };
  return {.first = {kernel.block, zero, zero}, .isValid = isValid, .next = next, .panel = panel};
}

GpuPanel DownEmitter::panelOfExpert(Value tile, Value expert, Value slot) {
  Value panel = kernel.minimum(kernel.add(kernel.mul(tile, width), slot), kernel.index(panels - 1));
  return panelOf(kernel, kernel.operand(1), kernel.operand(2), expert, panel, spec.ffn, spec.emb);
}

void DownEmitter::clear() {
  Value rows = spec.separate ? kernel.mul(kernel.rows, spec.selected) : kernel.rows;
  product->forResults(rows, [&](Value row, Value position) {
    whenInside(position, [&] { kernel.store(kernel.number(0.0f), outputAt(row, position)); });
  });
  kernel.barrier(); // others add to it
}

void DownEmitter::addExpert(Value tile, Value active) {
  Value start = groups.firstPosition(active), expert = groups.expert(active);
  Value pairs = kernel.sub(groups.firstPosition(kernel.add(active, 1)), start);
  auto source = [&](Value slot) { return panelOfExpert(tile, expert, slot); };
  product->forChunks(pairs, [&](Value first, Value rows) {
    Value position = kernel.add(start, first);
    product->compute(source, rows, [&](Value row) {
      return kernel.rowAddress(kernel.operand(0), kernel.add(position, row),
                               product->inputRowBytes());
    });
    product->forResults(rows, [&](Value row, Value column) {
      Value pair = groups.pair(kernel.add(position, row)), down = product->result(row, column);
      whenInside(column, [&] {
        if (spec.separate)
          return kernel.store(down, outputAt(pair, column));
        Value gate = kernel.load(kernel.f32, kernel.rowAddress(kernel.operand(4), pair, 4));
        Value to = outputAt(groups.rowOfPair(pair), column);
        kernel.store(kernel.multiplyAdd(gate, down, kernel.load(kernel.f32, to)), to);
      });
    });
  });
}

void emitDownCombine(GpuBuilder &kernel) { DownEmitter(kernel).emit(); }

} // namespace grok::compiler::gpu_kernels
