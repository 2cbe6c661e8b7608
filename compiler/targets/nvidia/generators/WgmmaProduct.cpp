// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/WgmmaProduct.h"

#include "llvm/Support/MathExtras.h"
#include <algorithm>

namespace grok::compiler {

static constexpr int64_t fewRows = 32;    // for which there is code of its own
static constexpr int64_t batchRows = 64;  // kernels for up to so many have smaller tiles
static constexpr int64_t stepInputs = 32; // of one wgmma
static constexpr int64_t stages = 4, stagesLog = 2;
static constexpr int64_t groupThreads = 128, groupWarps = 4, multiplyingWarps = 8;
static constexpr int64_t groupTileBytes = WgmmaWeights::tileBytes / 2; // of 64 columns
static constexpr int64_t mostRegisterLevels = 2;
// Threads start with a third of the multiprocessor's registers each; those that fill
// the ring leave some of theirs to the others.
static constexpr int64_t startRegisters = 168;
// Four floats more than needed: rows of neighbouring lanes start in other banks.
static constexpr int64_t resultFloats = WgmmaWeights::panels * panelColumns + 4;

// 80 rows are what registers hold beside the addresses of a simple tile, 64 beside
// those of one that goes on from expert to expert or ends with codes for the cache.
static int64_t chunkRowsOf(const KernelSpec &spec) {
  const bool isSimple =
      spec.op != KernelOp::downCombine && !(spec.op == KernelOp::qkv && hasCodes(spec.kv));
  return isSimple ? 80 : 64;
}

bool WgmmaProduct::fits(const KernelSpec &spec, const NvidiaChip &chip) {
  const bool isSmall = spec.op != KernelOp::qkv || panelsOf(spec.headDim) <= WgmmaWeights::panels;
  return chip.name == "sm_90a" && isSmall && spec.numerics == Numerics::fast &&
         spec.weight.isInteger() && readsQuantizedRows(spec) &&
         spec.weight.unit % stepInputs == 0 && spec.maxRows > batchRows;
}

WgmmaProduct::WgmmaProduct(GpuBuilder &kernel, int64_t slots)
    : GpuProduct(kernel, slots, chunkRowsOf(kernel.spec), resultFloats),
      record(plan::QuantizedRow::of(contraction, unit)), weights(kernel),
      stageBytes(WgmmaWeights::tileBytes + chunkRows * WgmmaWeights::rowBytes),
      units(slices * unitsPerSlice),
      registerLevels(std::min<int64_t>(mostRegisterLevels, llvm::Log2_64(slices))),
      memoryLevels(llvm::Log2_64(slices) - registerLevels),
      ring(kernel.sharedMemory(stages * stageBytes, /*alignment=*/1024)),
      scaleRing(kernel.sharedMemory(stages * chunkRows * 4)),
      inputs(kernel.sharedMemory(chunkRows * 8)), barriers(kernel.sharedMemory(stages * 16)),
      served(kernel.sharedMemory(4)), groupWarp(kernel.add(kernel.warp, -groupWarps)) {
  pending = memoryLevels > 1 ? kernel.sharedMemory(chunkRows * resultFloats * 4) : results;
  kernel.holdBlocks(1);
  kernel.keepLoops();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    for (int64_t stage = 0; stage < stages; ++stage) {
      kernel.initBarrier(kernel.offset(barriers, 16 * stage), groupThreads);
      kernel.initBarrier(kernel.offset(barriers, 16 * stage + 8), multiplyingWarps);
    }
    kernel.store(kernel.word(0), served);
  }); // compute() begins with a barrier
}

Value WgmmaProduct::spareMemory(int64_t bytes) {
  assert(bytes <= stages * stageBytes);
  return ring;
}

