// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What always holds for the types, attributes and plain ops.
#include "dialects/grok/ShapeRules.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>

using namespace mlir;
using namespace grok;

// The largest product of cache extents that later byte arithmetic may meet.
static constexpr int64_t maxExtent = int64_t(1) << 31;

bool grok::isWeightType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape() || tensor.getRank() == 0)
    return false;
  if (isa<IntegerType>(tensor.getElementType()))
    return isa_and_nonnull<FormatAttr, ExpertFormatsAttr>(tensor.getEncoding());
  return !tensor.getEncoding() && isa<Float32Type, BFloat16Type>(tensor.getElementType());
}

LogicalResult GrokDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  StringRef name = attribute.getName();
  if (!llvm::is_contained({"grok.model", "grok.numerics", "grok.sharding", "grok.reproducible"},
                          name))
    return success();
  if (!isa<ModuleOp>(op))
    return op->emitError() << "expects " << name << " on a module";
  Attribute value = attribute.getValue();
  if (name == "grok.model" && !isa<DictionaryAttr>(value))
    return op->emitError("expects grok.model to be a dictionary");
  auto numerics = dyn_cast<StringAttr>(value);
  if (name == "grok.numerics" &&
      (!numerics || !llvm::is_contained({"f32", "bf16", "fast"}, numerics.getValue())))
    return op->emitError() << "expects grok.numerics to be \"f32\", \"bf16\" or \"fast\", found "
                           << value;
  if (name == "grok.sharding" && !isa<ShardingAttr>(value))
    return op->emitError() << "expects grok.sharding to be a #grok.sharding, found " << value;
  if (name == "grok.reproducible" && !isa<UnitAttr>(value))
    return op->emitError() << "expects grok.reproducible without a value, found " << value;
  return success();
}

/// Of an input that is two digits (docs/numerics.md).
static constexpr unsigned activationBits = 15;

LogicalResult FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError, unsigned bits,
                                 int64_t groupRows, Type scale, int64_t multiplierRows,
                                 int64_t zeroPoint, StringAttr codebook, bool alongLast) {
  bool isOfActivations = bits == activationBits && alongLast && isa<Float32Type>(scale) &&
                         multiplierRows == 0 && !codebook;
  if ((bits < 1 || bits > 8) && !isOfActivations)
    return emitError() << "expects 1 to 8 bits per code, or " << activationBits
                       << " of activations along the last axis on f32 scales, found " << bits;
  if (groupRows < 1)
    return emitError() << "expects group_rows to be positive, found " << groupRows;
  if (!isa<Float32Type, BFloat16Type, Float16Type>(scale))
    return emitError() << "expects a scale of type f32, bf16 or f16, found " << scale;
  if (multiplierRows < 0 || (multiplierRows > 0 && groupRows % multiplierRows != 0))
    return emitError() << "expects multiplier_rows to divide group_rows " << groupRows << ", found "
                       << multiplierRows;
  int64_t lowest = bits == 8 ? -128 : 0, highest = bits == 8 ? 127 : (int64_t(1) << bits) - 1;
  if (isOfActivations)
    highest = 0;
  if (zeroPoint < lowest || zeroPoint > highest)
    return emitError() << "expects zero_point to be a code from " << lowest << " to " << highest
                       << ", found " << zeroPoint;
  if (codebook && zeroPoint != 0)
    return emitError() << "expects no zero_point beside a codebook, found " << zeroPoint;
  return success();
}

double FormatAttr::bitsPerElement(int64_t length) const {
  double bits = getBits();
  if (getMultiplierRows())
    bits += 8.0 / static_cast<double>(getMultiplierRows());
  return bits + static_cast<double>(getScale().getIntOrFloatBitWidth()) /
                    static_cast<double>(std::min(getGroupRows(), length));
}

LogicalResult FormatAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                                         function_ref<InFlightDiagnostic()> emitError) const {
  if (!elementType.isInteger(8) && !elementType.isInteger(getBits()) && !elementType.isF32())
    return emitError() << "expects codes of i8 or of the format's width, or f32, found "
                       << elementType;
  if (shape.size() < 2)
    return emitError() << "expects a matrix under a format, found rank " << shape.size();
  int64_t length = getAlongLast() ? shape.back() : shape[shape.size() - 2];
  if (ShapedType::isDynamic(length) || length % getGroupRows() != 0)
    return emitError() << "expects group_rows " << getGroupRows() << " to divide the "
                       << (ShapedType::isDynamic(length) ? "dynamic" : Twine(length).str())
                       << " positions of the contraction axis";
  return success();
}

