// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What turns a matrix of a checkpoint into a quantised one.
#pragma once

#include "compiler/quantization/EncodedMatrix.h"
#include "frontends/checkpoint/Checkpoint.h"

namespace grok::quantization {

template <typename T> using Result = checkpoint::Result<T>;

/// One expert's matrix of a checkpoint, as stored. The tensor and its data must
/// outlive it.
struct MatrixSource {
  const checkpoint::TensorInfo *tensor = nullptr; // its name finds statistics
  int64_t expert = 0;                             // of the checkpoint; 0 for a matrix
  std::span<const std::byte> weight;              // [rows][columns], possibly unaligned
  std::span<const std::byte> scales;              // bf16 [rowGroups][columns]; empty for floats

  int64_t rows() const { return tensor->shape[tensor->shape.size() - 2]; }
  int64_t columns() const { return tensor->shape.back(); }
};

/// Expert `expert` of a tensor of rank 3, or the whole matrix of rank 2.
MatrixSource matrixOf(const checkpoint::TensorInfo &tensor, const checkpoint::TensorData &data,
                      int64_t expert);

/// A matrix on an int8 grid: what encoders to fewer bits take for the truth.
/// The release's own codes and scales, or those made from floats.
struct GridMatrix {
  int64_t rows = 0, columns = 0, rowGroups = 1;
  std::span<const int8_t> stored; // the release's codes; empty for floats
  std::vector<int8_t> made;       // codes made here; empty for int8
  std::vector<uint16_t> scales;   // bf16 [rowGroups][columns]

  const int8_t *codes() const { return made.empty() ? stored.data() : made.data(); }
};

/// The stored int8 codes and scales untouched; from floats, per (row group,
/// column) the smallest bf16 scale not below max|w| / 127. Fails if the stored
/// row groups are not `rowGroups`.
Result<GridMatrix> gridOf(const MatrixSource &source, int64_t rowGroups, int threads);

/// Implementations differ in how they choose codes; all keep the scales of the
/// int8 grid. Deterministic, whatever the number of threads.
class MatrixEncoder {
public:
  virtual ~MatrixEncoder() = default;
  /// `target` is not `stored`. Not called from several threads at once; uses
  /// threads inside.
  virtual Result<EncodedMatrix> encode(const MatrixSource &source,
                                       const MatrixFormat &target) const = 0;
  /// Names the method and all that its results depend on, for the report and
  /// for the identity of unfinished work: "search", "gptq, statistics 3f2a...".
  virtual std::string identity() const = 0;
};

} // namespace grok::quantization
