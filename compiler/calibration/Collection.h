// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Statistics from a run of a compiled artifact over a text.
#pragma once

#include "compiler/calibration/Statistics.h"
#include "compiler/calibration/TextRun.h"
#include "frontends/checkpoint/Checkpoint.h"

namespace grok::calibration {

struct CollectionOptions {
  /// Whose moments are wanted.
  std::function<bool(const InputKey &)> isWanted = [](const InputKey &) { return true; };
  /// Inputs longer than this are cut into blocks, moments between which are not
  /// kept. 1 keeps mean squares alone.
  int64_t largestBlock = 6144;
  int threads = 1;
  /// Windows done, of the slice's.
  std::function<void(int64_t)> showProgress;
};

/// Bytes of the statistics of a model under this `largestBlock`, all inputs wanted.
int64_t statisticsBytes(const checkpoint::TensorList &tensors, int64_t largestBlock);
/// The largest block that keeps them within `mostBytes`: 4096 or a part of it, and
/// 1, mean squares alone, if even blocks of 64 take more.
int64_t chooseLargestBlock(const checkpoint::TensorList &tensors, int64_t mostBytes);

/// Watches the launches of one run and adds up what enters the matrices. Pad
/// tokens do not count.
Result<Statistics> collectStatistics(TextRun &run, const TextSlice &slice,
                                     const CollectionOptions &options);

} // namespace grok::calibration
