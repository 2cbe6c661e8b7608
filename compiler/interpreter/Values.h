// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What SSA values of grok IR are while the interpreter runs.
#pragma once

#include "compiler/interpreter/Matrix.h"

#include "llvm/ADT/ArrayRef.h"
#include <map>
#include <string>
#include <tl/expected.hpp>
#include <variant>

namespace grok::interpreter {

/// A value, or one line that says what is wrong.
template <typename T> using Result = tl::expected<T, std::string>;

/// An activation: float32 words in row-major order, rounded to bfloat16 where
/// the IR's element type is bf16.
struct Tensor {
  std::vector<int64_t> shape; // the row count stands for `?`
  std::vector<float> values;

  Tensor() = default;
  explicit Tensor(std::vector<int64_t> extents);
  int64_t rows() const { return shape.front(); }
  /// Elements from one row to the next.
  int64_t stride() const { return rows() == 0 ? 0 : int64_t(values.size()) / rows(); }
  const float *row(int64_t index) const { return values.data() + index * stride(); }
  float *row(int64_t index) { return values.data() + index * stride(); }
};

/// Token ids [T], or chosen experts [T, k].
struct Indices {
  std::vector<int64_t> shape;
  std::vector<int32_t> values;
};

/// What each row of a step is.
struct Step {
  std::vector<int64_t> positions; // [T]
  std::vector<int64_t> sequences; // [T]
  std::vector<int64_t> logitRows; // rows whose logits are wanted
};

/// Keys and values of one sequence in one layer.
struct SequenceCache {
  std::vector<float> keys;   // [position, kvHead * headDim], RoPE applied
  std::vector<float> values; // [position, kvHead * headDim]
  std::vector<bool> keep;    // [position]; false for pad and never written
};

/// The whole cache as a value: a write makes a new one that shares the layers
/// it left alone.
struct Cache {
  using Layer = std::map<int64_t, SequenceCache>; // by sequence
  std::vector<std::shared_ptr<const Layer>> layers;

  /// Nothing stored yet.
  static Cache empty(int64_t layers);
};

using Value = std::variant<Tensor, Indices, Matrix, Step, Cache>;

} // namespace grok::interpreter
