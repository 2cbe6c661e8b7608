// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// rms_norm, residual_norm and combine. Tile = row, a block each; padding lanes are
// zero and stay so. Sums are in the order of the CPU kernels, so their bits agree.
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include <algorithm>

namespace grok::compiler::gpu_kernels {

static constexpr int64_t pieceBytes = 16; // four columns: what a thread moves at a time

namespace {

// The norm of one row at a time, beside up to `rows` that are held in shared memory if
// all of them fit.
class RowNorm {
public:
  RowNorm(GpuBuilder &kernel, int64_t rows)
      : kernel(kernel), stride(rowBytes(kernel.spec.emb)),
        chainSums(kernel.sharedMemory(chainCount * panelColumns * 4 / 2)) {
    if (rows * stride <= kernel.chip.sharedBytes - sharedForOthers)
      for (int64_t i = 0; i < rows; ++i)
        held.push_back(kernel.sharedMemory(stride));
  }

  // Where row number `place` is held, or `otherwise`.
  Value holder(size_t place, Value otherwise) { return held.empty() ? otherwise : held[place]; }
  bool holdsRows() const { return !held.empty(); }
  // Starts to copy a row into its holder; gives where to read it after awaitRows() and
  // the barrier of inverseRms().
  Value hold(size_t place, Value row);
  void awaitRows();

  // 1 / sqrt(mean of squares + eps), in all threads.
  Value inverseRms(Value row);
  // What body(at) gives for the pieces at byte `at` of a row.
  void forPieces(llvm::function_ref<void(Value at)> body) {
    kernel.loop(kernel.mul(kernel.thread, pieceBytes), kernel.index(stride),
                pieceBytes * kernel.threads, body);
  }
  Value piece(Value row, Value at) {
    return kernel.load(kernel.vectorOf(kernel.f32, 4), kernel.offset(row, at), pieceBytes);
  }
  void put(Value value, Value row, Value at) {
    kernel.store(value, kernel.offset(row, at), pieceBytes);
  }
  // row * inverse * scale
  Value normalized(Value x, Value inverse, Value scale) {
    return kernel.mul(scale, kernel.mul(x, kernel.broadcast(inverse, 4)));
  }
  // output = rms_norm(row) * scale
  void emitNorm(Value row, Value scale, Value output);

private:
  static constexpr int64_t chainCount = 4, loadsAhead = 32, sharedForOthers = 4096;

  Value chainOfSquares(Value row);

  GpuBuilder &kernel;
  int64_t stride;
  Value chainSums; // float32 [2][16]: chains 0 + 1 and 2 + 3, lane by lane
  Values held;
};

} // namespace

Value RowNorm::hold(size_t place, Value row) {
  if (held.empty())
    return row;
  forPieces([&](Value at) {
    kernel.copyAsync(kernel.offset(held[place], at), kernel.offset(row, at), pieceBytes);
  });
  return held[place];
}

void RowNorm::awaitRows() {
  if (held.empty())
    return;
  kernel.commitCopies();
  kernel.waitForCopies(0);
}

// Vector i of 16 columns belongs to chain i mod 4: threads 0 .. 63 are the lanes of
// the chains.
Value RowNorm::chainOfSquares(Value row) {
  const int64_t vectors = panelsOf(kernel.spec.emb), rounds = vectors / chainCount;
  constexpr int64_t roundBytes = chainCount * panelColumns * 4;
  Value own = kernel.rowAddress(row, kernel.thread, 4);
  auto addSquares = [&](Value from, int64_t count, Value chain) {
    Values loaded;
    for (int64_t i = 0; i < count; ++i)
      loaded.push_back(kernel.load(kernel.f32, kernel.offset(from, i * roundBytes)));
    for (Value x : loaded)
      chain = kernel.multiplyAdd(x, x, chain);
    return chain;
  };
  const int64_t ahead = std::min(rounds, loadsAhead), whole = ahead ? rounds / ahead * ahead : 0;
  Value chain = kernel.number(0.0f);
  if (whole)
    chain = kernel.loop(kernel.index(0), kernel.index(whole * roundBytes), ahead * roundBytes,
                        {chain}, [&](Value at, ValueRange carried) -> Values {
                          return {addSquares(kernel.offset(own, at), ahead, carried[0])};
                        })[0];
  chain = addSquares(kernel.offset(own, whole * roundBytes), rounds - whole, chain);
  if (vectors % chainCount == 0)
    return chain;
  // The last vectors belong to the first chains; others stay as they are.
  Value isMine = kernel.less(kernel.thread, kernel.index(vectors % chainCount * panelColumns));
  Value last = kernel.select(isMine, kernel.offset(own, rounds * roundBytes), row);
  return kernel.select(isMine, addSquares(last, 1, chain), chain);
}

Value RowNorm::inverseRms(Value row) {
  constexpr int64_t sums = chainCount / 2 * panelColumns;
  Value lane = kernel.remainder(kernel.thread, panelColumns);
  kernel.barrier(); // the row is written, the last sums have been read
  kernel.when(kernel.less(kernel.warp, kernel.index(2)), [&] {
    Value chain = chainOfSquares(row);
    Value pair = kernel.add(chain, kernel.shuffleXor(chain, panelColumns));
    kernel.when(kernel.less(kernel.lane, kernel.index(panelColumns)), [&] {
      Value at = kernel.add(kernel.mul(kernel.warp, panelColumns), lane);
      kernel.store(pair, kernel.rowAddress(chainSums, at, 4));
    });
  });
  kernel.barrier();
  Value own = kernel.rowAddress(chainSums, lane, 4);
  Value sum = kernel.add(kernel.load(kernel.f32, own),
                         kernel.load(kernel.f32, kernel.offset(own, sums / 2 * 4)));
  for (int32_t mask = panelColumns / 2; mask > 0; mask /= 2)
    sum = kernel.add(sum, kernel.shuffleXor(sum, mask));
  Value mean = kernel.div(sum, kernel.number(static_cast<float>(kernel.spec.emb)));
  Value shifted = kernel.add(mean, kernel.number(static_cast<float>(kernel.spec.eps)));
  return kernel.div(kernel.number(1.0f), kernel.sqrt(shifted));
}

void RowNorm::emitNorm(Value row, Value scale, Value output) {
  Value inverse = inverseRms(row);
  forPieces(
      [&](Value at) { put(normalized(piece(row, at), inverse, piece(scale, at)), output, at); });
}

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
