// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One tensor of a weight file: where its values come from and the order in
// which kernels stream them (docs/artifact.md).
#pragma once

#include "frontends/checkpoint/Checkpoint.h"
#include "runtime/plan/Sha256.h"

#include <cstdint>
#include <string>
#include <vector>

namespace grok::compiler {

struct PackedTensor {
  enum class Packing {
    panel16,  // matrix: [expert][16-column panel][k / kPack][16][kPack]
    scales16, // scales: [expert][row group][columns, panels padded to 16]
    vector16, // vector padded to a multiple of 16
    rope      // made here: [position][cos, sin][half head]
  };

  std::string name;
  std::string source; // checkpoint path; ".scales" suffix for scales
  Packing packing = Packing::vector16;
  std::string packingText; // "panel16.k4"
  checkpoint::DType dtype = checkpoint::DType::f32;
  std::vector<int64_t> shape;   // packed, panel padding included
  std::vector<int64_t> logical; // as in the checkpoint
  int64_t kPack = 1;
  int64_t columnGroup = 0; // columns padded to 16 together; 0 = all of them
  bool transposed = false; // stored [N, K] in the checkpoint
  int64_t rowGroups = 1, unit = 0, slices = 1;
  double ropeBase = 0; // rope only

  uint64_t offset = 0; // in the weight file
  uint64_t bytes = 0;  // a multiple of 64
  runtime::Digest sha256{};

  int64_t experts() const;       // 1 unless the tensor has an expert axis
  int64_t inputs() const;        // K of a matrix, row groups of scales
  int64_t outputs() const;       // N
  int64_t panels() const;        // 16-column panels, column groups padded apart
  uint64_t contentBytes() const; // without the final padding
};

/// A run of a packed tensor that is made at once: panels [firstPanel, lastPanel)
/// of one expert's matrix. Other packings are one chunk.
struct PackedChunk {
  int64_t expert = 0, firstPanel = 0, lastPanel = 0;
  uint64_t bytes = 0;
  /// Bytes of the checkpoint's tensor that no later chunk reads.
  int64_t sourceBegin = 0, sourceEnd = 0;
};

/// The chunks of a tensor in file order, each of at most about `maxBytes`.
std::vector<PackedChunk> chunksOf(const PackedTensor &tensor, uint64_t maxBytes);

/// Packs one chunk from the checkpoint's bytes of the whole tensor into `out`
/// (chunk.bytes long), using `threads` threads.
void packChunk(const PackedTensor &tensor, std::span<const std::byte> source,
               const PackedChunk &chunk, std::span<std::byte> out, int threads);

} // namespace grok::compiler
