// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// gate_up and down_combine: the matrices of the experts that any row selected.
// Which these are stands in the groups, on the device. Pairs (row, choice) of one
// expert are neighbours there.
#include "compiler/kernels/PairGroups.h"
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/GpuProduct.h"

#include <algorithm>

namespace grok::compiler::gpu_kernels {

using Cursor = mlir::ValueRange; // of a PanelSequence

// The first of the positions [start, end), all of one expert and so ascending by
// row, whose row is not below `row`; or `end`.
static Value firstFrom(GpuBuilder &kernel, PairGroups &groups, Value row, Value start, Value end) {
  Value steps = kernel.toWord(kernel.sub(end, start)); // as many as it has bits
  for (int32_t by = 1; by < 32; by *= 2)
    steps = kernel.bitOr(steps, kernel.shiftRight(steps, by));
  return kernel.loop(kernel.index(0), kernel.toIndex(kernel.countBits(steps)), 1, {start, end},
                     [&](Value, mlir::ValueRange range) -> Values {
                       Value middle = kernel.quotient(kernel.add(range[0], range[1]), 2);
                       Value number = groups.pair(kernel.minimum(middle, kernel.add(end, -1)));
                       Value isBelow = kernel.both(kernel.less(range[0], range[1]),
                                                   kernel.less(groups.rowOfPair(number), row));
                       return {kernel.select(isBelow, kernel.add(middle, 1), range[0]),
                               kernel.select(isBelow, range[1], middle)};
                     })[0];
}

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
  return product.chunksOf(kernel.sub(groups.endPosition(active), start));
}

// One of `width` neighbouring panels of an expert's gate, then of its up.
static GpuPanel panelOfGateOrUp(GpuBuilder &kernel, Value expert, Value firstPanel, int64_t width,
                                Value slot) {
  const KernelSpec &spec = kernel.spec;
  Value isGate = kernel.less(slot, kernel.index(width));
  Value panel =
      kernel.add(firstPanel, width == 1 ? kernel.index(0) : kernel.remainder(slot, width));
  panel = kernel.minimum(panel, kernel.index(panelsOf(spec.ffn) - 1));
  return panelOf(kernel, kernel.select(isGate, kernel.operand(1), kernel.operand(3)),
                 kernel.select(isGate, kernel.operand(2), kernel.operand(4)), expert, panel,
                 spec.emb, spec.ffn);
}

// gelu(gate) * up of the pairs from `position` on.
static void finishGateUp(GpuBuilder &kernel, GpuProduct &product, Value position, Value rows,
                         Value firstPanel, int64_t width) {
  const int64_t columns = width * panelColumns, all = paddedColumns(kernel.spec.ffn);
  kernel.loop(kernel.thread, kernel.mul(rows, columns), kernel.threads, [&](Value at) {
    Value row = kernel.quotient(at, columns), column = kernel.remainder(at, columns);
    Value gate = product.result(row, column);
    Value up = product.result(row, kernel.add(column, columns));
    Value to =
        kernel.rowAddress(kernel.operand(6), kernel.add(position, row), rowBytes(kernel.spec.ffn));
    column = kernel.add(kernel.mul(firstPanel, panelColumns), column);
    auto store = [&] {
      kernel.store(kernel.mul(geluTanh(kernel, gate), up), kernel.rowAddress(to, column, 4));
    };
    if (all % columns == 0)
      return store();
    kernel.when(kernel.less(column, kernel.index(all)), store);
  });
}

// Of many rows: tile = a chunk of an expert's pairs by several panels of gate and up.
// Neighbouring tiles are of the same panels, which then come from the second-level
// cache.
static void emitManyGateUp(GpuBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const int64_t panels = panelsOf(spec.ffn);
  const int64_t width = std::min(productPanels(spec, kernel.chip) / 2, panels);
  const int64_t parts = (panels + width - 1) / width, pairs = spec.maxRows * spec.selected;
  auto product = makeGpuProduct(kernel, 2 * width);
  PairGroups groups(kernel, spec, kernel.operand(5));
  const int64_t mostChunks = std::min(spec.experts, pairs) + pairs / product->chunkRows;
  kernel.waitForEarlierLaunches(); // who the experts are, they say
  // Where the tiles of each active expert end; `found` of the one that holds `tile`.
  auto search = [&](Value tile) {
    Value zero = kernel.index(0);
    return kernel.loop(
        zero, groups.activeCount(), 1, {zero, zero, zero},
        [&](Value active, mlir::ValueRange found) -> Values {
          Value end =
              kernel.add(found[0], kernel.mul(chunksOf(*product, groups, kernel, active), parts));
          Value isBehind = kernel.less(tile, found[0]);
          Value isHere =
              kernel.both(kernel.equal(isBehind, kernel.bit(false)), kernel.less(tile, end));
          return {end, kernel.select(isHere, active, found[1]),
                  kernel.select(isHere, found[0], found[2])};
        });
  };
  Value tiles = search(kernel.index(0))[0];
  kernel.forTiles(tiles, mostChunks * parts, [&](Value tile) {
    Values found = search(tile);
    Value active = found[1], start = groups.firstPosition(active);
    Value chunks = chunksOf(*product, groups, kernel, active);
    auto [part, chunk] = kernel.divide(kernel.sub(tile, found[2]), chunks);
    Value firstPanel = kernel.mul(part, width), expert = groups.expert(active);
    Value count = kernel.sub(groups.endPosition(active), start);
    Value rows = product->rowsOfChunk(count, chunk);
    Value position = kernel.add(start, kernel.mul(chunk, product->chunkRows));
    product->compute(
        [&](Value slot) { return panelOfGateOrUp(kernel, expert, firstPanel, width, slot); }, rows,
        [&](Value row) {
          Value pair = groups.pair(kernel.add(position, row));
          return kernel.rowAddress(kernel.operand(0), groups.rowOfPair(pair),
                                   product->inputRowBytes());
        });
    finishGateUp(kernel, *product, position, rows, firstPanel, width);
  });
  product->finish();
}

