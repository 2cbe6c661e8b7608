// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// exchange_norm: one exchange of few rows, their sum over the members, and residual_norm
// of that, with the bits of the two kernels. Several blocks share a row's words: those
// of a cluster, which send each other their sums and norm the whole row each, or, where
// chips have no clusters, any, of which the last to come norms the row.
// Operands: source, residual, post scale, next scale, output, GrokExchange.
#include "compiler/targets/nvidia/generators/ExchangeWindows.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/RowNorm.h"

namespace grok::compiler {

static constexpr int64_t rowBlocks = 8; // a portable cluster; 24 KiB of eight members are 3 each
static constexpr int64_t heldRows = 4;

int64_t exchangeNormClusterBlocks(const NvidiaChip &chip) {
  return chip.hasBulkCopies ? rowBlocks : 1;
}

int64_t exchangeNormRows(int64_t emb, const NvidiaChip &chip) {
  return RowNorm::fits(emb, heldRows, chip) ? grokExchangeWords / paddedColumns(emb) : 0;
}

namespace gpu_kernels {
namespace {

class ExchangeNorm {
public:
  explicit ExchangeNorm(GpuBuilder &kernel);
  void emit();

private:
  Value stream(Value row) { return kernel.rowAddress(kernel.operand(1), row, words * 4); }
  // One of the words of part `part` of a row.
  struct Word {
    Value exists, column;
  };
  void exchange(Value row, Value part, llvm::function_ref<void()> meet,
                llvm::function_ref<void(Value sum, Value column)> keep);
  void emitByClusters();
  void emitByLastBlocks();
  Value isLastPart(Value row);
  void emitNorm(Value row, Value added, Value before, RowPart own);

