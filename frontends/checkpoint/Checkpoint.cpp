// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sizes and printed forms of tensors, the same for every checkpoint format.
#include "frontends/checkpoint/Checkpoint.h"

#include <cassert>
#include <cstdio>

namespace grok::checkpoint {

int64_t sizeOf(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return 4;
  case DType::bf16:
    return 2;
  case DType::i8:
    return 1;
  }
  return 0;
}

std::string_view nameOf(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return "float32";
  case DType::bf16:
    return "bfloat16";
  case DType::i8:
    return "int8";
  }
  return "";
}

std::optional<int64_t> elementsOf(std::span<const int64_t> shape) {
  int64_t product = 1;
  for (int64_t dimension : shape)
    if (dimension < 1 || __builtin_mul_overflow(product, dimension, &product))
      return std::nullopt;
  return product;
}

int64_t TensorInfo::elements() const {
  std::optional<int64_t> product = elementsOf(shape);
  assert(product && "readers check shapes before they make a TensorInfo");
  return product.value_or(0);
}

int64_t TensorInfo::weightBytes() const { return elements() * sizeOf(dtype); }

int64_t TensorInfo::scaleBytes() const {
  return quantised ? elementsOf(scaleShape).value_or(0) * sizeOf(scaleDtype) : 0;
}

int64_t TensorInfo::rowGroups() const { return quantised ? scaleShape[scaleShape.size() - 2] : 1; }

bool TensorInfo::sameForm(const TensorInfo &other) const {
  if (dtype != other.dtype || shape != other.shape || quantised != other.quantised)
    return false;
  return !quantised || (scaleDtype == other.scaleDtype && scaleShape == other.scaleShape);
}

std::string TensorInfo::form() const {
  std::string text = std::string(nameOf(dtype)) + " " + shapeText(shape);
  if (quantised)
    text += ", scales " + std::string(nameOf(scaleDtype)) + " " + shapeText(scaleShape);
  return text;
}

std::string shapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (int64_t dimension : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  return text + "]";
}

std::string printable(std::string_view text) {
  std::string safe;
  for (unsigned char character : text) {
    if (character >= 0x20 && character < 0x7f) {
      safe += static_cast<char>(character);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", character);
    safe += escaped;
  }
  return safe;
}

} // namespace grok::checkpoint
