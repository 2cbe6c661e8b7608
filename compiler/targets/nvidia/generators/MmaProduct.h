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
/// rows, two n8 tiles, they come through a ring in shared memory where the chip has bulk
/// copies; elsewhere from device memory straight to registers, a stage or more ahead of
/// their use. The rows' operands come through the first-level cache. Chunks of up to
/// eight rows have code of their own.
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
  // What a lane works with for one pair of panels; sums are [row tile][m16 tile][4].
  struct Work {
    GpuPanel panel;
    PanelFragments::Lane lane;
    Values inputs; // of each row tile, the lane's row
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
  Values multiplyCodes(const Work &work, const Stage &stage, Values sums);
  Values multiplyHalves(const Work &work, const Stage &stage, mlir::ValueRange sums);
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
  Values zeros(int64_t rowTiles, Value zero) const;

  const bool isInteger;
  const plan::QuantizedRow record;
  PanelFragments fragments;
  const int64_t stagesPerUnit, rowTiles, ownSlices;
  const int64_t parts; // that meet in shared memory: slices, or beside a ring the sums of warps
  std::unique_ptr<WeightRing> ring; // or null
  std::optional<ClusterSums> clusterSums;
  const int64_t depth;       // stages in flight of each warp, else
  Value partials;            // float32 [parts][row tile][8][lanes], shared
  Value group, quad, quad32; // of the lane: 4 group + quad
};

} // namespace grok::compiler