LogicalResult
ExpertFormatsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                                  function_ref<InFlightDiagnostic()> emitError) const {
  if (shape.size() != 3 || shape.front() != static_cast<int64_t>(getFormats().size()))
    return emitError() << "expects one format for each expert of a stack of matrices, found "
                       << getFormats().size() << " formats";
  if (!elementType.isInteger(8))
    return emitError() << "expects codes of type i8 under expert formats, found " << elementType;
  for (FormatAttr format : getFormats())
    if (failed(format.verifyEncoding(shape, elementType, emitError)))
      return failure();
  return success();
}

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t layers,
                                int64_t kvHeads, int64_t headDim, Type elementType) {
  for (int64_t extent : {layers, kvHeads, headDim})
    if (extent < 1 || extent > maxExtent)
      return emitError() << "expects positive cache extents below 2^31, found " << layers << " x "
                         << kvHeads << " x " << headDim;
  if (kvHeads > maxExtent / headDim)
    return emitError() << "expects kv heads * head size below 2^31, found " << kvHeads << " x "
                       << headDim;
  if (!isa<Float32Type, BFloat16Type, Float8E4M3FNType>(elementType) &&
      !elementType.isSignlessInteger(8))
    return emitError() << "expects a cache of f32, bf16, i8 or f8E4M3FN, found " << elementType;
  return success();
}

LogicalResult WeightOp::verify() {
  if (getPath().empty())
    return emitOpError("expects a path");
  return checkSlices(*this);
}

