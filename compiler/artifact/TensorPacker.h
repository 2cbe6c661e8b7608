// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a checkpoint's tensor to a packed one: as stored, or encoded first.
#pragma once

#include "compiler/artifact/PackedTensor.h"
#include "compiler/quantization/Encoder.h"

namespace grok::compiler {

template <typename T> using Result = checkpoint::Result<T>;

/// The matrix encoded last: ranks that hold parts of it share the work, and get
/// the same codes whatever their number.
struct EncodedCache {
  std::string tensor;
  int64_t expert = -1;
  quantization::MatrixFormat format;
  std::optional<quantization::EncodedMatrix> matrix;
};

/// What packs tensors from.
struct PackingSource {
  const checkpoint::Checkpoint &checkpoint;
  const quantization::MatrixEncoder *encoder; // null if no matrix needs one
  int threads;
  std::shared_ptr<EncodedCache> encoded = std::make_shared<EncodedCache>();
};

/// Makes the bytes of one packed tensor, chunk by chunk in file order. Holds at
/// most one expert's encoded matrix and its part of it, and lets go of source
/// pages behind itself.
class TensorPacker {
public:
  /// `all` are the tensors of the file: scales of a matrix that is stored as
  /// floats are made as its packed weight wants them. All must outlive the packer.
  static Result<TensorPacker> open(const PackedTensor &tensor, std::span<const PackedTensor> all,
                                   const PackingSource &source);

  Result<void> pack(const PackedChunk &chunk, std::span<std::byte> out);
  /// To be asked after the last chunk (see checkpoint::TensorData).
  Result<void> checkUnchanged() const;

private:
  TensorPacker(const PackedTensor &tensor, const PackingSource &source)
      : tensor(&tensor), source(source) {}

  Result<void> openScales(std::span<const PackedTensor> all);
  Result<void> makeScales(const quantization::MatrixFormat &format);
  void cutOwnScales();
  Result<void> encode(int64_t expert);
  Result<void> packRows(const PackedChunk &chunk, std::span<std::byte> out);
  Result<void> packEncoded(const PackedChunk &chunk, std::span<std::byte> out);
  void packStored(const PackedChunk &chunk, std::span<std::byte> out);
  void releaseRead(const PackedChunk &chunk);

  const PackedTensor *tensor;
  PackingSource source;
  const checkpoint::TensorInfo *info = nullptr; // set where something is encoded
  std::unique_ptr<checkpoint::TensorData> data; // null for what is made here
  std::span<const std::byte> bytes;             // stored, or scales made here
  std::vector<uint16_t> scales;
  bool encodes = false;
  // Of a rank's part:
  int64_t cutExpert = -1;
  std::vector<std::byte> cutBytes; // stored values of that expert, or all scales
  quantization::EncodedMatrix cutCodes;
};

} // namespace grok::compiler
