// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Types of the parts that ranks hold of a tensor.
#include "dialects/grok/Slices.h"

#include "dialects/grok/ShapeRules.h"

#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace grok;

int64_t grok::partExtent(int64_t extent, int64_t parts) {
  if (ShapedType::isDynamic(extent) || extent % parts == 0)
    return ShapedType::isDynamic(extent) ? extent : extent / parts;
  constexpr int64_t alignment = 16; // so that parts stand side by side in kernels' rows
  return static_cast<int64_t>(llvm::alignTo(llvm::divideCeil(extent, parts), alignment));
}

// Blocks of `block` positions of the whole, as blocks of a part of `length`.
static int64_t partBlock(int64_t block, int64_t fullLength, int64_t length) {
  return block >= fullLength ? length : std::gcd(block, length);
}

FormatAttr grok::partFormat(FormatAttr whole, int64_t fullLength, int64_t length) {
  if (fullLength == length)
    return whole;
  int64_t multiplierRows = whole.getMultiplierRows();
  if (multiplierRows != 0)
    multiplierRows = partBlock(multiplierRows, fullLength, length);
  return FormatAttr::get(whole.getContext(), whole.getBits(),
                         partBlock(whole.getGroupRows(), fullLength, length), whole.getScale(),
                         multiplierRows, whole.getZeroPoint(), whole.getCodebook(),
                         whole.getAlongLast());
}

static FormatAttr partOf(FormatAttr whole, ArrayRef<int64_t> fullShape, ArrayRef<int64_t> shape) {
  size_t axis = whole.getAlongLast() ? shape.size() - 1 : shape.size() - 2;
  return partFormat(whole, fullShape[axis], shape[axis]);
}

FailureOr<RankedTensorType> grok::partType(RankedTensorType whole, ArrayRef<int64_t> parts,
                                           function_ref<InFlightDiagnostic()> emitError) {
  ArrayRef<int64_t> fullShape = whole.getShape();
  SmallVector<int64_t> shape;
  for (auto [extent, count] : llvm::zip_equal(fullShape, parts))
    shape.push_back(partExtent(extent, count));
  Attribute encoding = whole.getEncoding();
  if (auto format = dyn_cast_or_null<FormatAttr>(encoding))
    encoding = partOf(format, fullShape, shape);
  if (auto experts = dyn_cast_or_null<ExpertFormatsAttr>(encoding)) {
    ArrayRef<FormatAttr> formats = experts.getFormats();
    SmallVector<FormatAttr> first;
    for (FormatAttr format : formats.take_front(shape.front()))
      first.push_back(partOf(format, fullShape, shape));
    for (auto [expert, format] : llvm::enumerate(formats))
      if (format != formats[expert % shape.front()])
        return emitError() << "expects expert " << expert << " in the format of expert "
                           << expert % shape.front() << ", which other ranks hold in its place";
    encoding = ExpertFormatsAttr::get(whole.getContext(), first);
  }
  return RankedTensorType::get(shape, whole.getElementType(), encoding);
}

LogicalResult grok::checkSlices(WeightOp op) {
  if (op.getFull().has_value() != op.getSlices().has_value())
    return op.emitOpError("expects full and slices together");
  if (!op.getFull())
    return success();
  auto whole = cast<RankedTensorType>(*op.getFull());
  if (!isWeightType(whole))
    return op.emitOpError() << "expects full to be the type of a weight, found " << whole;
  SmallVector<int64_t> parts(whole.getRank(), 1);
  for (auto slice : op.getSlices()->getAsRange<SliceAttr>()) {
    if (slice.getDim() >= whole.getRank() || parts[slice.getDim()] != 1)
      return op.emitOpError() << "expects one slice for a dimension of " << whole << ", found "
                              << slice;
    parts[slice.getDim()] = slice.getParts();
  }
  FailureOr<RankedTensorType> part = partType(whole, parts, [&] { return op.emitOpError(); });
  if (failed(part))
    return failure();
  if (*part != op.getType())
    return op.emitOpError() << "expects its part of " << whole << " to be " << *part << ", found "
                            << op.getType();
  return success();
}