LogicalResult DequantizeOp::verify() {
  auto codes = cast<RankedTensorType>(getCodes().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (codes.getShape() != result.getShape())
    return emitOpError() << "expects a result of the same shape, found " << codes << " and "
                         << result;
  return success();
}

LogicalResult QuantizeOp::verify() {
  if (failed(
          checkExtent(*this, "result columns", extentOf(getResult(), -1), extentOf(getX(), -1))) ||
      failed(checkRows(*this, {getX(), getResult()})))
    return failure();
  auto format = dyn_cast_or_null<FormatAttr>(getResult().getType().getEncoding());
  if (!format || (format.getBits() != 8 && format.getBits() != activationBits) ||
      !format.getAlongLast() || !format.getScale().isF32() || format.getMultiplierRows() != 0 ||
      format.getZeroPoint() != 0 || format.getCodebook())
    return emitOpError(
               "expects a result of 8 or 15 bits with f32 scales along the last axis, found ")
           << getResult().getType();
  return success();
}

LogicalResult EmbedOp::verify() {
  if (failed(checkRank(*this, "tokens", getTokens(), 1)) ||
      failed(checkRank(*this, "table", getTable(), 2)) ||
      failed(checkRank(*this, "result", getResult(), 2)) ||
      failed(checkRows(*this, {getTokens(), getResult()})) ||
      failed(checkNumber(*this, "multiplier", getMultiplier(), /*positive=*/false)))
    return failure();
  return checkExtent(*this, "result columns", extentOf(getResult(), 1), extentOf(getTable(), 1));
}

LogicalResult RMSNormOp::verify() { return checkNorm(*this, getX(), getScale(), getEps()); }

LogicalResult LinearOp::verify() { return checkLinear(*this, getX(), getWeight(), getResult()); }

LogicalResult RopeOp::verify() {
  return checkRope(*this, getX(), static_cast<int64_t>(getHeadDim()), getBase());
}

LogicalResult CacheWriteOp::verify() {
  CacheType cache = getCache().getType();
  if (failed(checkRank(*this, "keys", getKeys(), 2)) ||
      failed(checkRank(*this, "tokens", getTokens(), 1)) ||
      failed(checkRows(*this, {getKeys(), getTokens()})) ||
      failed(checkLayer(*this, cache, static_cast<int64_t>(getLayer()))))
    return failure();
  return checkExtent(*this, "columns of keys (kv heads * head size)", extentOf(getKeys(), 1),
                     cache.getKvHeads() * cache.getHeadDim());
}

LogicalResult AttentionOp::verify() {
  return checkAttention(*this, getQuery(), getCache().getType(), static_cast<int64_t>(getLayer()),
                        getMultiplier(), getSoftcap());
}

LogicalResult RouteOp::verify() {
  if (failed(checkRank(*this, "x", getX(), 2)) ||
      failed(checkRank(*this, "weight", getWeight(), 2)) ||
      failed(checkRank(*this, "gates", getGates(), 2)) ||
      failed(checkRank(*this, "experts", getExperts(), 2)) ||
      failed(checkRows(*this, {getX(), getGates(), getExperts()})) ||
      failed(checkExtent(*this, "weight rows", extentOf(getWeight(), 0), extentOf(getX(), 1))) ||
      failed(checkExtent(*this, "columns of experts", extentOf(getExperts(), 1),
                         extentOf(getGates(), 1))))
    return failure();
  int64_t selected = extentOf(getGates(), 1);
  int64_t experts = extentOf(getWeight(), 1);
  if (selected < 1 || selected > experts)
    return emitOpError() << "expects 1 to " << experts << " selected experts, found "
                         << getGates().getType();
  return success();
}

LogicalResult ExpertMatmulOp::verify() {
  return checkExpertMatmul(*this, getX(), getWeight(), getExperts(), getResult());
}

LogicalResult GeluGateOp::verify() {
  if (failed(verifyCompatibleShape(getGate().getType(), getResult().getType())))
    return emitOpError() << "expects a result of the same shape, found " << getGate().getType()
                         << " and " << getResult().getType();
  return success();
}

LogicalResult CombineOp::verify() {
  if (failed(checkRank(*this, "x", getX(), 3)) ||
      failed(checkRank(*this, "gates", getGates(), 2)) ||
      failed(checkRank(*this, "experts", getExperts(), 2)) ||
      failed(checkRank(*this, "result", getResult(), 2)) ||
      failed(checkRows(*this, {getX(), getGates(), getExperts(), getResult()})) ||
      failed(
          checkExtent(*this, "columns of gates", extentOf(getGates(), 1), extentOf(getX(), 1))) ||
      failed(
          checkExtent(*this, "columns of experts", extentOf(getExperts(), 1), extentOf(getX(), 1))))
    return failure();
  return checkExtent(*this, "result columns", extentOf(getResult(), 1), extentOf(getX(), 2));
}

static LogicalResult checkLocalIds(Operation *op, StringRef axis, StringRef expected,
                                   uint64_t count) {
  if (axis != expected)
    return op->emitOpError() << "expects axis \"" << expected << "\", found \"" << axis << "\"";
  if (count < 1 || count > static_cast<uint64_t>(maxExtent))
    return op->emitOpError() << "expects count to be positive, found "
                             << static_cast<int64_t>(count);
  return success();
}

LogicalResult LocalExpertsOp::verify() {
  if (failed(checkRank(*this, "experts", getExperts(), 2)))
    return failure();
  return checkLocalIds(*this, getAxis(), "ep", getCount());
}

LogicalResult LocalTokensOp::verify() {
  if (failed(checkRank(*this, "tokens", getTokens(), 1)))
    return failure();
  return checkLocalIds(*this, getAxis(), "tp", getCount());
}

LogicalResult CutColumnsOp::verify() {
  if (failed(checkRank(*this, "x", getX(), 2)) ||
      failed(checkRank(*this, "result", getResult(), 2)) ||
      failed(checkRows(*this, {getX(), getResult()})))
    return failure();
  int64_t columns = extentOf(getX(), 1), kept = extentOf(getResult(), 1);
  if (ShapedType::isDynamic(columns) || ShapedType::isDynamic(kept) || kept < 1 || kept > columns)
    return emitOpError() << "expects 1 to " << (ShapedType::isDynamic(columns) ? 0 : columns)
                         << " columns, found " << getResult().getType();
  if (cast<RankedTensorType>(getX().getType()).getElementType() !=
      cast<RankedTensorType>(getResult().getType()).getElementType())
    return emitOpError() << "expects one element type, found " << getX().getType() << " and "
                         << getResult().getType();
  return success();
}

LogicalResult LogitRowsOp::verify() {
  if (failed(checkRank(*this, "x", getX(), 2)))
    return failure();
  // The result's type is x's, yet it holds fewer rows.
  if (!ShapedType::isDynamic(extentOf(getX(), 0)))
    return emitOpError() << "expects a dynamic row count, found " << getX().getType();
  return success();
}

LogicalResult UnembedOp::verify() {
  if (failed(checkRank(*this, "x", getX(), 2)) ||
      failed(checkRank(*this, "table", getTable(), 2)) ||
      failed(checkRank(*this, "result", getResult(), 2)) ||
      failed(checkRows(*this, {getX(), getResult()})) ||
      failed(checkNumber(*this, "multiplier", getMultiplier(), /*positive=*/false)) ||
      failed(checkExtent(*this, "table columns", extentOf(getTable(), 1), extentOf(getX(), 1))))
    return failure();
  return checkExtent(*this, "result columns", extentOf(getResult(), 1), extentOf(getTable(), 0));
}
