// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sizes of buffers and packed tensors in bytes, and what their types must hold.
#include "dialects/plan/PlanDialect.h"

#include "dialects/grok/GrokDialect.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace grok::plan;

/// Above every real machine's memory; keeps sums of sizes inside int64.
static constexpr int64_t maxBytes = int64_t(1) << 56;

static FailureOr<int64_t> multiply(int64_t lhs, int64_t rhs) {
  int64_t result;
  if (llvm::MulOverflow(lhs, rhs, result) || result > maxBytes)
    return failure();
  return result;
}

static bool isByteElement(Type type) {
  return type.isIntOrFloat() && type.getIntOrFloatBitWidth() % 8 == 0;
}

/// Elements of `shape`, a dynamic dimension counted once; failure when absurd.
static FailureOr<int64_t> countElements(ArrayRef<int64_t> shape) {
  FailureOr<int64_t> count = int64_t(1);
  for (int64_t size : shape)
    if (!ShapedType::isDynamic(size) && succeeded(count))
      count = multiply(*count, size);
  return count;
}

/// Elements of the scales of `tensor`, per token row if it has token rows.
static FailureOr<int64_t> countScales(RankedTensorType tensor, grok::FormatAttr format) {
  FailureOr<int64_t> count = countElements(tensor.getShape());
  if (failed(count))
    return failure();
  return llvm::divideCeil(*count, format.getGroupRows());
}

LogicalResult BufferType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 RankedTensorType tensor) {
  if (tensor.getRank() == 0 || !isByteElement(tensor.getElementType()))
    return emitError() << "expects a tensor of rank >= 1 with whole-byte elements";
  for (auto [axis, size] : llvm::enumerate(tensor.getShape()))
    if (axis > 0 ? size <= 0 : size <= 0 && !ShapedType::isDynamic(size))
      return emitError() << "expects positive sizes; only the first may be '?'";
  if (failed(countElements(tensor.getShape())))
    return emitError() << "expects fewer elements than 2^56";
  auto format = dyn_cast_or_null<grok::FormatAttr>(tensor.getEncoding());
  if (tensor.getEncoding() &&
      (!format || tensor.getRank() < 2 || !isByteElement(format.getScale())))
    return emitError() << "expects no encoding, or #grok.format on a matrix";
  return success();
}

bool BufferType::isPerRow() const { return getTensor().isDynamicDim(0); }

SmallVector<BufferType::Part> BufferType::getParts(int64_t rows) const {
  RankedTensorType tensor = getTensor();
  int64_t times = isPerRow() ? rows : 1;
  auto bytesOf = [&](FailureOr<int64_t> elements, Type type) {
    FailureOr<int64_t> bytes = elements;
    for (int64_t factor : {times, int64_t(type.getIntOrFloatBitWidth() / 8)})
      bytes = failed(bytes) ? bytes : multiply(*bytes, factor);
    return llvm::alignTo(succeeded(bytes) ? *bytes : maxBytes, bufferAlignment);
  };
  SmallVector<Part> parts;
  int64_t values = bytesOf(countElements(tensor.getShape()), tensor.getElementType());
  parts.push_back({"values", 0, values});
  if (auto format = dyn_cast_or_null<grok::FormatAttr>(tensor.getEncoding()))
    parts.push_back(
        {"scales", values, int64_t(bytesOf(countScales(tensor, format), format.getScale()))});
  return parts;
}

int64_t BufferType::getBytes(int64_t rows) const {
  int64_t bytes = 0;
  for (const Part &part : getParts(rows))
    bytes += part.bytes;
  return bytes;
}

int64_t TensorOp::getPaddedBytes() {
  return BufferType::get(getContext(), cast<RankedTensorType>(getType())).getBytes(1);
}
