// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/RowNorm.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t pieceBytes = 16; // four columns: what a thread moves at a time
static constexpr int64_t chainCount = 4, loadsAhead = 32, sharedForOthers = 4096;

bool RowNorm::fits(int64_t emb, int64_t rows, const NvidiaChip &chip) {
  return rows * rowBytes(emb) <= chip.sharedBytes - sharedForOthers;
}

RowNorm::RowNorm(GpuBuilder &kernel, int64_t rows)
    : kernel(kernel), stride(rowBytes(kernel.spec.emb)),
      chainSums(kernel.sharedMemory(chainCount * panelColumns * 4 / 2)) {
  if (fits(kernel.spec.emb, rows, kernel.chip))
    for (int64_t i = 0; i < rows; ++i)
      held.push_back(kernel.sharedMemory(stride));
}

void RowNorm::forPieces(RowPart part, llvm::function_ref<void(Value)> body) {
  kernel.loop(kernel.add(part.from, kernel.mul(kernel.thread, pieceBytes)), part.to,
              pieceBytes * kernel.threads, body);
}

Value RowNorm::piece(Value row, Value at) {
  return kernel.load(kernel.vectorOf(kernel.f32, 4), kernel.offset(row, at), pieceBytes);
}

void RowNorm::put(Value value, Value row, Value at) {
  kernel.store(value, kernel.offset(row, at), pieceBytes);
}

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

} // namespace grok::compiler
