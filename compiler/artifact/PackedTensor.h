// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One tensor of a weight file: where its values come from and the order in
// which kernels stream them (docs/artifact.md).
#pragma once

#include "frontends/checkpoint/Checkpoint.h"
#include "runtime/plan/Sha256.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace grok::compiler {

struct PackedTensor {
  static constexpr int64_t panelColumns = 16;
  enum class Packing {
    panel16,  // matrix: [expert][16-column panel][k / kPack][16][kPack]
    codes16,  // int4 or int3 matrix: [expert][16-column panel][panel's bytes]
    scales16, // scales: [expert][row group][columns, panels padded to 16]
    vector16, // vector padded to a multiple of 16
    rope,     // made here: [position][cos, sin][half head]
    first16,  // made here: 16 times the first row of the rank's part, int32
    slots     // made here: of each expert its place among `experts` or -1, int32
  };
  /// Dimension `dim` of the stored tensor is cut into `parts` equal parts; the
  /// ranks of an axis share them out.
  struct Slice {
    enum class Axis { tensor, experts, both }; // tp, ep, or all ranks of a stage
    int64_t dim, parts;
    Axis axis = Axis::tensor;
  };

  std::string name;
  std::string source; // checkpoint path; ".scales" suffix for scales
  Packing packing = Packing::vector16;
  std::string packingText; // "panel16.k4", "panel16.i4.g32"
  checkpoint::DType dtype = checkpoint::DType::f32;
  bool isIndices = false;       // int32, made here; dtype then only gives the size
  std::vector<int64_t> shape;   // packed, panel padding included
  std::vector<int64_t> logical; // as in the checkpoint, or of the rank's part
  /// Which of the checkpoint's experts, in packed order; empty = all of them.
  std::vector<int64_t> experts;
  int64_t kPack = 1;
  int bits = 0;               // codes16: 4 or 3
  int64_t multiplierRows = 0; // codes16: rows that share a multiplier
  int64_t columnGroup = 0;    // columns padded to 16 together; 0 = all of them
  bool transposed = false;    // stored [N, K] in the checkpoint
  int64_t rowGroups = 1, unit = 0, slices = 1;
  double ropeBase = 0; // rope only
  // Of a tensor that several ranks share. For scales these describe the matrix.
  std::vector<Slice> cuts;
  std::vector<int64_t> stored; // shape in the checkpoint; empty = the rank has all of it
  std::vector<int64_t> part;   // shape of the rank's part
  std::vector<int64_t> begin;  // where it starts; may end behind `stored`: zeros
  int64_t storedGroups = 1;    // row groups of `stored`

  uint64_t offset = 0; // in the weight file
  uint64_t bytes = 0;  // a multiple of 64
  runtime::Digest sha256{};

  int64_t expertCount() const;           // packed; 1 unless the tensor has an expert axis
  int64_t expertAt(int64_t index) const; // its number in the checkpoint
  int64_t inputs() const;                // K of a matrix, row groups of scales
  int64_t outputs() const;               // N
  int64_t panels() const;                // 16-column panels, column groups padded apart
  int64_t panelBytes() const;            // of panel16 and codes16
  /// Column of the logical matrix that stands in `lane` of `panel`, or -1.
  int64_t columnAt(int64_t panel, int64_t lane) const;
  uint64_t contentBytes() const; // without the final padding

  /// Chooses the part of rank number `tensorRank` of `tensorRanks` on tp, and of
  /// the same on ep.
  void placeOnRank(int64_t tensorRank, int64_t tensorRanks, int64_t expertRank,
                   int64_t expertRanks);
};

/// Sets packing, kPack, bits and multiplierRows from "panel16.k4",
/// "panel16.i4.g32", "scales16", "vector16", "rope", "first16" or "slots"; false
/// for other texts.
bool readPacking(std::string_view text, PackedTensor &tensor);

/// A run of a packed tensor that is made at once: panels [firstPanel, lastPanel)
/// of one of the checkpoint's experts. Other packings are one chunk.
struct PackedChunk {
  int64_t expert = 0, firstPanel = 0, lastPanel = 0;
  uint64_t bytes = 0;
};

/// The chunks of a tensor in file order, each of at most about `maxBytes`.
std::vector<PackedChunk> chunksOf(const PackedTensor &tensor, uint64_t maxBytes);

/// Packs one chunk of any packing but codes16 into `out` (chunk.bytes long),
/// using `threads` threads. `source` are the values in the order of the
/// checkpoint: of the chunk's expert for panel16, else of the whole tensor.
void packChunk(const PackedTensor &tensor, std::span<const std::byte> source,
               const PackedChunk &chunk, std::span<std::byte> out, int threads);

} // namespace grok::compiler
