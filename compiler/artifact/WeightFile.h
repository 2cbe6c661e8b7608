// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Writes the packed weight file: safetensors, in kernel order, streamed.
#pragma once

#include "compiler/artifact/TensorPacker.h"

#include <functional>

namespace grok::compiler {

/// Called before each tensor, before each chunk of a large one, and after the
/// last: its name, bytes done of all.
using PackProgress = std::function<void(std::string_view tensor, uint64_t done, uint64_t total)>;

struct WeightFile {
  std::string name;         // "model-cpu-00000-of-00001.weights.safetensors"
  uint64_t bytes = 0;       // whole file
  uint64_t headerBytes = 0; // where data starts, a multiple of 4096
  runtime::Digest headerSha256{};
  // How far the writing is or got:
  uint64_t finishedBytes = 0;
  int64_t reusedTensors = 0; // that an interrupted run had finished
};

/// Gives every tensor its offset; returns the file's sizes. Order is kept.
WeightFile placeTensors(std::string name, std::vector<PackedTensor> &tensors);

/// The weight file of one rank and what it holds. Ranks of one stage hold the same
/// tensors in the same order, each its part.
struct RankWeights {
  int stage = 0;
  WeightFile file;
  std::vector<PackedTensor> tensors;
};

/// Packs all tensors from `source` into `directory` in one pass over it, all
/// ranks of a stage side by side, and fills their digests and those of the headers.
/// Holds at most one expert of the source, its encoded matrix and for each rank
/// its part of that and a packed chunk of 64 MiB in memory. What was finished
/// stays in `directory` on failure, and is looked for there first (see
/// OutputFolder).
Result<void> writeWeightFiles(const std::string &directory, std::span<RankWeights> ranks,
                              const PackingSource &source, const PackProgress &progress);

} // namespace grok::compiler
