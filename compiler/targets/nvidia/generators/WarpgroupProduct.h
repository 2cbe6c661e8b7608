// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of many rows by tensor cores that read both operands from shared memory:
// what is the same for wgmma and tcgen05. Quantised rows with integer weights.
#pragma once

#include "compiler/targets/nvidia/generators/WgmmaWeights.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

/// Eight panels (128 columns, the m side) by a chunk of rows (the n side). One
/// warpgroup fills a ring of stages, a unit each: it copies the rows' codes by
/// cp.async and opens the weights in registers. Two others have the units multiplied
/// and add every unit's exact sums to float32 ones as docs/numerics.md says.
///
/// The tree over slices is summed depth first, so that of each of its levels one
/// pending value is enough. With a unit's and a slice's sums that makes six values
/// for each result at sixteen slices: the lowest levels wait in registers, the last
/// one where the results will stand, those between them where the form has room.
///
/// Of rows of two digits a stage holds the high ones of all rows, then the low ones: one
/// product of twice the rows multiplies both.
class WarpgroupProduct : public GpuProduct {
public:
  /// Whether `spec` is such a product.
  static bool fits(const KernelSpec &spec);
  static constexpr int64_t threads = 384;

  void compute(PanelSource source, Value rows, RowInput input) override;
  Value spareMemory(int64_t bytes) override;

protected:
  static constexpr int64_t stepInputs = 32; // of one product
  static constexpr int64_t groupWarps = 4, multiplyingWarps = 8;

  /// Whether a tile leaves registers to sums: not where it goes on from expert to expert,
  /// or ends with codes for the cache.
  static bool isSimple(const KernelSpec &spec);

  /// What the instruction decides.
  struct Form {
    int64_t chunkRows;
    int64_t registers;      // of a thread that multiplies
    int64_t registerLevels; // of the tree, at most
    /// Sums i of a lane come by fours: of so many rows, two columns 8 apart or one.
    int64_t rowsOfFour;
  };
  WarpgroupProduct(GpuBuilder &kernel, int64_t slots, const Form &form);

  /// A unit's place in the ring.
  struct Stage {
    Value full, empty; // mbarriers
    Value parity;      // of their phases that end when it is filled, and when it is read
    Value weights, codes, scales;
  };
  Stage stageOf(Value unitNumber) const;
  /// Of all units that went through the ring, an int32.
  Value numberOf(Value unitNumber) const { return kernel.add(before, kernel.toWord(unitNumber)); }

  /// The first sum of a lane of a multiplying warp: its slot, its column 0..15 there, its
  /// row.
  struct Place {
    Value slot, column, row;
  };
  virtual Place placeOf(int64_t width) const = 0;
  /// In compute(), by all threads, when all have come.
  virtual void begin() {}
  /// By the multiplying warps before the first unit of `width` rows.
  virtual void beginUnits(int64_t /*width*/) {}
  /// body(number, int32 sum of each digit, the high one first) for the lane's sums of a
  /// unit in ascending order; calls `whenFull` first, once the stage is.
  virtual void forUnitSums(const Stage &stage, Value unitNumber, int64_t width,
                           llvm::function_ref<void()> whenFull,
                           llvm::function_ref<void(int64_t, ValueRange)> body) = 0;
  /// Pending values of tree level `level` above those in registers, but the last.
  virtual void keepPending(ValueRange sums, int64_t level) = 0;
  virtual void addPending(Values &sums, int64_t level) = 0;

  /// body(sum number, its place) of the lane's sums in [row][column].
  void forSums(int64_t count, Value memory,
               llvm::function_ref<void(int64_t i, Value address)> body) const;
  int64_t resultBytes() const { return chunkRows * resultColumns * 4; }

  const Form form;
  const int64_t digits;
  const plan::QuantizedRow record;
  const WgmmaWeights weights;
  const int64_t stageBytes, units, registerLevels, memoryLevels;
  Value groupWarp; // of a multiplying warp: 0..7

private:
  void fill(PanelSource source, int64_t width);
  void copyRows(const Stage &stage, Value unitNumber, int64_t width) const;
  void announceUnit(Value unitNumber) const;

  void multiply(PanelSource source, int64_t width);
  Values addUnit(const GpuPanel &panel, Value unitNumber, int64_t width, ValueRange sums);
  Values sumOfSlice(const GpuPanel &panel, Value slice, int64_t width);
  Values sumOfLevel(const GpuPanel &panel, Value first, int64_t level, int64_t width);
  void settle(Values sums, Value number, int64_t level);
  Values scalesAt(const GpuPanel &panel, Value group);
  Value floatOf(ValueRange sums) const;
  int64_t rowOf(int64_t sum) const;
  int64_t columnOf(int64_t sum) const;

  Place own;             // of this lane, at the width in work
  Value ring, scaleRing; // [stage], shared
  Value inputs;          // the rows' addresses
  Value barriers;        // full and empty of each stage
  Value served;          // units that went through the ring before, int32
  Value before;          // the same, when compute() began
};

} // namespace grok::compiler