WgmmaProduct::Stage WgmmaProduct::stageOf(Value unitNumber) const {
  Value number = kernel.add(before, kernel.toWord(unitNumber));
  Value place = kernel.toIndex(kernel.bitAnd(number, kernel.word(stages - 1)));
  Value barrier = kernel.rowAddress(barriers, place, 16);
  Value memory = kernel.rowAddress(ring, place, stageBytes);
  return {barrier,
          kernel.offset(barrier, 8),
          kernel.bitAnd(kernel.shiftRight(number, stagesLog), kernel.word(1)),
          memory,
          kernel.offset(memory, WgmmaWeights::tileBytes),
          kernel.rowAddress(scaleRing, place, chunkRows * 4)};
}

void WgmmaProduct::compute(PanelSource source, Value rows, RowInput input) {
  kernel.forThreads(chunkRows, [&](Value row) {
    Value address = input(kernel.minimum(row, kernel.add(rows, -1)));
    kernel.store(address, kernel.rowAddress(inputs, row, 8), 8);
  });
  kernel.barrier();
  before = kernel.load(kernel.i32, served);
  const int64_t multiplyRegisters = chunkRows > 64 ? 208 : 192;
  auto forWidth = [&](llvm::function_ref<void(int64_t)> body) {
    kernel.when(
        kernel.less(kernel.index(fewRows), rows), [&] { body(chunkRows); }, [&] { body(fewRows); });
  };
  kernel.when(
      kernel.less(kernel.warp, kernel.index(groupWarps)),
      [&] {
        kernel.giveRegisters(3 * startRegisters - 2 * multiplyRegisters);
        forWidth([&](int64_t width) { fill(source, width); });
        kernel.takeRegisters(startRegisters);
      },
      [&] {
        kernel.takeRegisters(multiplyRegisters);
        forWidth([&](int64_t width) { multiply(source, width); });
        kernel.giveRegisters(startRegisters);
      });
  kernel.barrier();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    kernel.store(kernel.add(before, kernel.word(static_cast<int32_t>(units))), served);
  });
}

// ---- the ring's filler

void WgmmaProduct::fill(PanelSource source, int64_t width) {
  llvm::SmallVector<GpuPanel, 2> panels;
  Values loaded;
  for (int64_t part = 0; part < weights.parts(); ++part) {
    Value slot = kernel.minimum(weights.slotOf(part), kernel.index(slots - 1));
    panels.push_back(source(slot));
    loaded.append(weights.load(panels.back(), kernel.index(0)));
  }
  const size_t ofPart = loaded.size() / panels.size();
  kernel.loop(kernel.index(0), kernel.index(units), 1, loaded,
              [&](Value number, ValueRange carried) -> Values {
                Stage stage = stageOf(number);
                kernel.waitForPhase(stage.empty, kernel.bitXor(stage.parity, kernel.word(1)));
                copyRows(stage, number, width);
                Value next = kernel.minimum(kernel.add(number, 1), kernel.index(units - 1));
                Values ahead;
                for (size_t part = 0; part < panels.size(); ++part) {
                  weights.store(carried.slice(part * ofPart, ofPart), static_cast<int64_t>(part),
                                stage.weights);
                  ahead.append(weights.load(panels[part], next));
                }
                kernel.when(kernel.less(kernel.index(0), number), [&] {
                  kernel.waitForCopies(1);
                  announce(kernel.add(number, -1));
                });
                return ahead;
              });
  kernel.waitForCopies(0);
  announce(kernel.index(units - 1));
}

// What was written to shared memory through the generic proxy, wgmma reads through
// the other one.
void WgmmaProduct::announce(Value unitNumber) const {
  kernel.fenceForAsync();
  kernel.arrive(stageOf(unitNumber).full);
}

