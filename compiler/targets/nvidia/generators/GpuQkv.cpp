// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// qkv: the three projections, RoPE, and the write into the cache. Heads in order:
// query heads, key heads, value heads.
#include "compiler/kernels/CacheCodes.h"
#include "compiler/targets/nvidia/generators/GpuCachePages.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/GpuProduct.h"

namespace grok::compiler::gpu_kernels {

namespace {

/// A tile is a chunk of rows by two panels of a head whose dimensions are d and
/// d + headDim / 2, so that RoPE finds both; or by the whole head, where halves are
/// no whole panels, a cache of codes needs the head's largest value or the product
/// takes so many panels at once.
class QkvEmitter {
public:
  explicit QkvEmitter(GpuBuilder &kernel)
      : kernel(kernel), spec(kernel.spec), panels(panelsOf(spec.headDim)),
        isWhole(spec.headDim % (2 * panelColumns) != 0 || hasCodes(spec.kv) ||
                productPanels(spec, kernel.chip) > 2),
        slots(isWhole ? panels : 2), pieces(panels / slots), product(makeGpuProduct(kernel, slots)),
        pages(kernel, kernel.operand(9)) {
    if (pages.hasScales())
      turned = product->spareMemory(product->chunkRows * slots * panelColumns * 4);
  }

  void emit();

private:
  // Of all heads in order: which projection's a head is, and its number there.
  struct Head {
    Value isQuery, isKey, number;
  };
  Head headOf(Value headOfAll);
  void emitTile(Value headOfAll, Value rows);
  GpuPanel panelOf(const Head &of, Value pieceOfHead, Value slot);
  Value dimensionOf(Value position);
  void finish(Value row, Value position);
  Value rotated(Value row, Value dimension, Value position);
  void writeCache(Value row, Value dimension, Value value);
  void writeCodes(Value rows);
  void writeKeep(Value row);

