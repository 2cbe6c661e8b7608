// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/MmaProduct.h"

#include "compiler/kernels/VectorMath.h"

#include <algorithm>

namespace grok::compiler {

using Element = WeightFormat::Element;

static constexpr int64_t tileColumns = 8; // the n side of mma
static constexpr int64_t mostWarps = 8;
static constexpr int64_t heldRowTiles = 4; // whose rows' addresses registers hold

bool MmaProduct::fits(const KernelSpec &spec) {
  if (spec.numerics != Numerics::fast)
    return false;
  if (spec.weight.isInteger())
    return readsQuantizedRows(spec) && spec.weight.unit % 32 == 0;
  return spec.weight.element == Element::bf16 && spec.weight.unit % 16 == 0;
}

int64_t MmaProduct::threadsOf(const KernelSpec &spec, int64_t clusterBlocks) {
  return std::min(spec.weight.slices / clusterBlocks, mostWarps) * warpLanes;
}

// Of the time that all multiprocessors take for `tiles` equal tiles, how much they work.
static double shareOfWork(int64_t tiles, const NvidiaChip &chip) {
  const int64_t turns = (tiles + chip.multiprocessors - 1) / chip.multiprocessors;
  return static_cast<double>(tiles) / static_cast<double>(turns * chip.multiprocessors);
}

// docs/gpu.md, "Balance".
int64_t MmaProduct::bestClusterBlocks(const KernelSpec &spec, const NvidiaChip &chip) {
  const bool isNarrow = spec.op == KernelOp::linear || spec.op == KernelOp::downCombine;
  if (!isNarrow || !usesWeightRing(spec, chip) || spec.weight.slices < ClusterSums::blocks)
    return 1;
  const int64_t panels = panelsOf(spec.op == KernelOp::linear ? spec.out : spec.emb);
  const int64_t tiles = (panels + 1) / 2;
  constexpr double enough = 0.95;
  const double whole = shareOfWork(tiles, chip),
               halves = shareOfWork(tiles * ClusterSums::blocks, chip);
  return whole < enough && halves > whole ? ClusterSums::blocks : 1;
}

static int64_t tileRowsOf(const KernelSpec &spec) { return tileColumns / spec.digits; }

// Beside the sums of more, registers spill: 32 rows, or of two digits 16 to 24.
static int64_t mostRowTilesOf(const KernelSpec &spec) {
  if (spec.digits == 1 || spec.op == KernelOp::qkv)
    return 4;
  return spec.op == KernelOp::downCombine ? 5 : 6;
}

static int64_t rowTilesOf(const KernelSpec &spec) {
  const int64_t tiles = (spec.maxRows + tileRowsOf(spec) - 1) / tileRowsOf(spec);
  if (tiles <= 2)
    return tiles;
  return tiles <= 4 ? 4 : mostRowTilesOf(spec);
}

// Stages in flight of each warp: narrow weights make small stages. Many rows' sums
// leave no room, and sm_80 has half the memory rate to hide.
static int64_t depthOf(const GpuBuilder &kernel) {
  const bool isNarrow = kernel.spec.weight.hasMultipliers();
  return isNarrow && rowTilesOf(kernel.spec) == 1 && kernel.chip.major >= 9 ? 2 : 1;
}

// The sums of one row tile leave registers for more warps, and so for more loads; or for
// blocks of the next launch, whose rings fill meanwhile. So do those of two tiles of two
// digits beside a ring, but not beside what is done with queries, keys and values.
static int64_t residentBlocksOf(const GpuBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const bool hasSmallTiles =
      spec.digits == 2 && usesWeightRing(spec, kernel.chip) && spec.op != KernelOp::qkv;
  const int64_t blocks = rowTilesOf(spec) <= (hasSmallTiles ? 2 : 1) ? 2 : 1;
  return blocks * mostWarps / kernel.warps;
}

static std::unique_ptr<WeightRing> makeRing(GpuBuilder &kernel, const PanelFragments &fragments,
                                            int64_t slots, int64_t stages) {
  if (!usesWeightRing(kernel.spec, kernel.chip))
    return nullptr;
  return std::make_unique<WeightRing>(kernel, fragments, slots, stages);
}

MmaProduct::MmaProduct(GpuBuilder &kernel, int64_t slots)
    : GpuProduct(kernel, slots, rowTilesOf(kernel.spec) * tileRowsOf(kernel.spec)),
      isInteger(format.isInteger()), digits(kernel.spec.digits),
      record(isInteger ? plan::QuantizedRow::of(contraction, unit, digits) : plan::QuantizedRow()),
      tileRows(tileRowsOf(kernel.spec)), laneRows(2 / digits), tileSums(accumulators / digits),
      fragments(kernel), stagesPerUnit(unit / fragments.inputs()),
      rowTiles(rowTilesOf(kernel.spec)), ownSlices(slices / kernel.clusterBlocks / kernel.warps),
      parts(usesWeightRing(kernel.spec, kernel.chip) ? kernel.warps : slices),
      ring(makeRing(kernel, fragments, slots, ownSlices * unitsPerSlice * stagesPerUnit)),
      depth(ring ? 0 : depthOf(kernel)),
      partials(kernel.sharedMemory(parts * rowTiles * tileSums * warpLanes * 4)),
      group(kernel.quotient(kernel.lane, 4)), quad(kernel.remainder(kernel.lane, 4)),
      quad32(kernel.bitAnd(kernel.lane32, kernel.word(3))) {
  assert(digits == 1 || stagesPerUnit == 1);
  if (kernel.clusterBlocks > 1)
    clusterSums.emplace(kernel, chunkRows);
  kernel.holdBlocks(residentBlocksOf(kernel));
  if (ring)
    kernel.limitBlocks(mostWarps / kernel.warps);
  kernel.keepLoops();
  if (rowTiles > heldRowTiles)
    rowTable = kernel.sharedMemory(chunkRows * 8);
  if (digits > 1)
    ownDigit = kernel.mul(kernel.remainder(group, digits), record.digitBytes);
}

Values MmaProduct::zeros(int64_t rowTiles) const {
  return Values(rowTiles * tileSums, kernel.number(0.0f));
}

void MmaProduct::compute(PanelSource source, Value rows, RowInput input) {
  if (rowTiles == 1)
    return computePairs(source, rows, input, 1);
  kernel.when(
      kernel.less(kernel.index(tileRows), rows),
      [&] { computePairs(source, rows, input, rowTiles); },
      [&] { computePairs(source, rows, input, 1); });
}

void MmaProduct::computePairs(PanelSource source, Value rows, RowInput input, int64_t rowTiles) {
  const bool fromTable = rowTable && rowTiles > 1;
  if (fromTable) {
    storeAddresses(rows, input, rowTable);
    kernel.barrier();
  }
  auto emitPair = [&](Value pair) {
    // Lanes without a panel repeat the last one; nobody reads their results.
    Value slot = kernel.add(kernel.mul(pair, 2), kernel.quotient(group, 4));
    slot = kernel.minimum(slot, kernel.index(slots - 1));
    Work work;
    work.panel = source(slot);
    work.lane = fragments.laneOf(work.panel);
    for (int64_t tile = 0; tile < rowTiles; ++tile) {
      Value row = kernel.minimum(rowOf(tile), kernel.add(rows, -1));
      work.inputs.push_back(fromTable ? Value() : fromDigit(input(row)));
    }
    computePair(work, rowTiles);
    kernel.barrier();
    addSlices(pair, rowTiles);
    kernel.barrier();
  };
  const int64_t pairs = (slots + 1) / 2;
  if (pairs == 1)
    emitPair(kernel.index(0));
  else
    kernel.loop(kernel.index(0), kernel.index(pairs), 1, emitPair);
}

// Whose codes the lane reads.
Value MmaProduct::rowOf(int64_t tile) const {
  return kernel.add(kernel.quotient(group, digits), tile * tileRows);
}

Value MmaProduct::fromDigit(Value row) const {
  return ownDigit ? kernel.offset(row, ownDigit) : row;
}

// ---- the stream of a warp

void MmaProduct::announce(const PanelSequence &sequence) {
  if (ring)
    ring->start(sequence, kernel.mul(firstSlice(), unitsPerSlice * stagesPerUnit));
  if (clusterSums)
    clusterSums->start();
}

void MmaProduct::finish() {
  if (ring)
    ring->finish();
}

// Of the warp's, which are neighbours.
Value MmaProduct::firstSlice() const {
  Value warp = kernel.warp;
  if (clusterSums)
    warp = kernel.add(kernel.mul(kernel.rank, kernel.warps), warp);
  return kernel.mul(warp, ownSlices);
}

void MmaProduct::computePair(const Work &work, int64_t rowTiles) {
  const int64_t stages = unitsPerSlice * stagesPerUnit;
  Value first = firstSlice();
  Value firstStage = kernel.mul(first, stages);
  Value lastStage = kernel.add(firstStage, ownSlices * stages - 1);
  Values carried;
  for (int64_t i = 0; i < depth; ++i) {
    Value stage = kernel.minimum(kernel.add(firstStage, i), lastStage);
    carried.append(fragments.load(work.lane, stage));
  }
  const size_t loaded = carried.size();
  const bool addsSlices = parts != slices;
  if (addsSlices) // the sum of the slices so far: two at most, neighbours in the tree
    carried.append(zeros(rowTiles));
  auto ofSlice = [&](Value slice, mlir::ValueRange values) -> Values {
    Values next(values.take_front(loaded));
    Values sums = multiplySlice(work, slice, lastStage, next);
    const Values columns = sliceScales(work, slice);
    auto scaled = [&](size_t i) {
      return columns.empty() ? sums[i] : kernel.mul(sums[i], columns[i / laneRows % 4]);
    };
    if (!addsSlices) {
      storePart(slice, sums.size(), scaled);
      return next;
    }
    Value isFirst = kernel.equal(slice, first);
    for (size_t i = 0; i < sums.size(); ++i) {
      Value sum = scaled(i);
      next.push_back(kernel.select(isFirst, sum, kernel.add(values[loaded + i], sum)));
    }
    return next;
  };
  Values end = kernel.loop(first, kernel.add(first, ownSlices), 1, carried, ofSlice);
  if (addsSlices)
    storePart(kernel.warp, end.size() - loaded, [&](size_t i) { return end[loaded + i]; });
}

// The slice's sums; `ahead` are the stages that have been loaded, before and after.
Values MmaProduct::multiplySlice(const Work &work, Value slice, Value lastStage, Values &ahead) {
  const auto tiles = static_cast<int64_t>(work.inputs.size());
  const size_t loaded = ahead.size();
  Values start = ahead;
  start.append(zeros(tiles));
  if (!isInteger) // the chain of the running unit
    start.append(zeros(tiles));
  const int64_t rounds = isInteger ? unitsPerSlice : unitsPerSlice * stagesPerUnit;
  Value first = kernel.mul(slice, rounds);
  Values end = kernel.loop(first, kernel.add(first, rounds), 1, start,
                           [&](Value number, mlir::ValueRange values) -> Values {
                             Values next(values.take_front(loaded));
                             Values sums(values.drop_front(loaded));
                             multiplyRound(work, number, lastStage, next, sums);
                             next.append(sums);
                             return next;
                           });
  ahead.assign(end.begin(), end.begin() + loaded);
  return Values(mlir::ValueRange(end).slice(loaded, tiles * tileSums));
}

// A unit of integers, whose sums live as long; a stage of halves, whose order of sums
// does not depend on where a loop ends.
void MmaProduct::multiplyRound(const Work &work, Value number, Value lastStage, Values &ahead,
                               Values &sums) {
  if (!isInteger)
    return withStage(work, number, lastStage, ahead,
                     [&](const Stage &stage) { sums = multiplyHalves(work, stage, sums); });
  if (digits > 1)
    return withStage(work, number, lastStage, ahead,
                     [&](const Stage &stage) { multiplyUnit(work, number, stage, sums); });
  Values unitSums = zeroSums(work.inputs.size());
  for (int64_t part = 0; part < stagesPerUnit; ++part)
    withStage(work, kernel.add(kernel.mul(number, stagesPerUnit), part), lastStage, ahead,
              [&](const Stage &stage) {
                unitSums = multiplyCodes(work, stage, fragments.open(stage.loaded), unitSums);
              });
  sums = addUnit(work, number, unitSums, sums);
}

// Takes the first stage off `ahead`, and puts another at its end.
void MmaProduct::withStage(const Work &work, Value number, Value lastStage, Values &ahead,
                           llvm::function_ref<void(const Stage &)> multiply) {
  if (ring) {
    multiply({number, ring->take(), [](int64_t) {}});
    return ring->release();
  }
  const size_t counted = fragments.counted();
  Values loaded(ahead.begin(), ahead.begin() + counted);
  Values next(ahead.begin() + counted, ahead.end());
  Value nextNumber = kernel.minimum(kernel.add(number, depth), lastStage);
  if (format.hasMultipliers())
    next.append(fragments.load(work.lane, nextNumber));
  multiply({number, loaded, [&](int64_t step) {
              if (!format.hasMultipliers())
                next.append(fragments.load(work.lane, nextNumber, step));
            }});
  ahead = next;
}

Values MmaProduct::operandsOf(const Work &work, const Stage &stage, int64_t tile, int64_t step,
                              Values &read) const {
  const auto end = static_cast<size_t>(2 * step + 2);
  while (read.size() < end) {
    const int64_t number = static_cast<int64_t>(read.size()) / fragments.together();
    read.append(isInteger ? readCodes(work.inputs[tile], stage.number, number)
                          : readHalves(work.inputs[tile], stage.number, number));
  }
  return {read[end - 2], read[end - 1]};
}

// The words that stand together in the lane's row, the `number`th time.
Values MmaProduct::readCodes(Value row, Value stage, int64_t number) const {
  const int64_t together = fragments.together(), bytes = 4 * together;
  Value address = kernel.rowAddress(kernel.rowAddress(row, stage, fragments.inputs()), quad, bytes);
  address = kernel.offset(address, number * 4 * bytes);
  if (together == 1)
    return {kernel.load(kernel.i32, address)};
  Value loaded = kernel.load(kernel.vectorOf(kernel.i32, together), address, bytes);
  Values words;
  for (int64_t i = 0; i < together; ++i)
    words.push_back(kernel.extract(loaded, i));
  return words;
}

// Of float32 rows, rounded on the way: two inputs of a word.
Values MmaProduct::readHalves(Value row, Value stage, int64_t number) const {
  const int64_t count = 2 * fragments.together(), bytes = 4 * count;
  Value address =
      kernel.rowAddress(kernel.rowAddress(row, stage, fragments.inputs() * 4), quad, bytes);
  Value loaded = kernel.load(kernel.vectorOf(kernel.f32, count),
                             kernel.offset(address, number * 4 * bytes), bytes);
  Values words;
  for (int64_t i = 0; i < count; i += 2) {
    Value low = kernel.bitsOf(roundToBf16(kernel, kernel.extract(loaded, i)));
    Value high = kernel.bitsOf(roundToBf16(kernel, kernel.extract(loaded, i + 1)));
    words.push_back(
        kernel.bitOr(kernel.bitAnd(high, kernel.word(-65536)), kernel.shiftRight(low, 16)));
  }
  return words;
}

// `sums` of the slice, then of the running unit.
Values MmaProduct::multiplyHalves(const Work &work, const Stage &stage, mlir::ValueRange sums) {
  const auto tiles = static_cast<int64_t>(work.inputs.size()), count = tiles * tileSums;
  Values chain(sums.drop_front(count));
  auto steps = fragments.open(stage.loaded);
  llvm::SmallVector<Values, 4> read(tiles);
  for (int64_t step = 0; step < fragments.steps(); ++step) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      Values rows = operandsOf(work, stage, tile, step, read[tile]);
      for (int64_t half = 0; half < 2; ++half) {
        Value *part = &chain[tile * accumulators + half * 4];
        Values made = kernel.mmaBf16(steps[step].tiles[half], rows, Values(part, part + 4));
        std::copy(made.begin(), made.end(), part);
      }
    }
    stage.afterStep(step);
  }
  Value ends =
      kernel.equal(kernel.remainder(stage.number, stagesPerUnit), kernel.index(stagesPerUnit - 1));
  Values result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(kernel.select(ends, kernel.add(sums[i], chain[i]), sums[i]));
  for (int64_t i = 0; i < count; ++i)
    result.push_back(kernel.select(ends, kernel.number(0.0f), chain[i]));
  return result;
}

