// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/Tcgen05Product.h"

#include "llvm/Support/MathExtras.h"
#include <algorithm>

namespace grok::compiler {

static constexpr int64_t accumulators = 2;
static constexpr int64_t quarterLanes = 32; // of tensor memory, that a warp reaches
static constexpr int64_t pieceWords = 16;   // of a lane, that a warp loads at once

bool Tcgen05Product::fits(const KernelSpec &spec, const NvidiaChip &chip) {
  return chip.name == "sm_100a" && WarpgroupProduct::fits(spec);
}

// 96 rows are what registers hold beside the addresses of a simple tile, 64 beside those
// of others. Of two digits tensor memory holds 80: two accumulators of two columns a row,
// and two levels of the tree.
static int64_t chunkRowsOf(int64_t digits, bool isSimple) {
  if (!isSimple)
    return 64;
  return digits == 1 ? 96 : 80;
}

Tcgen05Product::Tcgen05Product(GpuBuilder &kernel, int64_t slots)
    : WarpgroupProduct(kernel, slots,
                       {.chunkRows = chunkRowsOf(kernel.spec.digits, isSimple(kernel.spec)),
                        .registers = 176,
                        .registerLevels = 1,
                        .rowsOfFour = 4}),
      columns(static_cast<int32_t>(llvm::PowerOf2Ceil(
          (accumulators * digits + std::max<int64_t>(memoryLevels - 1, 0)) * chunkRows))),
      pieceColumns(pieceWords / digits), addressPlace(kernel.sharedMemory(4)),
      done(kernel.sharedMemory(8 * accumulators)) {
  assert(columns <= 512);
  kernel.when(kernel.less(kernel.warp, kernel.index(1)), [&] {
    kernel.allocateTensor(addressPlace, columns);
    kernel.fenceTensorBefore();
  });
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    for (int64_t i = 0; i < accumulators; ++i)
      kernel.initBarrier(kernel.offset(done, 8 * i), 1);
  }); // compute() begins with a barrier
}

void Tcgen05Product::begin() {
  kernel.fenceTensorAfter();
  tensor = kernel.load(kernel.i32, addressPlace);
}

void Tcgen05Product::finish() {
  kernel.fenceTensorBefore();
  kernel.barrier();
  kernel.when(kernel.less(kernel.warp, kernel.index(1)), [&] {
    kernel.fenceTensorAfter();
    kernel.freeTensor(kernel.load(kernel.i32, addressPlace), columns);
  });
}

// Warps w and w + 4 of the eight reach two panels' columns; each has half of the rows.
WarpgroupProduct::Place Tcgen05Product::placeOf(int64_t width) const {
  Value panels = kernel.mul(kernel.remainder(groupWarp, groupWarps), quarterLanes / panelColumns);
  return {kernel.add(panels, kernel.quotient(kernel.lane, panelColumns)),
          kernel.remainder(kernel.lane, panelColumns),
          kernel.mul(kernel.quotient(groupWarp, groupWarps), width / 2)};
}

// ---- by one thread

void Tcgen05Product::byIssuer(llvm::function_ref<void()> body) const {
  kernel.when(kernel.equal(groupWarp, kernel.index(0)),
              [&] { kernel.when(kernel.isElected(), body); });
  kernel.syncWarp();
}

Value Tcgen05Product::accumulatorOf(Value unitNumber) const {
  Value which = kernel.bitAnd(numberOf(unitNumber), kernel.word(accumulators - 1));
  return kernel.add(tensor,
                    kernel.mul(which, kernel.word(static_cast<int32_t>(digits * chunkRows))));
}

// As soon as the unit's stage is full and the sums of the last but one have been read,
// which ended the phase of its stage's other barrier. Before the first two units nobody
// read any: fresh barriers are past the phase before their first.
void Tcgen05Product::issue(Value unitNumber, int64_t width) {
  Stage last = stageOf(kernel.add(unitNumber, -accumulators)), stage = stageOf(unitNumber);
  kernel.waitForPhase(last.empty, last.parity);
  kernel.waitForPhase(stage.full, stage.parity);
  kernel.fenceTensorAfter();
  Value a = kernel.tensorDescriptor(stage.weights), b = kernel.tensorDescriptor(stage.codes);
  Value d = accumulatorOf(unitNumber);
  for (int64_t step = 0; step < unit / stepInputs; ++step) {
    const int64_t start = step * stepInputs / 16; // descriptors count 16 bytes
    kernel.multiplyBytesTensor(d, kernel.add(a, start), kernel.add(b, start),
                               static_cast<int32_t>(digits * width), /*accumulates=*/step > 0);
  }
  Value which = kernel.toIndex(kernel.bitAnd(numberOf(unitNumber), kernel.word(accumulators - 1)));
  kernel.commitTensor(kernel.rowAddress(done, which, 8));
}