  GpuBuilder &kernel;
  const KernelSpec &spec;
  const int64_t panels; // of one head
  const bool isWhole;
  const int64_t slots, pieces;
  std::unique_ptr<GpuProduct> product;
  GpuCachePages pages;
  Value turned;                                // float32 [chunk rows][head], shared: cache of codes
  Value isQuery, isKey, head, piece, firstRow; // of the current tile
};

} // namespace

void QkvEmitter::emit() {
  const int64_t heads = spec.qHeads + 2 * spec.kvHeads;
  Value chunks = product->chunksOf(kernel.rows);
  const int64_t mostChunks = (spec.maxRows + product->chunkRows - 1) / product->chunkRows;
  Value tiles = kernel.mul(chunks, heads * pieces);
  product->announce(product->sequenceOfTiles(tiles, [=, this](Value tile, Value slot) {
    Value part = kernel.divide(tile, chunks).first;
    return panelOf(headOf(kernel.quotient(part, pieces)), kernel.remainder(part, pieces), slot);
  }));
  kernel.waitForEarlierLaunches();
  kernel.forTiles(tiles, heads * pieces * mostChunks, [&](Value tile) {
    auto [part, chunk] = kernel.divide(tile, chunks);
    piece = kernel.remainder(part, pieces);
    firstRow = kernel.mul(chunk, product->chunkRows);
    emitTile(kernel.quotient(part, pieces), product->rowsOfChunk(kernel.rows, chunk));
  });
  product->finish();
}

QkvEmitter::Head QkvEmitter::headOf(Value headOfAll) {
  Value firstKey = kernel.index(spec.qHeads), firstValue = kernel.index(spec.qHeads + spec.kvHeads);
  Value isQuery = kernel.less(headOfAll, firstKey);
  Value isKey =
      kernel.both(kernel.less(headOfAll, firstValue), kernel.equal(isQuery, kernel.bit(false)));
  Value firstHead =
      kernel.select(isQuery, kernel.index(0), kernel.select(isKey, firstKey, firstValue));
  return {isQuery, isKey, kernel.sub(headOfAll, firstHead)};
}

void QkvEmitter::emitTile(Value headOfAll, Value rows) {
  const Head of = headOf(headOfAll);
  isQuery = of.isQuery;
  isKey = of.isKey;
  head = of.number;
  auto input = [&](Value row) {
    return kernel.rowAddress(kernel.operand(0), kernel.add(firstRow, row),
                             product->inputRowBytes());
  };
  product->compute([&](Value slot) { return panelOf(of, piece, slot); }, rows, input);
  product->forResults(rows, [&](Value row, Value position) { finish(row, position); });
  if (pages.hasScales())
    kernel.when(kernel.equal(isQuery, kernel.bit(false)), [&] { writeCodes(rows); });
}

GpuPanel QkvEmitter::panelOf(const Head &of, Value pieceOfHead, Value slot) {
  auto pick = [&](Value query, Value key, Value value) {
    return kernel.select(of.isQuery, query, kernel.select(of.isKey, key, value));
  };
  Value inside = isWhole ? slot : kernel.add(pieceOfHead, kernel.mul(slot, panels / 2));
  Value panel = kernel.add(kernel.mul(of.number, panels), inside);
  const int64_t headColumns = panels * panelColumns;
  Value weights = pick(kernel.operand(1), kernel.operand(3), kernel.operand(5));
  Value scales = pick(kernel.operand(2), kernel.operand(4), kernel.operand(6));
  return {kernel.rowAddress(weights, panel, spec.weight.panelBytes(spec.emb)),
          kernel.rowAddress(scales, panel, panelColumns * 2),
          kernel.select(of.isQuery, kernel.index(spec.qHeads * headColumns),
                        kernel.index(spec.kvHeads * headColumns))};
}

// Of a result's position.
Value QkvEmitter::dimensionOf(Value position) {
  if (isWhole)
    return position;
  Value half = kernel.mul(kernel.quotient(position, panelColumns), spec.headDim / 2);
  Value inside = kernel.remainder(position, panelColumns);
  return kernel.add(kernel.add(half, inside), kernel.mul(piece, panelColumns));
}

void QkvEmitter::finish(Value row, Value position) {
  Value dimension = dimensionOf(position), number = kernel.add(firstRow, row);
  auto writeQuery = [&] {
    Value vector = kernel.add(kernel.mul(number, spec.qHeads), head);
    Value to = kernel.rowAddress(kernel.operand(8), vector, rowBytes(spec.headDim));
    kernel.store(rotated(row, dimension, position), kernel.rowAddress(to, dimension, 4));
  };
  kernel.when(isQuery, writeQuery, [&] {
    auto put = [&](Value value) {
      if (!pages.hasScales())
        return writeCache(number, dimension, value);
      Value to = kernel.rowAddress(turned, row, slots * panelColumns * 4);
      kernel.store(value, kernel.rowAddress(to, position, 4));
    };
    kernel.when(
        isKey, [&] { put(rotated(row, dimension, position)); },
        [&] { put(product->result(row, position)); });
    Value isFirst =
        kernel.both(kernel.equal(dimension, kernel.index(0)), kernel.equal(head, kernel.index(0)));
    kernel.when(kernel.both(isFirst, isKey), [&] { writeKeep(number); });
  });
}

// Pairs are (d, d + headDim / 2). The rope table holds, per position, a row of
// cosines and a row of sines. Padding stays 0.
Value QkvEmitter::rotated(Value row, Value dimension, Value position) {
  const int64_t half = spec.headDim / 2, apart = isWhole ? half : panelColumns;
  Value isLow = kernel.less(dimension, kernel.index(half));
  Value isReal = kernel.less(dimension, kernel.index(spec.headDim));
  Value other = kernel.select(isLow, kernel.add(position, apart), kernel.add(position, -apart));
  Value angleNumber = kernel.select(isLow, dimension, kernel.add(dimension, -half));
  angleNumber = kernel.select(isReal, angleNumber, kernel.index(0));
  Value angle = kernel.entry(kernel.positions, kernel.add(firstRow, row));
  angle = kernel.rowAddress(kernel.operand(7), angle, spec.headDim * 4);
  angle = kernel.rowAddress(angle, angleNumber, 4);
  Value cosine = kernel.load(kernel.f32, angle);
  Value sine = kernel.load(kernel.f32, kernel.offset(angle, half * 4));
  Value own = product->result(row, position), partner = product->result(row, other);
  Value straight = kernel.mul(own, cosine), crossed = kernel.mul(partner, sine);
  Value turned = kernel.select(isLow, kernel.sub(straight, crossed), kernel.add(straight, crossed));
  return kernel.select(isReal, turned, own);
}

void QkvEmitter::writeCache(Value row, Value dimension, Value value) {
  Value position = kernel.entry(kernel.positions, row);
  Value page = pages.pageOf(row, position), slot = pages.slotOf(position);
  kernel.when(
      isKey,
      [&] {
        kernel.when(kernel.less(dimension, kernel.index(spec.headDim)),
                    [&] { pages.store(value, pages.key(page, head, dimension, slot)); });
      },
      [&] { pages.store(value, pages.value(page, head, slot, dimension)); });
}

void QkvEmitter::writeKeep(Value row) {
  Value position = kernel.entry(kernel.positions, row);
  Value page = pages.pageOf(row, position), slot = pages.slotOf(position);
  Value token = kernel.load(kernel.i32, kernel.rowAddress(kernel.tokens, row, 4));
  Value isVisible = kernel.less(kernel.word(0), token);
  kernel.store(kernel.select(isVisible, kernel.number(1.0f), kernel.number(0.0f)),
               pages.keep(page, slot));
}

// A warp to a row: codes of a head share one scale (docs/numerics.md).
void QkvEmitter::writeCodes(Value rows) {
  const int64_t columns = slots * panelColumns;
  kernel.barrier();
  kernel.loop(kernel.warp, rows, kernel.warps, [&](Value row) {
    Value from = kernel.rowAddress(turned, row, columns * 4);
    auto at = [&](Value column) {
      return kernel.load(kernel.f32, kernel.rowAddress(from, column, 4));
    };
    Values top =
        kernel.loop(kernel.lane, kernel.index(columns), kernel.index(warpLanes),
                    {kernel.number(0.0f)}, [&](Value column, mlir::ValueRange carried) -> Values {
                      Value size = kernel.fromBits(
                          kernel.bitAnd(kernel.bitsOf(at(column)), kernel.word(0x7fffffff)));
                      return {kernel.maximum(size, carried[0])};
                    });
    Value largest = kernel.warpMaximum(top[0]), limit = kernel.number(largestCode(spec.kv));
    Value inverse = kernel.select(kernel.less(kernel.number(0.0f), largest),
                                  kernel.div(limit, largest), kernel.number(0.0f));
    Value number = kernel.add(firstRow, row), position = kernel.entry(kernel.positions, number);
    Value page = pages.pageOf(number, position), slot = pages.slotOf(position);
    kernel.loop(kernel.lane, kernel.index(columns), warpLanes, [&](Value column) {
      Value code = codeOf(kernel, spec.kv, kernel.mul(at(column), inverse));
      writeCache(number, column, kernel.fromBits(code));
    });
    kernel.when(kernel.equal(kernel.lane, kernel.index(0)), [&] {
      Value scale = kernel.div(largest, limit);
      kernel.when(
          isKey, [&] { kernel.store(scale, pages.keyScale(page, head, slot)); },
          [&] { kernel.store(scale, pages.valueScale(page, head, slot)); });
    });
  });
}

void emitQkv(GpuBuilder &kernel) { QkvEmitter(kernel).emit(); }

} // namespace grok::compiler::gpu_kernels