// Eight threads to a row; 16 of its bytes each, where the swizzle wants them.
void WgmmaProduct::copyRows(const Stage &stage, Value unitNumber, int64_t width) const {
  constexpr int64_t rowsAtOnce = groupThreads / 8;
  const int64_t pieces = unit / 16;
  Value row = kernel.quotient(kernel.thread, 8), piece = kernel.remainder(kernel.thread, 8);
  auto copyCodes = [&] {
    Value place = kernel.bitXor(piece, kernel.remainder(row, 8));
    Value to =
        kernel.rowAddress(kernel.rowAddress(stage.codes, row, WgmmaWeights::rowBytes), place, 16);
    Value inside = kernel.add(kernel.mul(unitNumber, unit), kernel.mul(piece, 16));
    for (int64_t first = 0; first < width; first += rowsAtOnce) {
      Value from = kernel.load(kernel.pointer,
                               kernel.offset(kernel.rowAddress(inputs, row, 8), first * 8), 8);
      kernel.copyAsync(kernel.offset(to, first * WgmmaWeights::rowBytes),
                       kernel.offset(from, inside), 16);
    }
  };
  if (pieces == 8)
    copyCodes();
  else
    kernel.when(kernel.less(piece, kernel.index(pieces)), copyCodes);
  kernel.when(kernel.less(kernel.thread, kernel.index(width)), [&] {
    Value from = kernel.load(kernel.pointer, kernel.rowAddress(inputs, kernel.thread, 8), 8);
    from = kernel.offset(kernel.rowAddress(from, unitNumber, 4), record.scalesOffset);
    kernel.copyAsync(kernel.rowAddress(stage.scales, kernel.thread, 4), from, 4);
  });
  kernel.commitCopies();
}

// ---- the multiplying warpgroups: warp w of the eight has panel w

void WgmmaProduct::multiply(PanelSource source, int64_t width) {
  GpuPanel panel = source(kernel.minimum(groupWarp, kernel.index(slots - 1)));
  const int64_t together = int64_t(1) << registerLevels;
  kernel.loop(kernel.index(0), kernel.index(slices / together), 1, [&](Value number) {
    settle(sumOfLevel(panel, kernel.mul(number, together), registerLevels, width), number, 0);
  });
}

// Two halves of the tree, one after the other. -0 is the number that changes none.
Values WgmmaProduct::sumOfLevel(const GpuPanel &panel, Value first, int64_t level, int64_t width) {
  if (level == 0)
    return sumOfSlice(panel, first, width);
  Values nothing(width / 2, kernel.number(-0.0f));
  return kernel.loop(kernel.index(0), kernel.index(2), 1, nothing,
                     [&](Value half, ValueRange low) -> Values {
                       Value start = kernel.add(first, kernel.mul(half, int64_t(1) << (level - 1)));
                       Values sums = sumOfLevel(panel, start, level - 1, width);
                       for (size_t i = 0; i < sums.size(); ++i)
                         sums[i] = kernel.add(low[i], sums[i]);
                       return sums;
                     });
}

// body(sum number, its place) of the lane's sums in [row][column].
void WgmmaProduct::forSums(int64_t count, Value memory,
                           llvm::function_ref<void(int64_t, Value)> body) const {
  Value row = kernel.mul(kernel.remainder(kernel.lane, 4), 2);
  Value column = kernel.add(kernel.mul(groupWarp, panelColumns), kernel.quotient(kernel.lane, 4));
  Value first = kernel.rowAddress(kernel.rowAddress(memory, row, resultFloats * 4), column, 4);
  for (int64_t i = 0; i < count; ++i)
    body(i, kernel.offset(first, (i / 4 * 8 + i % 2) * resultFloats * 4 + i / 2 % 2 * 8 * 4));
}

// The upper levels: every second value of a level waits for the one behind it, and
// goes with it to the level above; the last one stays.
void WgmmaProduct::settle(Values sums, Value number, int64_t level) {
  const auto count = static_cast<int64_t>(sums.size());
  Value memory = level + 1 < memoryLevels ? pending : results;
  auto storeAll = [&] {
    forSums(count, memory, [&](int64_t i, Value place) { kernel.store(sums[i], place); });
  };
  if (level == memoryLevels)
    return storeAll();
  Value isFirst =
      kernel.equal(kernel.remainder(kernel.shiftRight(number, level), 2), kernel.index(0));
  kernel.when(isFirst, storeAll, [&] {
    forSums(count, memory, [&](int64_t i, Value place) {
      sums[i] = kernel.add(kernel.load(kernel.f32, place), sums[i]);
    });
    settle(sums, number, level + 1);
  });
}

