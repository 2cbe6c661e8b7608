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
