// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One view of every checkpoint format: an index of named tensors whose bytes
// stay on disk until asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace grok::checkpoint {

/// A value or one line that names the file, the tensor and what is wrong.
template <typename T> using Result = tl::expected<T, std::string>;

enum class DType { f32, bf16, i8 };

/// Bytes of one element.
int64_t sizeOf(DType dtype);
/// "float32", "bfloat16" or "int8", as config.json spells them.
std::string_view nameOf(DType dtype);

/// What is expected of, or was found for, one tensor. A quantised tensor is
/// the pair (weight int8, scales bf16); `rowGroups` scales stand along the
/// second to last axis (specification section 5).
struct TensorInfo {
  std::string name;             // "transformer/decoder_layer_3/moe/linear/w"
  DType dtype = DType::f32;     // of the weight
  std::vector<int64_t> shape;   // [in, out] or [expert, in, out]; C order
  bool quantised = false;
  DType scaleDtype = DType::bf16;
  std::vector<int64_t> scaleShape; // shape with the contracted axis = row groups
  std::string file;             // for error messages

  int64_t elements() const;
  int64_t rowGroups() const; // 1 if not quantised
};

/// Mapped bytes of one tensor: little-endian, C order, possibly unaligned.
/// Valid while the object lives; dropping it unmaps.
class TensorData {
public:
  virtual ~TensorData() = default;
  virtual std::span<const std::byte> weight() const = 0;
  virtual std::span<const std::byte> scales() const = 0; // empty if not quantised
  /// Tells the kernel that bytes [begin, end) of the weight are not needed
  /// again, so that streaming a large tensor keeps a small resident set.
  virtual void release(int64_t begin, int64_t end) const = 0;
};

/// An opened checkpoint. Opening reads headers only; `read` maps one tensor.
/// Safe to read from several threads.
class Checkpoint {
public:
  virtual ~Checkpoint() = default;
  virtual const std::vector<TensorInfo> &tensors() const = 0;
  /// Fails if the file changed since opening or holds values that no
  /// checkpoint may hold (non-finite or non-positive scales).
  virtual Result<std::unique_ptr<TensorData>> read(std::string_view name) const = 0;
};

} // namespace grok::checkpoint