// The panel's scales at the lane's two columns.
Values WgmmaProduct::scalesAt(const GpuPanel &panel, Value group) {
  Value column = kernel.quotient(kernel.lane, 4);
  Values scales = columnScales(panel, group, column, 1);
  scales.append(columnScales(panel, group, kernel.add(column, 8), 1));
  return scales;
}

Values WgmmaProduct::sumOfSlice(const GpuPanel &panel, Value slice, int64_t width) {
  Values zeros(width / 2, kernel.number(0.0f));
  Value first = kernel.mul(slice, unitsPerSlice);
  Values sums = kernel.loop(first, kernel.add(first, unitsPerSlice), 1, zeros,
                            [&](Value number, ValueRange carried) {
                              return multiplyUnit(panel, number, width, carried);
                            });
  if (scalesUnits)
    return sums;
  Values scales = scalesAt(panel, kernel.quotient(slice, slices / format.groups));
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = kernel.mul(sums[i], scales[i / 2 % 2]);
  return sums;
}

// A unit's sum is within 127 * 127 * 128 < 2^22, and so a float of 12582912 + sum has it
// in its low bits: an addition and a subtraction, both exact, where a conversion would
// take one of sixteen lanes of a multiprocessor (Nsight Compute, "Pipelines": XU).
static Value exactFloat(GpuBuilder &kernel, Value sum) {
  constexpr int32_t bits = 0x4b400000; // of 12582912, which is 1.5 * 2^23
  return kernel.sub(kernel.fromBits(kernel.add(sum, kernel.word(bits))),
                    kernel.number(12582912.0f));
}

Values WgmmaProduct::multiplyUnit(const GpuPanel &panel, Value unitNumber, int64_t width,
                                  ValueRange sums) {
  Stage stage = stageOf(unitNumber);
  kernel.waitForPhase(stage.full, stage.parity);
  kernel.fenceProducts();
  Value group = kernel.quotient(groupWarp, groupWarps);
  Value a = kernel.matrixDescriptor(kernel.rowAddress(stage.weights, group, groupTileBytes));
  Value b = kernel.matrixDescriptor(stage.codes);
  Value products;
  for (int64_t step = 0; step < unit / stepInputs; ++step) {
    const int64_t start = step * stepInputs / 16; // descriptors count 16 bytes
    products =
        kernel.multiplyBytesAsync(kernel.add(a, start), kernel.add(b, start), products, width);
  }
  kernel.commitProducts();
  kernel.waitForProducts();
  Values unitSums = kernel.sumsOf(products, width), result, columns;
  if (scalesUnits)
    columns =
        scalesAt(panel, kernel.quotient(kernel.mul(unitNumber, unit), contraction / format.groups));
  Value scales =
      kernel.rowAddress(stage.scales, kernel.mul(kernel.remainder(kernel.lane, 4), 2), 4);
  Value ofRows;
  for (int64_t i = 0; i < width / 2; ++i) {
    if (i % 4 == 0)
      ofRows = kernel.load(kernel.vectorOf(kernel.f32, 2), kernel.offset(scales, i * 8), 8);
    Value factor = kernel.extract(ofRows, i % 2);
    if (scalesUnits)
      factor = kernel.mul(factor, columns[i / 2 % 2]);
    result.push_back(kernel.multiplyAdd(exactFloat(kernel, unitSums[i]), factor, sums[i]));
  }
  kernel.syncWarp();
  kernel.when(kernel.equal(kernel.lane, kernel.index(0)), [&] { kernel.arrive(stage.empty); });
  return result;
}

} // namespace grok::compiler
