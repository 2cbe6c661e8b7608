// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights on their way through shared memory: each warp has a ring of stages that bulk
// copies fill ahead of their use, past the ends of tiles.
#pragma once

#include "compiler/targets/nvidia/generators/PanelFragments.h"

namespace grok::compiler {

/// The stages of a warp, in the order of their use. A stage is a run of inputs of two
/// panels. Its first lane asks for a stage as soon as the warp has used the one in the same
/// place, so a warp waits for no other one and the ring never drains
/// between products. An mbarrier for each place counts the bytes that arrive; that a
/// place is free, the warp knows of itself.
///
/// Reads of 16 bytes meet two to a bank: of four lines that the lanes of a column read,
/// two start at the same one; of bf16 all four do. That is 64 and 32 bytes a clock of a
/// multiprocessor, which gets 19 from device memory.
class WeightRing {
public:
  /// Of a block: enough for a multiprocessor to have 48 KiB under way at any time, and so
  /// little that the block of the next launch fits beside it and can fill its own.
  static constexpr int64_t mostBytes = 96 * 1024;

  /// Of products of `slots` panels; each warp uses `stages` stages of every pair of them.
  WeightRing(GpuBuilder &kernel, const PanelFragments &fragments, int64_t slots, int64_t stages);

  /// Asks for the first stages, `firstStage` being the warp's first of a panel. Reads
  /// device memory as `sequence` does, and weights. A task that may wait long
  /// asks the second-level cache for the rest of the first product, too.
  void start(const PanelSequence &sequence, Value firstStage);

  /// Gives the barriers' memory back.
  void finish();

  /// The next stage's fragments, as PanelFragments::load gives them. After their use, its
  /// place is for another one.
  Values take();
  void release();

private:
  void forBarriers(llvm::function_ref<void(Value barrier)> body);
  void fill(Value place);
  void advance();
  void findPanels();
  void prefetchRest();

  GpuBuilder &kernel;
  const PanelFragments &fragments;
  const int64_t slots, stages, panelStageBytes, stageBytes, depth;
  Value memory, barriers; // of the warp, shared
  PanelSequence sequence;
  Value firstStage;
  // Variables: the next place to take from and its phase's parity; what comes next into
  // the ring: whether there is any, and which.
  Value takePlace, parity, isValid, stage, pair;
  Value panels[2]; // addresses
  Values cursor;
};

} // namespace grok::compiler
