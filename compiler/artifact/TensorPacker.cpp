// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decides what a packed tensor is made from and makes it in pieces.
#include "compiler/artifact/TensorPacker.h"

#include "compiler/artifact/MatrixPart.h"
#include "compiler/artifact/PanelCodes.h"
#include "compiler/quantization/Grid.h"

#include <algorithm>

using namespace grok;
using namespace grok::compiler;
using quantization::EncodedMatrix;
using quantization::MatrixFormat;
using quantization::MatrixSource;
using Packing = PackedTensor::Packing;

static constexpr std::string_view scalesSuffix = ".scales";

static std::string_view withoutSuffix(std::string_view name) {
  return name.substr(0, name.size() - scalesSuffix.size());
}

static const checkpoint::TensorInfo *findInfo(const checkpoint::Checkpoint &checkpoint,
                                              std::string_view name) {
  const checkpoint::TensorList &tensors = checkpoint.tensors();
  auto found = std::find_if(tensors.begin(), tensors.end(),
                            [&](const auto &info) { return info.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

/// The format of the whole matrix whose codes are packed, wholly or in part. What
/// is stored transposed is the embedding table: a scale per token, which is a row
/// of the checkpoint.
static MatrixFormat formatOf(const PackedTensor &tensor) {
  MatrixFormat format;
  format.kind = tensor.bits == 4   ? MatrixFormat::Kind::i4
                : tensor.bits == 3 ? MatrixFormat::Kind::i3
                                   : MatrixFormat::Kind::i8;
  format.rowGroups = tensor.stored.empty() ? tensor.rowGroups : tensor.storedGroups;
  format.multiplierRows = tensor.multiplierRows;
  format.alongLast = tensor.transposed;
  return format;
}

Result<TensorPacker> TensorPacker::open(const PackedTensor &tensor,
                                        std::span<const PackedTensor> all,
                                        const PackingSource &source) {
  TensorPacker packer(tensor, source);
  if (tensor.packing == Packing::rope || tensor.isIndices)
    return packer;
  const bool isScales = tensor.source.ends_with(scalesSuffix);
  const std::string name(isScales ? withoutSuffix(tensor.source) : tensor.source);
  auto read = source.checkpoint.read(name);
  if (!read)
    return tl::unexpected(read.error());
  packer.data = std::move(*read);
  packer.bytes = isScales ? packer.data->scales() : packer.data->weight();
  packer.info = findInfo(source.checkpoint, name);
  const bool isFloat = packer.info && !packer.info->quantised;
  packer.encodes =
      tensor.packing == Packing::codes16 ||
      (tensor.packing == Packing::panel16 && tensor.dtype == checkpoint::DType::i8 && isFloat);
  if (packer.encodes && !(packer.info && (source.encoder || tensor.transposed)))
    return tl::unexpected(name + ": cannot be stored as " + nameOf(formatOf(tensor)) +
                          " without an encoder");
  if (isScales)
    if (auto opened = packer.openScales(all); !opened)
      return tl::unexpected(opened.error());
  return packer;
}

/// Scales as stored, or made where the matrix is stored as floats; of a rank's
/// part if the tensor is one.
Result<void> TensorPacker::openScales(std::span<const PackedTensor> all) {
  if (info && !info->quantised) {
    auto weight = std::find_if(all.begin(), all.end(), [&](const PackedTensor &other) {
      return other.name == withoutSuffix(tensor->name);
    });
    if (weight == all.end())
      return tl::unexpected(tensor->name + ": scales without a weight");
    if (auto made = makeScales(formatOf(*weight)); !made)
      return made;
  }
  if (!tensor->stored.empty())
    cutOwnScales();
  return {};
}

/// The part's scales of its experts, one after the other.
void TensorPacker::cutOwnScales() {
  MatrixPart part = MatrixPart::of(*tensor);
  const int64_t size = checkpoint::sizeOf(tensor->dtype);
  // A table has a scale for each token, the rows of its matrix.
  if (tensor->part.size() == 2 && tensor->logical[1] == tensor->part[0] &&
      static_cast<int64_t>(bytes.size()) == tensor->stored[0] * size) {
    cutBytes = cutMatrix(bytes, size, {1, part.storedRows, 0, 1, part.firstRow, part.rows});
  } else {
    const int64_t matrixBytes = tensor->storedGroups * part.storedColumns * size;
    for (int64_t index = 0; index < tensor->expertCount(); ++index) {
      auto one = cutScales(bytes.subspan(tensor->expertAt(index) * matrixBytes, matrixBytes),
                           tensor->storedGroups, tensor->inputs(), size, part);
      cutBytes.insert(cutBytes.end(), one.begin(), one.end());
    }
  }
  bytes = cutBytes;
}

namespace {
/// Rows [begin, end) of a matrix, as a matrix of its own.
struct RowRange {
  RowRange(const checkpoint::TensorInfo &whole, std::span<const std::byte> bytes, int64_t begin,
           int64_t end)
      : info(whole) {
    info.shape[0] = end - begin;
    const int64_t rowBytes = info.shape[1] * checkpoint::sizeOf(info.dtype);
    source = {&info, 0, bytes.subspan(begin * rowBytes, (end - begin) * rowBytes), {}};
  }
  RowRange(const RowRange &) = delete;

  checkpoint::TensorInfo info;
  MatrixSource source;
};
} // namespace

Result<void> TensorPacker::makeScales(const MatrixFormat &format) {
  constexpr int64_t rowsAtOnce = 4096;
  const int64_t rowBytes = info->shape.back() * checkpoint::sizeOf(info->dtype);
  auto add = [&](const MatrixSource &part, int64_t at) -> Result<void> {
    auto made = gridScalesOf(part, format.rowGroups, format.alongLast, source.threads);
    if (!made)
      return tl::unexpected(made.error());
    scales.resize(std::max(scales.size(), at + made->size()));
    std::copy(made->begin(), made->end(), scales.begin() + at);
    return {};
  };
  if (format.alongLast) {
    for (int64_t row = 0; row < info->shape[0]; row += rowsAtOnce) {
      const int64_t end = std::min(row + rowsAtOnce, info->shape[0]);
      if (auto added = add(RowRange(*info, data->weight(), row, end).source, row); !added)
        return added;
      data->release(row * rowBytes, end * rowBytes);
    }
  } else {
    const int64_t rows = info->shape[info->shape.size() - 2];
    for (int64_t index = 0; index < tensor->expertCount(); ++index) {
      const int64_t number = tensor->expertAt(index);
      if (auto added = add(quantization::matrixOf(*info, *data, number),
                           number * format.rowGroups * info->shape.back());
          !added)
        return added;
      data->release(number * rows * rowBytes, (number + 1) * rows * rowBytes);
    }
  }
  bytes = std::as_bytes(std::span(scales));
  return {};
}

/// Of a table, the tokens of the chunk's panels: they need no other rows.
Result<void> TensorPacker::packRows(const PackedChunk &chunk, std::span<std::byte> out) {
  constexpr int64_t lanes = PackedTensor::panelColumns;
  const int64_t first = tensor->stored.empty() ? 0 : tensor->begin[0];
  const int64_t begin = std::min(first + chunk.firstPanel * lanes, info->shape[0]);
  const int64_t last = std::min(chunk.lastPanel * lanes, tensor->outputs());
  const int64_t end = std::min(first + last, info->shape[0]);
  std::fill(out.begin(), out.end(), std::byte{0}); // for panels behind the last token
  if (begin == end)
    return {};
  auto encoded = encodeInt8(RowRange(*info, data->weight(), begin, end).source, formatOf(*tensor),
                            source.threads);
  if (!encoded)
    return tl::unexpected(encoded.error());
  PackedTensor part = *tensor;
  part.logical[0] = end - begin;
  const uint64_t filled = part.panels() * part.panelBytes();
  packChunk(part, std::as_bytes(std::span(encoded->codes)), {0, 0, part.panels(), filled},
            out.first(filled), source.threads);
  return {};
}

/// Leaves the whole matrix of the expert in the cache.
Result<void> TensorPacker::encode(int64_t expert) {
  EncodedCache &cache = *source.encoded;
  const MatrixFormat format = formatOf(*tensor);
  if (cache.tensor == tensor->source && cache.expert == expert && cache.format == format)
    return {};
  cache.expert = -1;
  cache.matrix.reset(); // never two at a time
  auto encoded = source.encoder->encode(quantization::matrixOf(*info, *data, expert), format);
  if (!encoded)
    return tl::unexpected(encoded.error());
  cache = {tensor->source, expert, format, std::move(*encoded)};
  return {};
}

Result<void> TensorPacker::packEncoded(const PackedChunk &chunk, std::span<std::byte> out) {
  const bool isPart = !tensor->stored.empty();
  if (!isPart || cutExpert != chunk.expert) {
    if (auto encoded = encode(chunk.expert); !encoded)
      return encoded;
    if (isPart)
      cutCodes = cutMatrix(*source.encoded->matrix, MatrixPart::of(*tensor));
    cutExpert = chunk.expert;
  }
  const EncodedMatrix &matrix = isPart ? cutCodes : *source.encoded->matrix;
  if (tensor->packing == Packing::codes16)
    packCodes(*tensor, matrix, chunk, out, source.threads);
  else
    packChunk(*tensor, std::as_bytes(std::span(matrix.codes)), chunk, out, source.threads);
  return {};
}

/// Panels of a transposed matrix are whole source rows; of others, every panel
/// crosses all rows.
void TensorPacker::releaseRead(const PackedChunk &chunk) {
  if (!data || (tensor->packing != Packing::panel16 && tensor->packing != Packing::codes16))
    return;
  const int64_t all = static_cast<int64_t>(data->weight().size());
  const int64_t column = all / tensor->outputs(); // bytes; of a transposed matrix
  if (!tensor->stored.empty())                    // other ranks read on in these pages
    return;
  if (tensor->transposed)
    return data->release(chunk.firstPanel * PackedTensor::panelColumns * column,
                         std::min(chunk.lastPanel * PackedTensor::panelColumns * column, all));
  const int64_t size = info ? checkpoint::sizeOf(info->dtype) : checkpoint::sizeOf(tensor->dtype);
  const int64_t matrixBytes = tensor->inputs() * tensor->outputs() * size;
  if (encodes || chunk.lastPanel == tensor->panels())
    data->release(chunk.expert * matrixBytes, (chunk.expert + 1) * matrixBytes);
}

void TensorPacker::packStored(const PackedChunk &chunk, std::span<std::byte> out) {
  const bool isPart = !tensor->stored.empty();
  if (tensor->packing == Packing::scales16 && isPart) {
    PackedTensor own = *tensor; // its experts stand in order
    own.experts.clear();
    return packChunk(own, bytes, chunk, out, source.threads);
  }
  std::span<const std::byte> values = bytes;
  if (tensor->packing == Packing::panel16) {
    const int64_t size = checkpoint::sizeOf(tensor->dtype);
    const MatrixPart part = isPart ? MatrixPart::of(*tensor) : MatrixPart{};
    const int64_t weights =
        isPart ? part.storedRows * part.storedColumns : tensor->inputs() * tensor->outputs();
    values = values.subspan(chunk.expert * weights * size, weights * size);
    if (isPart && cutExpert != chunk.expert) {
      cutBytes = cutMatrix(values, size, part);
      cutExpert = chunk.expert;
    }
    if (isPart)
      values = cutBytes;
  }
  packChunk(*tensor, values, chunk, out, source.threads);
}

Result<void> TensorPacker::pack(const PackedChunk &chunk, std::span<std::byte> out) {
  Result<void> packed;
  if (encodes) {
    packed = tensor->transposed ? packRows(chunk, out) : packEncoded(chunk, out);
  } else {
    packStored(chunk, out);
  }
  releaseRead(chunk);
  return packed;
}

Result<void> TensorPacker::checkUnchanged() const {
  return data ? data->checkUnchanged() : Result<void>();
}