  GpuBuilder &kernel;
  const int64_t words, partWords; // of a row; of its parts, but for the last ones
  RowNorm norm;
  Value post, next; // held
  std::optional<ExchangeWindows> windows;
};

} // namespace

// Scales are weights: they come while earlier launches still work.
ExchangeNorm::ExchangeNorm(GpuBuilder &kernel)
    : kernel(kernel), words(paddedColumns(kernel.spec.emb)),
      partWords((panelsOf(kernel.spec.emb) + rowBlocks - 1) / rowBlocks * panelColumns),
      norm(kernel, heldRows), post(norm.hold(0, kernel.operand(2))),
      next(norm.hold(1, kernel.operand(3))) {
  kernel.waitForEarlierLaunches();
  windows.emplace(kernel, kernel.operand(5));
}

// All words of a part leave before the first is waited for. keep() gets every sum of the
// part, after meet().
void ExchangeNorm::exchange(Value row, Value part, llvm::function_ref<void()> meet,
                            llvm::function_ref<void(Value, Value)> keep) {
  Value now = kernel.add(windows->number, kernel.word(1));
  Value first = kernel.mul(part, partWords), start = kernel.mul(row, words);
  std::vector<Word> own;
  Values positions; // of a word that does not exist: of the thread's first
  for (int64_t at = 0; at < partWords; at += kernel.threads) {
    Value inPart = kernel.add(kernel.thread, at), column = kernel.add(first, inPart);
    Value exists = kernel.both(kernel.less(inPart, kernel.index(partWords)),
                               kernel.less(column, kernel.index(words)));
    own.push_back({exists, column});
    positions.push_back(kernel.add(start, kernel.select(exists, column, own[0].column)));
  }
  for (auto [word, position] : llvm::zip_equal(own, positions))
    kernel.when(word.exists, [&, position = position] {
      Value from = kernel.rowAddress(kernel.operand(0), position, 4);
      windows->send(kernel.load(kernel.i32, from), position, now);
    });
  meet();
  kernel.when(own[0].exists, [&] {
    const Values all = windows->await(positions, now);
    for (auto [i, word] : llvm::enumerate(own))
      kernel.when(word.exists, [&, i = i, &word = word] {
        ValueRange ofMembers = ValueRange(all).slice(i * grokExchangeMembers, grokExchangeMembers);
        keep(windows->sumOf(ofMembers), word.column);
      });
  });
}

// residual_norm of a held row that the block's threads have written or await; of the
// results `own` is stored.
void ExchangeNorm::emitNorm(Value row, Value added, Value before, RowPart own) {
  Value inverse = norm.inverseRms(added);
  norm.forPieces([&](Value at) {
    Value scaled = norm.normalized(norm.piece(added, at), inverse, norm.piece(post, at));
    norm.put(kernel.add(norm.piece(before, at), scaled), before, at);
  });
  Value ofSum = norm.inverseRms(before);
  Value output = kernel.rowAddress(kernel.operand(4), row, words * 4);
  norm.forPieces(own, [&](Value at) {
    Value sum = norm.piece(before, at);
    norm.put(sum, stream(row), at);
    norm.put(norm.normalized(sum, ofSum, norm.piece(next, at)), output, at);
  });
}

// The first meeting: all blocks are there and have used the last row's sums. The second:
// all have the sums and the residual, which then may be overwritten.
void ExchangeNorm::emitByClusters() {
  kernel.forTiles(kernel.rows, kernel.spec.maxRows, [&](Value row) {
    Value before, added = norm.holder(3, Value());
    exchange(
        row, kernel.rank,
        [&] {
          kernel.meetCluster();
          before = norm.hold(2, stream(row));
        },
        [&](Value sum, Value column) {
          for (int64_t block = 0; block < rowBlocks; ++block)
            kernel.store(sum,
                         kernel.sharedOf(kernel.index(block), kernel.rowAddress(added, column, 4)));
        });
    norm.awaitRows();
    kernel.meetCluster();
    Value from = kernel.minimum(kernel.mul(kernel.rank, partWords), kernel.index(words));
    Value to = kernel.minimum(kernel.add(from, partWords), kernel.index(words));
    emitNorm(row, added, before, {kernel.mul(from, 4), kernel.mul(to, 4)});
  });
}

// Whether all other parts of the row are there.
Value ExchangeNorm::isLastPart(Value row) {
  Value isLast = kernel.sharedMemory(4);
  Value counters = kernel.scratchMemory(kernel.spec.maxRows * 4);
  kernel.barrier();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    Value counter = kernel.rowAddress(counters, row, 4);
    Value before = kernel.fetchAdd(counter, kernel.word(1));
    Value isTheLast = kernel.equal(before, kernel.word(rowBlocks - 1));
    kernel.store(kernel.widenUnsigned(isTheLast, kernel.i32), isLast);
    kernel.when(isTheLast, [&] { kernel.store(kernel.word(0), counter); });
  });
  kernel.barrier();
  return kernel.equal(kernel.load(kernel.i32, isLast), kernel.word(1));
}

// A part is there when it was read, too: the output may take the source's place.
void ExchangeNorm::emitByLastBlocks() {
  const int64_t rows = kernel.spec.maxRows;
  Value sums = kernel.scratchMemory(rows * words * 4);
  kernel.forTiles(kernel.mul(kernel.rows, rowBlocks), rows * rowBlocks, [&](Value tile) {
    Value row = kernel.quotient(tile, rowBlocks), part = kernel.remainder(tile, rowBlocks);
    Value sumsOfRow = kernel.rowAddress(sums, row, words * 4);
    exchange(
        row, part, [] {},
        [&](Value sum, Value column) {
          kernel.store(sum, kernel.rowAddress(sumsOfRow, column, 4));
        });
    kernel.when(isLastPart(row), [&] {
      Value before = norm.hold(2, stream(row)), added = norm.hold(3, sumsOfRow);
      norm.awaitRows();
      emitNorm(row, added, before, norm.wholeRow());
    });
  });
}

void ExchangeNorm::emit() {
  kernel.awaitPeers();
  if (kernel.clusterBlocks > 1)
    emitByClusters();
  else
    emitByLastBlocks();
  windows->finish(kernel.index(1));
}

void emitExchangeNorm(GpuBuilder &kernel) { ExchangeNorm(kernel).emit(); }

} // namespace gpu_kernels
} // namespace grok::compiler
