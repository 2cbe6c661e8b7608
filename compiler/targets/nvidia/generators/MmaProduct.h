// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product on tensor cores: quantised rows with integer weights, whose sums of a
// unit are exact, or rows rounded to bf16 with bf16 weights.
#pragma once

#include "compiler/targets/nvidia/generators/ClusterSums.h"
#include "compiler/targets/nvidia/generators/WeightRing.h"
#include "dialects/plan/QuantizedRow.h"
#include <optional>

namespace grok::compiler {

/// Two panels at a time, of which each warp has its slices. In kernels for up to sixteen
/// rows they come through a ring in shared memory where the chip has bulk
/// copies; elsewhere from device memory straight to registers, a stage or more ahead of
/// their use. The rows' operands come through the first-level cache. Chunks of no
/// more rows than an n8 tile have code of their own.
///
/// Such a tile has eight rows, or the two digits of four: lane 4 g + t reads digit g % 2 of
/// row g / 2, so both digits' sums of a row are neighbours in one lane.
class MmaProduct final : public GpuProduct {
public:
  MmaProduct(GpuBuilder &kernel, int64_t slots);

  /// Whether products of `spec` are made like this.
  static bool fits(const KernelSpec &spec);
  static int64_t threadsOf(const KernelSpec &spec, int64_t clusterBlocks);
  /// Blocks that share the tiles, where whole ones would leave multiprocessors idle.
  static int64_t bestClusterBlocks(const KernelSpec &spec, const NvidiaChip &chip);

  void announce(const PanelSequence &sequence) override;
  void finish() override;
  void compute(PanelSource source, Value rows, RowInput input) override;
  void forResults(Value rows, llvm::function_ref<void(Value row, Value position)> body) override;

private:
  static constexpr int64_t accumulators = 8; // of a lane and n8 tile: two m16 tiles of four

  // What a lane works with for one pair of panels. Its sums are [row tile][column 0..3]
  // [laneRows], its accumulators the same of each digit.
  struct Work {
    GpuPanel panel;
    PanelFragments::Lane lane;
    Values inputs; // of each row tile, the lane's row, from its digit on; or null: rowTable
  };
  void computePairs(PanelSource source, Value rows, RowInput input, int64_t rowTiles);
  void computePair(const Work &work, int64_t rowTiles);
  // One of the lane's stages: what it has loaded, and the next one's loads, which
  // are asked for as registers get free.
  struct Stage {
    Value number;
    mlir::ValueRange loaded;
    llvm::function_ref<void(int64_t step)> afterStep;
  };
  void multiplyRound(const Work &work, Value number, Value lastStage, Values &ahead, Values &sums);
  void withStage(const Work &work, Value number, Value lastStage, Values &ahead,
                 llvm::function_ref<void(const Stage &)> multiply);
  using Steps = llvm::SmallVector<PanelFragments::Step, 4>;
  void multiplyUnit(const Work &work, Value number, const Stage &stage, Values &sums);
  Values multiplyCodes(const Work &work, const Stage &stage, const Steps &steps, Values sums);
  Values multiplyHalves(const Work &work, const Stage &stage, mlir::ValueRange sums);
  Value sumOfDigits(const Values &sums, size_t i, int32_t shift) const;
  Value unitSum(const Values &sums, size_t i) const;
  Values rowScales(Value ownRow, Value unitNumber) const;
  Values addUnit(const Work &work, Value unitNumber, const Values &unitSums, mlir::ValueRange sums);
  /// B operands of row tile `tile` for `step`; `read` keeps what the lane has read.
  Values operandsOf(const Work &work, const Stage &stage, int64_t tile, int64_t step,
                    Values &read) const;
  Values readCodes(Value row, Value stage, int64_t number) const;
  Values readHalves(Value row, Value stage, int64_t number) const;
  Values multiplySlice(const Work &work, Value slice, Value lastStage, Values &ahead);
  Values sliceScales(const Work &work, Value slice);
  Value firstSlice() const;
  void storePart(Value part, size_t count, llvm::function_ref<Value(size_t number)> sumOf);
  void addSlices(Value pair, int64_t rowTiles);
  Values zeros(int64_t rowTiles) const;
  Values zeroSums(size_t rowTiles) const;
  Value rowOf(int64_t tile) const;
  Value fromDigit(Value row) const;
  Value inputOf(const Work &work, int64_t tile) const;

  const bool isInteger;
  const int64_t digits;
  const plan::QuantizedRow record;
  const int64_t tileRows, laneRows; // of an n8 tile, and of a lane there
  const int64_t tileSums;           // of a lane and tile
  PanelFragments fragments;
  const int64_t stagesPerUnit, rowTiles, ownSlices;
  const int64_t parts; // that meet in shared memory: slices, or beside a ring the sums of warps
  std::unique_ptr<WeightRing> ring; // or null
  std::optional<ClusterSums> clusterSums;
  const int64_t depth;       // stages in flight of each warp, else
  Value partials;            // float32 [parts][row tile][tileSums][lanes], shared
  Value group, quad, quad32; // of the lane: 4 group + quad
  Value ownDigit;            // where its row's digit begins, if there are two
  Value rowTable;            // addresses of a chunk's rows, shared, where they take registers
};

} // namespace grok::compiler
