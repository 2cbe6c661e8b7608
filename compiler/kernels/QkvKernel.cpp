// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// qkv: the three projections, RoPE, and the write into the cache. Tile = head:
// first the query heads, then the key heads, then the value heads.
#include "compiler/kernels/CachePages.h"
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/MatrixProduct.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

namespace {

class QkvEmitter {
public:
  explicit QkvEmitter(KernelBuilder &kernel)
      : kernel(kernel), spec(kernel.spec), panels(panelsOf(spec.headDim)),
        product(makeProduct(kernel, panels, /*isRagged=*/false, /*areNeighbours=*/true)),
        result(product->newResult()), pages(kernel, kernel.operand(9)) {}

  void emitTile(Value tile);

private:
  MatrixOperand selectMatrix();
  void finishRow(Value row, Value sums);
  void roundRow(Value sums);
  void rotate(Value row, Value sums);
  void writeQuery(Value row, Value sums);
  void writeKey(Value row, Value sums);
  void writeValue(Value row, Value sums);
  void copyVectors(Value sums, llvm::function_ref<void(Value panel, Value vector)> put);

  KernelBuilder &kernel;
  const KernelSpec &spec;
  int64_t panels; // of one head
  std::unique_ptr<MatrixProduct> product;
  Value result;
  CachePages pages;
  Value isQuery, isKey, head; // of the current tile
};

} // namespace

MatrixOperand QkvEmitter::selectMatrix() {
  auto pick = [&](Value query, Value key, Value value) {
    return kernel.select(isQuery, query, kernel.select(isKey, key, value));
  };
  MatrixOperand matrix;
  matrix.weights = pick(kernel.operand(1), kernel.operand(3), kernel.operand(5));
  matrix.scales = pick(kernel.operand(2), kernel.operand(4), kernel.operand(6));
  const int64_t headColumns = panels * panelColumns;
  Value cacheColumns = kernel.index(spec.kvHeads * headColumns);
  matrix.scaleColumns =
      kernel.select(isQuery, kernel.index(spec.qHeads * headColumns), cacheColumns);
  return matrix;
}

void QkvEmitter::emitTile(Value tile) {
  Value firstKey = kernel.index(spec.qHeads), firstValue = kernel.index(spec.qHeads + spec.kvHeads);
  isQuery = kernel.less(tile, firstKey);
  isKey = kernel.both(kernel.less(tile, firstValue), kernel.equal(isQuery, kernel.bit(false)));
  Value firstHead =
      kernel.select(isQuery, kernel.index(0), kernel.select(isKey, firstKey, firstValue));
  head = kernel.sub(tile, firstHead);
  MatrixOperand matrix = selectMatrix();
  product->forChunks(kernel.rows, [&](Value first, Value rows) {
    auto input = [&](Value row) {
      return kernel.rowAddress(kernel.operand(0), kernel.add(first, row), product->inputRowBytes());
    };
    product->prepare(rows, input, first);
    product->emit(matrix, kernel.mul(head, panels), kernel.index(panels), rows, input, result);
    kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
      finishRow(kernel.add(first, row), product->resultAddress(result, row, kernel.index(0)));
    });
  });
}

void QkvEmitter::finishRow(Value row, Value sums) {
  if (spec.numerics == Numerics::bf16)
    roundRow(sums);
  auto writeCache = [&] {
    kernel.when(
        isKey,
        [&] {
          rotate(row, sums);
          writeKey(row, sums);
        },
        [&] { writeValue(row, sums); });
  };
  kernel.when(
      isQuery,
      [&] {
        rotate(row, sums);
        writeQuery(row, sums);
      },
      writeCache);
}

void QkvEmitter::copyVectors(Value sums, llvm::function_ref<void(Value, Value)> put) {
  kernel.loop(kernel.index(0), kernel.index(panels), 1, [&](Value panel) {
    put(panel, kernel.load(kernel.floats, kernel.rowAddress(sums, panel, rowBytes(1)), 64));
  });
}