// Tile = one panel of an expert's gate and the same one of its up.
void emitGateUp(GpuBuilder &kernel) {
  if (productPanels(kernel.spec, kernel.chip) > 2)
    return emitManyGateUp(kernel);
  const KernelSpec &spec = kernel.spec;
  const int64_t panels = panelsOf(spec.ffn);
  const int64_t mostActive = std::min(spec.experts, spec.maxRows * spec.selected);
  auto product = makeGpuProduct(kernel, 2);
  PairGroups groups(kernel, spec, kernel.operand(5));
  auto panelOfExpert = [&](Value expert, Value panel, Value slot) {
    return panelOfGateOrUp(kernel, expert, panel, 1, slot);
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
    Value pairs = kernel.sub(groups.endPosition(active), start);
    auto source = [&](Value slot) { return panelOfExpert(expert, panel, slot); };
    product->forChunks(pairs, [&](Value first, Value rows) {
      Value position = kernel.add(start, first);
      product->compute(source, rows, [&](Value row) {
        Value pair = groups.pair(kernel.add(position, row));
        return kernel.rowAddress(kernel.operand(0), groups.rowOfPair(pair),
                                 product->inputRowBytes());
      });
      finishGateUp(kernel, *product, position, rows, panel, 1);
    });
  });
  product->finish();
}

namespace {

/// Tile = two panels of the output's columns, of the rows of the step or,
/// `separate`, of pairs of the groups; of many rows eight panels, of as many rows as
/// give most experts a chunk of pairs. Active experts ascend, so every row adds its
/// experts in ascending order.
class DownEmitter {
public:
  explicit DownEmitter(GpuBuilder &kernel)
      : kernel(kernel), spec(kernel.spec), panels(panelsOf(spec.emb)),
        width(std::min(productPanels(spec, kernel.chip), panels)),
        product(makeGpuProduct(kernel, width)),
        rowsAtOnce(productPanels(spec, kernel.chip) > 2 ? rowsOfPart() : 0),
        groups(kernel, spec, kernel.operand(3)) {}

  void emit();

private:
  // Rows whose pairs with one expert are a chunk, if experts are chosen alike.
  int64_t rowsOfPart() const {
    return std::max<int64_t>(1, product->chunkRows * spec.experts / spec.selected);
  }
  void takeRows(Value number);
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
  const int64_t rowsAtOnce; // of a tile; 0 = all
  PairGroups groups;
  Value firstPanel, firstRow, endRow; // of the current tile
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
  Value parts = kernel.index(1);
  if (rowsAtOnce)
    parts = kernel.quotient(kernel.add(kernel.rows, rowsAtOnce - 1), rowsAtOnce);
  const int64_t mostParts = rowsAtOnce ? (spec.maxRows + rowsAtOnce - 1) / rowsAtOnce : 1;
  // Neighbouring tiles share weights, which then come from the second-level cache.
  kernel.forTiles(kernel.mul(parts, tiles), tiles * mostParts, [&](Value number) {
    auto [tile, part] = rowsAtOnce ? kernel.divide(number, parts) : std::pair(number, Value());
    takeRows(part);
    firstPanel = kernel.mul(tile, width);
    if (!spec.accumulate)
      clear();
    kernel.loop(kernel.index(0), groups.activeCount(), 1,
                [&, tile = tile](Value active) { addExpert(tile, active); });
  });
  product->finish();
}

void DownEmitter::takeRows(Value number) {
  firstRow = number ? kernel.mul(number, rowsAtOnce) : kernel.index(0);
  endRow = kernel.rows;
  if (number)
    endRow = kernel.minimum(kernel.add(firstRow, rowsAtOnce), endRow);
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
  const int64_t each = spec.separate ? spec.selected : 1;
  Value rows = kernel.mul(kernel.sub(endRow, firstRow), each), first = kernel.mul(firstRow, each);
  product->forResults(rows, [&](Value row, Value position) {
    Value to = outputAt(kernel.add(first, row), position);
    whenInside(position, [&] { kernel.store(kernel.number(0.0f), to); });
  });
  kernel.barrier(); // others add to it
}

void DownEmitter::addExpert(Value tile, Value active) {
  Value start = groups.firstPosition(active), expert = groups.expert(active);
  Value end = groups.endPosition(active);
  if (rowsAtOnce) {
    start = firstFrom(kernel, groups, firstRow, start, end);
    end = firstFrom(kernel, groups, endRow, start, end);
  }
  Value pairs = kernel.sub(end, start);
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
