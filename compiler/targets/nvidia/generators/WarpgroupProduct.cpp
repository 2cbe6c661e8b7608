// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/WarpgroupProduct.h"

#include "llvm/ADT/bit.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

namespace grok::compiler {

static constexpr int64_t fewRows = 32;   // for which there is code of its own
static constexpr int64_t batchRows = 64; // kernels for up to so many have smaller tiles
static constexpr int64_t stages = 4, stagesLog = 2;
static constexpr int64_t groupThreads = 128;
// Threads start with a third of the multiprocessor's registers each; those that fill
// the ring leave some of theirs to the others.
static constexpr int64_t startRegisters = 168;
// Four floats more than needed: rows of neighbouring lanes start in other banks.
static constexpr int64_t resultFloats = WgmmaWeights::panels * panelColumns + 4;

bool WarpgroupProduct::fits(const KernelSpec &spec) {
  const bool isSmall = spec.op != KernelOp::qkv || panelsOf(spec.headDim) <= WgmmaWeights::panels;
  return isSmall && spec.numerics == Numerics::fast && spec.weight.isInteger() &&
         readsQuantizedRows(spec) && spec.weight.unit % stepInputs == 0 && spec.maxRows > batchRows;
}

bool WarpgroupProduct::isSimple(const KernelSpec &spec) {
  return spec.op != KernelOp::downCombine && !(spec.op == KernelOp::qkv && hasCodes(spec.kv));
}

WarpgroupProduct::WarpgroupProduct(GpuBuilder &kernel, int64_t slots, const Form &form)
    : GpuProduct(kernel, slots, form.chunkRows, resultFloats), form(form),
      digits(kernel.spec.digits), record(plan::QuantizedRow::of(contraction, unit, digits)),
      weights(kernel),
      stageBytes(WgmmaWeights::tileBytes + digits * chunkRows * WgmmaWeights::rowBytes),
      units(slices * unitsPerSlice),
      registerLevels(std::min<int64_t>(form.registerLevels, llvm::Log2_64(slices))),
      memoryLevels(llvm::Log2_64(slices) - registerLevels),
      groupWarp(kernel.add(kernel.warp, -groupWarps)),
      ring(kernel.sharedMemory(stages * stageBytes, /*alignment=*/1024)),
      scaleRing(kernel.sharedMemory(stages * chunkRows * 4)),
      inputs(kernel.sharedMemory(chunkRows * 8)), barriers(kernel.sharedMemory(stages * 16)),
      served(kernel.sharedMemory(4)) {
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

Value WarpgroupProduct::spareMemory(int64_t bytes) {
  assert(bytes <= stages * stageBytes);
  return ring;
}

WarpgroupProduct::Stage WarpgroupProduct::stageOf(Value unitNumber) const {
  Value number = numberOf(unitNumber);
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

void WarpgroupProduct::compute(PanelSource source, Value rows, RowInput input) {
  storeAddresses(rows, input, inputs);
  kernel.barrier();
  before = kernel.load(kernel.i32, served);
  begin();
  auto forWidth = [&](llvm::function_ref<void(int64_t)> body) {
    kernel.when(
        kernel.less(kernel.index(fewRows), rows), [&] { body(chunkRows); }, [&] { body(fewRows); });
  };
  kernel.when(
      kernel.less(kernel.warp, kernel.index(groupWarps)),
      [&] {
        kernel.giveRegisters(3 * startRegisters - 2 * form.registers);
        forWidth([&](int64_t width) { fill(source, width); });
        kernel.takeRegisters(startRegisters);
      },
      [&] {
        kernel.takeRegisters(form.registers);
        forWidth([&](int64_t width) { multiply(source, width); });
        kernel.giveRegisters(startRegisters);
      });
  kernel.barrier();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    kernel.store(kernel.add(before, kernel.word(static_cast<int32_t>(units))), served);
  });
}

// ---- the ring's filler

void WarpgroupProduct::fill(PanelSource source, int64_t width) {
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
                  announceUnit(kernel.add(number, -1));
                });
                return ahead;
              });
  kernel.waitForCopies(0);
  announceUnit(kernel.index(units - 1));
}

