// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One view of every checkpoint format: an index of named tensors whose bytes
// stay on disk until asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
  std::string name;           // "transformer/decoder_layer_3/moe/linear/w"
  DType dtype = DType::f32;   // of the weight
  std::vector<int64_t> shape; // [in, out] or [expert, in, out]; C order
  bool quantised = false;
  DType scaleDtype = DType::bf16;
  std::vector<int64_t> scaleShape; // shape with the contracted axis = row groups
  std::string file;                // where it was found; empty if only described

  int64_t elements() const;
  int64_t weightBytes() const;
  int64_t scaleBytes() const; // 0 if not quantised
  int64_t rowGroups() const;  // 1 if not quantised
  /// Same dtypes and shapes; name and file may differ.
  bool sameForm(const TensorInfo &other) const;
  /// "int8 [8, 64, 344], scales bfloat16 [8, 2, 344]".
  std::string form() const;
};

/// All tensors of a model, in the order of its layers.
using TensorList = std::vector<TensorInfo>;

/// "[8, 64, 344]".
std::string shapeText(std::span<const int64_t> shape);
/// The product, or nothing if a dimension is not positive or it overflows.
std::optional<int64_t> elementsOf(std::span<const int64_t> shape);
/// Text of a file made safe to stand in a one-line message: what is not
/// printable ASCII becomes \xNN.
std::string printable(std::string_view text);

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
  /// Fails if the file was written since it was opened or could not be read.
  /// Bytes that vanish under a reader appear as zeros, not as a signal, so
  /// whoever streams asks this after the last byte, before trusting any.
  virtual Result<void> checkUnchanged() const = 0;
};

/// An opened checkpoint. Opening reads headers only; `read` maps one tensor.
/// Safe to read from several threads.
class Checkpoint {
public:
  virtual ~Checkpoint() = default;
  /// In the order of the model: layer 0, 1, 2, ..., whatever the order on disk.
  virtual const TensorList &tensors() const = 0;
  /// Fails if the file changed since opening or holds values that no
  /// checkpoint may hold: float weights or scales that are NaN or infinite,
  /// scales that are negative (zero stands for an all-zero column). All float
  /// data is looked at here, in blocks that are released again, so that no
  /// reader can forget to.
  virtual Result<std::unique_ptr<TensorData>> read(std::string_view name) const = 0;
};

} // namespace grok::checkpoint
