// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// rms_norm, residual_norm and combine. Tile = row, a block each; padding lanes are
// zero and stay so. Sums are in the order of the CPU kernels, so their bits agree.
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/RowNorm.h"

namespace grok::compiler::gpu_kernels {

void emitRmsNorm(GpuBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb);
  RowNorm norm(kernel, 2);
  Value scale = norm.hold(0, kernel.operand(1));
  kernel.forTiles(kernel.rows, kernel.spec.maxRows, [&](Value row) {
    kernel.barrier(); // the last row has been read
    Value x = norm.hold(1, kernel.rowAddress(kernel.operand(0), row, stride));
    norm.awaitRows();
    norm.emitNorm(x, scale, kernel.rowAddress(kernel.operand(2), row, stride));
  });
}

// Piece `at` of the rows [first, last) of `parts`, as a balanced tree: the order in
// which collectives add (runtime/collectives/TreeSum.h).
static Value sumOfParts(GpuBuilder &kernel, RowNorm &norm, Value parts, Value at, int64_t first,
                        int64_t last) {
  if (last - first == 1)
    return norm.piece(kernel.offset(parts, first * rowBytes(kernel.spec.emb)), at);
  int64_t half = 1;
  while (2 * half < last - first)
    half *= 2;
  return kernel.add(sumOfParts(kernel, norm, parts, at, first, first + half),
                    sumOfParts(kernel, norm, parts, at, first + half, last));
}

void emitResidualNorm(GpuBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb), parts = kernel.spec.parts;
  RowNorm norm(kernel, 4);
  Value post = norm.hold(0, kernel.operand(2)), next = norm.hold(1, kernel.operand(3));
  kernel.forTiles(kernel.rows, kernel.spec.maxRows, [&](Value row) {
    kernel.barrier(); // the last row has been read
    Value stream = kernel.rowAddress(kernel.operand(0), row, stride);
    Value output = kernel.rowAddress(kernel.operand(4), row, stride);
    Value given = kernel.rowAddress(kernel.operand(1), row, parts * stride);
    Value before = norm.hold(2, stream), added;
    if (parts == 1) {
      added = norm.hold(3, given);
    } else { // summed into the row of the output, which is written last, if not held
      added = norm.holder(3, output);
      norm.forPieces(
          [&](Value at) { norm.put(sumOfParts(kernel, norm, given, at, 0, parts), added, at); });
    }
    norm.awaitRows();
    Value inverse = norm.inverseRms(added);
    norm.forPieces([&](Value at) {
      Value scaled = norm.normalized(norm.piece(added, at), inverse, norm.piece(post, at));
      Value sum = kernel.add(norm.piece(before, at), scaled);
      norm.put(sum, stream, at);
      if (norm.holdsRows())
        norm.put(sum, before, at);
    });
    norm.emitNorm(before, next, output);
  });
}

// Places of a row's choices in the order of their experts' ids, the lower choice
// first where they are equal: order[place] = choice.
static void emitOrder(GpuBuilder &kernel, Value experts, Value order) {
  const int64_t selected = kernel.spec.selected;
  kernel.forThreads(selected, [&](Value choice) {
    Value own = kernel.entry(experts, choice);
    Values place =
        kernel.loop(kernel.index(0), kernel.index(selected), 1, {kernel.index(0)},
                    [&](Value other, ValueRange count) -> Values {
                      Value id = kernel.entry(experts, other);
                      Value isBefore =
                          kernel.both(kernel.equal(id, own), kernel.less(other, choice));
                      isBefore = kernel.bitOr(isBefore, kernel.less(id, own));
                      return {kernel.add(count[0], kernel.widenUnsigned(isBefore, kernel.i64))};
                    });
    kernel.store(kernel.toWord(choice), kernel.rowAddress(order, place[0], 4));
  });
}

// Gate-weighted rows of the selected experts, added in the order of their ids as
// down_combine does.
void emitCombine(GpuBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb), selected = kernel.spec.selected;
  RowNorm row(kernel, 0);
  Value order = kernel.sharedMemory(selected * 4);
  kernel.forTiles(kernel.rows, kernel.spec.maxRows, [&](Value number) {
    Value output = kernel.rowAddress(kernel.operand(3), number, stride);
    Value gates = kernel.rowAddress(kernel.operand(1), number, selected * 4);
    Value from = kernel.rowAddress(kernel.operand(0), number, selected * stride);
    kernel.barrier(); // the last row's order has been read
    emitOrder(kernel, kernel.rowAddress(kernel.operand(2), number, selected * 4), order);
    kernel.barrier();
    row.forPieces([&](Value at) {
      Values sum = kernel.loop(
          kernel.index(0), kernel.index(selected), 1, {kernel.broadcast(kernel.number(0.0f), 4)},
          [&](Value place, ValueRange carried) -> Values {
            Value choice = kernel.entry(order, place);
            Value gate = kernel.load(kernel.f32, kernel.rowAddress(gates, choice, 4));
            Value x = row.piece(kernel.rowAddress(from, choice, stride), at);
            return {kernel.multiplyAdd(kernel.broadcast(gate, 4), x, carried[0])};
          });
      row.put(sum[0], output, at);
    });
  });
}

} // namespace grok::compiler::gpu_kernels