// What was written to shared memory through the generic proxy, wgmma reads through
// the other one.
void WarpgroupProduct::announceUnit(Value unitNumber) const {
  kernel.fenceForAsync();
  kernel.arrive(stageOf(unitNumber).full);
}

// Eight threads to a row; 16 of its bytes each, where the swizzle wants them.
void WarpgroupProduct::copyRows(const Stage &stage, Value unitNumber, int64_t width) const {
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
      for (int64_t digit = 0; digit < digits; ++digit)
        kernel.copyAsync(kernel.offset(to, (digit * width + first) * WgmmaWeights::rowBytes),
                         kernel.offset(kernel.offset(from, inside), digit * record.digitBytes), 16);
    }
  };
  if (pieces == 8)
    copyCodes();
  else
    kernel.when(kernel.less(piece, kernel.index(pieces)), copyCodes);
  kernel.when(kernel.less(kernel.thread, kernel.index(width)), [&] {
    Value from = addressAt(inputs, kernel.thread);
    from = kernel.offset(kernel.rowAddress(from, unitNumber, 4), record.scalesOffset);
    kernel.copyAsync(kernel.rowAddress(stage.scales, kernel.thread, 4), from, 4);
  });
  kernel.commitCopies();
}

// ---- the multiplying warpgroups

void WarpgroupProduct::multiply(PanelSource source, int64_t width) {
  own = placeOf(width);
  GpuPanel panel = source(kernel.minimum(own.slot, kernel.index(slots - 1)));
  const int64_t together = int64_t(1) << registerLevels;
  beginUnits(width);
  kernel.loop(kernel.index(0), kernel.index(slices / together), 1, [&](Value number) {
    settle(sumOfLevel(panel, kernel.mul(number, together), registerLevels, width), number, 0);
  });
}

// From the lane's first.
int64_t WarpgroupProduct::rowOf(int64_t sum) const {
  const int64_t ofFour = form.rowsOfFour == 2 ? 8 : 4;
  return sum / 4 * ofFour + sum % form.rowsOfFour;
}
int64_t WarpgroupProduct::columnOf(int64_t sum) const {
  return form.rowsOfFour == 2 ? sum / 2 % 2 * 8 : 0;
}