// ---- slices

// The columns' scales, if the slice lies inside one row group and units have none.
Values MmaProduct::sliceScales(const Work &work, Value slice) {
  if (!isInteger || scalesUnits)
    return {};
  return columnScales(work.panel, kernel.quotient(slice, slices / format.groups),
                      kernel.mul(kernel.remainder(group, 4), 4), 4);
}

void MmaProduct::storePart(Value part, size_t count,
                           llvm::function_ref<Value(size_t number)> sumOf) {
  const auto bytes = static_cast<int64_t>(count) * warpLanes * 4;
  Value to = kernel.rowAddress(kernel.rowAddress(partials, part, bytes), kernel.lane, 4);
  for (size_t i = 0; i < count; ++i)
    kernel.store(sumOf(i), kernel.offset(to, static_cast<int64_t>(i) * warpLanes * 4));
}

// Values are shared out like they were stored, without bank conflicts.
void MmaProduct::addSlices(Value pair, int64_t rowTiles) {
  const int64_t count = rowTiles * tileSums;
  kernel.loop(kernel.warp, kernel.index(count), kernel.warps, [&](Value number) {
    Value from =
        kernel.rowAddress(kernel.rowAddress(partials, number, warpLanes * 4), kernel.lane, 4);
    Value sum = sumOfParts(parts, [&](int64_t part) {
      return kernel.load(kernel.f32, kernel.offset(from, part * count * warpLanes * 4));
    });
    Value row =
        kernel.add(kernel.mul(kernel.quotient(number, tileSums), tileRows),
                   kernel.add(kernel.mul(quad, laneRows), kernel.remainder(number, laneRows)));
    Value column =
        kernel.add(kernel.mul(group, 4), kernel.remainder(kernel.quotient(number, laneRows), 4));
    Value position = kernel.add(kernel.mul(pair, 2 * panelColumns), column);
    Value own = kernel.rowAddress(resultRow(row), position, 4);
    if (clusterSums)
      clusterSums->give(sum, row, column, own);
    else
      kernel.store(sum, own);
  });
  if (clusterSums)
    clusterSums->add(
        [&](Value row, Value column) { return kernel.rowAddress(resultRow(row), column, 4); });
}

// Of two blocks each has one panel's columns.
void MmaProduct::forResults(Value rows, llvm::function_ref<void(Value, Value)> body) {
  if (!clusterSums)
    return GpuProduct::forResults(rows, body);
  Value first = kernel.mul(kernel.rank, panelColumns);
  kernel.when(kernel.less(first, kernel.index(slots * panelColumns)), [&] {
    kernel.forThreads(kernel.mul(rows, panelColumns), [&](Value at) {
      body(kernel.quotient(at, panelColumns),
           kernel.add(first, kernel.remainder(at, panelColumns)));
    });
  });
}

} // namespace grok::compiler