void Tcgen05Product::beginUnits(int64_t width) {
  byIssuer([&] { issue(kernel.index(0), width); });
}

// ---- by the multiplying warps

static int32_t log2Of(int64_t count) { return static_cast<int32_t>(llvm::Log2_64(count)); }

Value Tcgen05Product::columnAt(Value address, int64_t column) const {
  return kernel.add(address, kernel.word(static_cast<int32_t>(column)));
}

// The part of columns that begin at `address` which this warp reads.
Value Tcgen05Product::ownColumns(Value address, int64_t width) const {
  Value warp = kernel.toWord(groupWarp);
  Value lanes =
      kernel.shiftLeft(kernel.bitAnd(warp, kernel.word(groupWarps - 1)), 16 + log2Of(quarterLanes));
  Value half = kernel.mul(kernel.shiftRight(warp, log2Of(groupWarps)),
                          kernel.word(static_cast<int32_t>(width / 2)));
  return kernel.add(kernel.add(address, lanes), half);
}

void Tcgen05Product::forUnitSums(const Stage &stage, Value unitNumber, int64_t width,
                                 llvm::function_ref<void()> whenFull,
                                 llvm::function_ref<void(int64_t, ValueRange)> body) {
  Value next = kernel.add(unitNumber, 1);
  byIssuer(
      [&] { kernel.when(kernel.less(next, kernel.index(units)), [&] { issue(next, width); }); });
  Value number = numberOf(unitNumber);
  Value which = kernel.toIndex(kernel.bitAnd(number, kernel.word(accumulators - 1)));
  Value parity = kernel.bitAnd(kernel.shiftRight(number, log2Of(accumulators)), kernel.word(1));
  kernel.waitForPhase(stage.full, stage.parity);
  whenFull();
  kernel.waitForPhase(kernel.rowAddress(done, which, 8), parity);
  kernel.fenceTensorAfter();
  Value address = ownColumns(accumulatorOf(unitNumber), width);
  for (int64_t first = 0; first < width / 2; first += pieceColumns) {
    Values pieces;
    for (int64_t digit = 0; digit < digits; ++digit)
      pieces.push_back(kernel.loadTensor(columnAt(address, digit * width + first), pieceColumns));
    kernel.waitForTensorLoads();
    for (int64_t i = 0; i < pieceColumns; ++i) {
      Values ofDigits;
      for (Value piece : pieces)
        ofDigits.push_back(kernel.tensorWord(piece, i));
      body(first + i, ofDigits);
    }
  }
  kernel.fenceTensorBefore();
}

Value Tcgen05Product::pendingAt(int64_t level, size_t count) const {
  const int64_t first = (accumulators * digits + level) * chunkRows;
  return ownColumns(columnAt(tensor, first), static_cast<int64_t>(2 * count));
}

void Tcgen05Product::keepPending(ValueRange sums, int64_t level) {
  Value to = pendingAt(level, sums.size());
  for (size_t first = 0; first < sums.size(); first += pieceColumns) {
    Values words;
    for (Value sum : sums.slice(first, pieceColumns))
      words.push_back(kernel.bitsOf(sum));
    kernel.storeTensor(columnAt(to, static_cast<int64_t>(first)), words);
  }
  kernel.waitForTensorStores();
}

void Tcgen05Product::addPending(Values &sums, int64_t level) {
  Value from = pendingAt(level, sums.size());
  for (size_t first = 0; first < sums.size(); first += pieceColumns) {
    Value piece = kernel.loadTensor(columnAt(from, static_cast<int64_t>(first)), pieceColumns);
    kernel.waitForTensorLoads();
    for (int64_t i = 0; i < pieceColumns; ++i)
      sums[first + i] = kernel.add(kernel.fromBits(kernel.tensorWord(piece, i)), sums[first + i]);
  }
}

} // namespace grok::compiler
