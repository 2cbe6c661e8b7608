// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A checkpoint as the interpreter's source of weights.
#include "compiler/interpreter/CheckpointWeights.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

namespace grok::interpreter {

using quantization::EncodedMatrix;
using quantization::MatrixFormat;

namespace {
/// A tensor that was encoded, expert after expert.
struct EncodedTensor {
  std::vector<int8_t> weight; // codes, or products with their multipliers
  std::vector<uint16_t> scales;

  void add(const EncodedMatrix &matrix);
};
} // namespace

void EncodedTensor::add(const EncodedMatrix &matrix) {
  size_t at = weight.size();
  llvm::append_range(weight, matrix.codes);
  llvm::append_range(scales, matrix.scales);
  if (matrix.multipliers.empty())
    return;
  for (int64_t row = 0; row < matrix.rows; ++row)
    for (int64_t column = 0; column < matrix.columns; ++column)
      weight[at++] = static_cast<int8_t>(matrix.gridValue(row, column));
}

static const checkpoint::TensorInfo *find(const checkpoint::Checkpoint &checkpoint,
                                          std::string_view path) {
  auto found = llvm::find_if(checkpoint.tensors(),
                             [&](const checkpoint::TensorInfo &info) { return info.name == path; });
  return found == checkpoint.tensors().end() ? nullptr : &*found;
}

static Result<WeightBytes> encode(const checkpoint::TensorInfo &info,
                                  const checkpoint::TensorData &data,
                                  const std::vector<MatrixFormat> &formats,
                                  const quantization::MatrixEncoder &encoder) {
  const int64_t experts = info.shape.size() == 3 ? info.shape.front() : 1;
  if (static_cast<int64_t>(formats.size()) != experts)
    return tl::unexpected(info.name + ": has " + std::to_string(experts) + " matrices but " +
                          std::to_string(formats.size()) + " formats");
  auto encoded = std::make_shared<EncodedTensor>();
  for (int64_t expert = 0; expert < experts; ++expert) {
    auto matrix = encoder.encode(quantization::matrixOf(info, data, expert), formats[expert]);
    if (!matrix)
      return tl::unexpected(matrix.error());
    encoded->add(*matrix);
  }
  if (auto unchanged = data.checkUnchanged(); !unchanged)
    return tl::unexpected(unchanged.error());
  return WeightBytes{std::as_bytes(std::span(encoded->weight)),
                     std::as_bytes(std::span(encoded->scales)), encoded};
}

/// A source that gives what `encoder`, if any, makes of the tensors in `formats`.
static WeightSource makeSource(const checkpoint::Checkpoint &checkpoint,
                               const quantization::MatrixEncoder *encoder,
                               quantization::WeightFormats formats) {
  auto known = std::make_shared<llvm::StringMap<WeightBytes>>();
  auto wanted = std::make_shared<const quantization::WeightFormats>(std::move(formats));
  return [&checkpoint, encoder, known, wanted](std::string_view path) -> Result<WeightBytes> {
    if (auto found = known->find(path); found != known->end())
      return found->second;
    auto data = checkpoint.read(path);
    if (!data)
      return tl::unexpected(data.error());
    std::shared_ptr<const checkpoint::TensorData> owner = std::move(*data);
    Result<WeightBytes> bytes = WeightBytes{owner->weight(), owner->scales(), owner};
    if (auto format = wanted->find(path); format != wanted->end())
      if (const checkpoint::TensorInfo *info = find(checkpoint, path))
        bytes = encode(*info, *owner, format->second, *encoder);
    if (bytes)
      (*known)[path] = *bytes;
    return bytes;
  };
}

WeightSource weightsOf(const checkpoint::Checkpoint &checkpoint) {
  return makeSource(checkpoint, nullptr, {});
}

WeightSource weightsOf(const checkpoint::Checkpoint &checkpoint,
                       const quantization::MatrixEncoder &encoder,
                       quantization::WeightFormats formats) {
  return makeSource(checkpoint, &encoder, std::move(formats));
}

} // namespace grok::interpreter