// Two halves of the tree, one after the other. -0 is the number that changes none.
Values WarpgroupProduct::sumOfLevel(const GpuPanel &panel, Value first, int64_t level,
                                    int64_t width) {
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

void WarpgroupProduct::forSums(int64_t count, Value memory,
                               llvm::function_ref<void(int64_t, Value)> body) const {
  Value column = kernel.add(kernel.mul(own.slot, panelColumns), own.column);
  Value first = kernel.rowAddress(kernel.rowAddress(memory, own.row, resultFloats * 4), column, 4);
  for (int64_t i = 0; i < count; ++i)
    body(i, kernel.offset(first, (rowOf(i) * resultFloats + columnOf(i)) * 4));
}

// The upper levels: every second value of a level waits for the one behind it, and
// goes with it to the level above; the last one stays.
void WarpgroupProduct::settle(Values sums, Value number, int64_t level) {
  const auto count = static_cast<int64_t>(sums.size());
  const bool isLast = level + 1 >= memoryLevels;
  auto storeAll = [&] {
    forSums(count, results, [&](int64_t i, Value to) { kernel.store(sums[i], to); });
  };
  if (level == memoryLevels)
    return storeAll();
  Value isFirst = kernel.equal(
      kernel.remainder(kernel.shiftRight(number, static_cast<int32_t>(level)), 2), kernel.index(0));
  auto keep = [&] { isLast ? storeAll() : keepPending(sums, level); };
  kernel.when(isFirst, keep, [&] {
    if (!isLast)
      addPending(sums, level);
    else
      forSums(count, results, [&](int64_t i, Value from) {
        sums[i] = kernel.add(kernel.load(kernel.f32, from), sums[i]);
      });
    settle(sums, number, level + 1);
  });
}

// The panel's scales at the lane's columns.
Values WarpgroupProduct::scalesAt(const GpuPanel &panel, Value group) {
  Values scales = columnScales(panel, group, own.column, 1);
  if (form.rowsOfFour == 2)
    scales.append(columnScales(panel, group, kernel.add(own.column, 8), 1));
  return scales;
}

Values WarpgroupProduct::sumOfSlice(const GpuPanel &panel, Value slice, int64_t width) {
  Values zeros(width / 2, kernel.number(0.0f));
  Value first = kernel.mul(slice, unitsPerSlice);
  Values sums = kernel.loop(
      first, kernel.add(first, unitsPerSlice), 1, zeros,
      [&](Value number, ValueRange carried) { return addUnit(panel, number, width, carried); });
  if (scalesUnits)
    return sums;
  Values scales = scalesAt(panel, kernel.quotient(slice, slices / format.groups));
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = kernel.mul(sums[i], scales[columnOf(static_cast<int64_t>(i)) != 0]);
  return sums;
}

// A unit's sum of a digit is within 127 * 128 * 128 < 2^22, and so a float of
// 12582912 + sum has it in its low bits: an addition and a subtraction, both exact, where a
// conversion would take one of sixteen lanes of a multiprocessor (Nsight Compute,
// "Pipelines": XU).
static constexpr float bias = 12582912.0f; // 1.5 * 2^23

static Value biasedFloat(GpuBuilder &kernel, Value sum) {
  return kernel.fromBits(kernel.add(sum, kernel.word(llvm::bit_cast<int32_t>(bias))));
}

// Of two digits radix * high + low, rounded once: the low one's bias goes into the number
// that is subtracted from the high one, which leaves that exact, too.
Value WarpgroupProduct::floatOf(ValueRange sums) const {
  Value high = biasedFloat(kernel, sums.front());
  if (digits == 1)
    return kernel.sub(high, kernel.number(bias));
  constexpr auto radix = static_cast<float>(plan::QuantizedRow::radix);
  high = kernel.sub(high, kernel.number(bias + bias / radix));
  return kernel.multiplyAdd(high, kernel.number(radix), biasedFloat(kernel, sums.back()));
}

Values WarpgroupProduct::addUnit(const GpuPanel &panel, Value unitNumber, int64_t width,
                                 ValueRange sums) {
  Stage stage = stageOf(unitNumber);
  Values result, columns;
  Value scales, ofRows;
  auto whenFull = [&] {
    if (scalesUnits)
      columns = scalesAt(
          panel, kernel.quotient(kernel.mul(unitNumber, unit), contraction / format.groups));
    scales = kernel.rowAddress(stage.scales, own.row, 4);
  };
  forUnitSums(stage, unitNumber, width, whenFull, [&](int64_t i, ValueRange ofDigits) {
    const int64_t together = form.rowsOfFour;
    if (i % 4 == 0)
      ofRows = kernel.load(kernel.vectorOf(kernel.f32, together),
                           kernel.offset(scales, rowOf(i) * 4), 4 * together);
    Value factor = kernel.extract(ofRows, i % together);
    if (scalesUnits)
      factor = kernel.mul(factor, columns[columnOf(i) != 0]);
    result.push_back(kernel.multiplyAdd(floatOf(ofDigits), factor, sums[i]));
  });
  kernel.syncWarp();
  kernel.when(kernel.equal(kernel.lane, kernel.index(0)), [&] { kernel.arrive(stage.empty); });
  return result;
}

} // namespace grok::compiler