void QkvEmitter::roundRow(Value sums) {
  copyVectors(sums, [&](Value panel, Value vector) {
    kernel.store(roundToBf16(kernel, vector), kernel.rowAddress(sums, panel, rowBytes(1)), 64);
  });
}

// Pairs are (d, d + headDim / 2). The rope table holds, per position, a row of
// cosines and a row of sines.
void QkvEmitter::rotate(Value row, Value sums) {
  const int64_t half = spec.headDim / 2;
  int64_t length = VectorBuilder::lanes; // the widest vectors that fill a half
  while (half % length != 0)
    length /= 2;
  Type piece = length == 1 ? kernel.f32 : Type(kernel.vectorOf(kernel.f32, length));
  Value position = kernel.entry(kernel.positions, row);
  Value table = kernel.rowAddress(kernel.operand(7), position, spec.headDim * 4);
  kernel.loop(kernel.index(0), kernel.index(half), length, [&](Value dimension) {
    Value low = kernel.rowAddress(sums, dimension, 4), high = kernel.offset(low, half * 4);
    Value angle = kernel.rowAddress(table, dimension, 4);
    Value cosine = kernel.load(piece, angle);
    Value sine = kernel.load(piece, kernel.offset(angle, half * 4));
    Value a = kernel.load(piece, low), b = kernel.load(piece, high);
    Value turnedA = kernel.sub(kernel.mul(a, cosine), kernel.mul(b, sine));
    Value turnedB = kernel.add(kernel.mul(b, cosine), kernel.mul(a, sine));
    kernel.store(roundActivation(kernel, spec.numerics, turnedA), low);
    kernel.store(roundActivation(kernel, spec.numerics, turnedB), high);
  });
}

void QkvEmitter::writeQuery(Value row, Value sums) {
  Value vector = kernel.mul(kernel.add(kernel.mul(row, spec.qHeads), head), panels);
  Value to = kernel.rowAddress(kernel.operand(8), vector, rowBytes(1));
  copyVectors(sums, [&](Value panel, Value values) {
    kernel.store(values, kernel.rowAddress(to, panel, rowBytes(1)));
  });
}

void QkvEmitter::writeKey(Value row, Value sums) {
  Value position = kernel.entry(kernel.positions, row);
  Value page = pages.pageOf(row, position), slot = pages.slotOf(position);
  Value to = pages.key(page, head, slot);
  if (pages.hasScales())
    kernel.store(pages.quantize(sums, panels * panelColumns), pages.keyScale(page, head, slot));
  kernel.loop(kernel.index(0), kernel.index(spec.headDim), 1, [&](Value dimension) {
    Value element = kernel.load(kernel.f32, kernel.rowAddress(sums, dimension, 4));
    pages.store(element, kernel.rowAddress(to, dimension, spec.pageTokens * pages.elementBytes()));
  });
  kernel.when(kernel.equal(head, kernel.index(0)), [&] {
    Value token = kernel.load(kernel.i32, kernel.rowAddress(kernel.tokens, row, 4));
    Value isVisible = kernel.less(kernel.word(0), token);
    kernel.store(kernel.select(isVisible, kernel.number(1.0f), kernel.number(0.0f)),
                 pages.keep(page, slot));
  });
}

void QkvEmitter::writeValue(Value row, Value sums) {
  Value position = kernel.entry(kernel.positions, row);
  Value page = pages.pageOf(row, position), slot = pages.slotOf(position);
  Value to = pages.value(page, head, slot);
  if (pages.hasScales())
    kernel.store(pages.quantize(sums, panels * panelColumns), pages.valueScale(page, head, slot));
  copyVectors(sums, [&](Value panel, Value values) {
    pages.store(values, kernel.rowAddress(to, panel, panelColumns * pages.elementBytes()));
  });
}

void emitQkv(KernelBuilder &kernel) {
  QkvEmitter emitter(kernel);
  kernel.forTiles([&](Value tile) { emitter.emitTile(tile); });
}

} // namespace grok::compiler
