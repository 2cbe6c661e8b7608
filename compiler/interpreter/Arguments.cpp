// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether run-time values are of the IR's types.
#include "compiler/interpreter/Arguments.h"

#include "dialects/grok/GrokDialect.h"

namespace grok::interpreter {

// Positions and sequences that are larger are a caller's mistake, and would ask
// for absurd memory.
static constexpr int64_t maxPosition = int64_t(1) << 24;

static std::string textOf(mlir::Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static bool fits(llvm::ArrayRef<int64_t> expected, llvm::ArrayRef<int64_t> shape, size_t elements) {
  if (expected.size() != shape.size())
    return false;
  size_t count = 1;
  for (auto [want, extent] : llvm::zip_equal(expected, shape)) {
    if (extent < 0 || (!mlir::ShapedType::isDynamic(want) && want != extent))
      return false;
    count *= size_t(extent);
  }
  return count == elements;
}

static bool isValidStep(const Step &step) {
  auto isPosition = [](int64_t position) { return position >= 0 && position < maxPosition; };
  auto isRow = [&](int64_t row) { return row >= 0 && row < int64_t(step.positions.size()); };
  return step.sequences.size() == step.positions.size() &&
         llvm::all_of(step.positions, isPosition) && llvm::all_of(step.logitRows, isRow);
}

static bool isValidCache(const Cache &cache, CacheType type) {
  if (int64_t(cache.layers.size()) != type.getLayers())
    return false;
  size_t width = size_t(type.getKvHeads()) * size_t(type.getHeadDim());
  for (const auto &layer : cache.layers)
    for (const auto &[id, sequence] : *layer)
      if (sequence.keys.size() != sequence.keep.size() * width ||
          sequence.values.size() != sequence.keep.size() * width)
        return false;
  return true;
}

static bool isOfType(const Value &value, mlir::Type type) {
  if (auto *step = std::get_if<Step>(&value))
    return mlir::isa<StepType>(type) && isValidStep(*step);
  if (auto *cache = std::get_if<Cache>(&value))
    return mlir::isa<CacheType>(type) && isValidCache(*cache, mlir::cast<CacheType>(type));
  auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(type);
  // Quantised activations are the float32 values that their codes stand for.
  if (!tensor || (tensor.getEncoding() && !tensor.getElementType().isF32()))
    return false;
  bool isInteger = tensor.getElementType().isInteger(32);
  if (auto *indices = std::get_if<Indices>(&value))
    return isInteger && fits(tensor.getShape(), indices->shape, indices->values.size());
  auto *activation = std::get_if<Tensor>(&value);
  return activation && !isInteger &&
         fits(tensor.getShape(), activation->shape, activation->values.size());
}

std::optional<int64_t> rowCount(mlir::Type type, const Value &value) {
  if (auto *step = std::get_if<Step>(&value))
    return int64_t(step->positions.size());
  auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(type);
  if (!tensor || tensor.getRank() == 0 || !tensor.isDynamicDim(0))
    return std::nullopt;
  if (auto *indices = std::get_if<Indices>(&value))
    return indices->shape.front();
  return std::get<Tensor>(value).shape.front();
}

Result<void> checkArguments(mlir::FunctionType type, llvm::ArrayRef<Value> arguments) {
  if (arguments.size() != type.getNumInputs())
    return tl::unexpected("expects " + std::to_string(type.getNumInputs()) + " arguments, found " +
                          std::to_string(arguments.size()));
  std::optional<int64_t> rows;
  for (auto [index, input] : llvm::enumerate(type.getInputs())) {
    std::string argument = "argument " + std::to_string(index);
    if (!isOfType(arguments[index], input))
      return tl::unexpected(argument + " is not a " + textOf(input));
    std::optional<int64_t> found = rowCount(input, arguments[index]);
    if (found && rows && *found != *rows)
      return tl::unexpected(argument + " has " + std::to_string(*found) + " rows, expects " +
                            std::to_string(*rows));
    if (found)
      rows = found;
  }
  return {};
}

static StoredType storedType(mlir::Type element) {
  if (element.isF32())
    return StoredType::f32;
  if (element.isBF16())
    return StoredType::bf16;
  return element.isF16() ? StoredType::f16 : StoredType::i8;
}

Result<Matrix> matrixOf(mlir::RankedTensorType type, const WeightBytes &bytes) {
  Matrix matrix;
  matrix.shape = type.getShape().vec();
  matrix.type = storedType(type.getElementType());
  matrix.bytes = bytes;
  auto format = mlir::dyn_cast_or_null<FormatAttr>(type.getEncoding());
  // Experts differ in their codes, not in their scales.
  if (auto formats = mlir::dyn_cast_or_null<ExpertFormatsAttr>(type.getEncoding()))
    format = formats.getFormats().front();
  if (format) {
    if (format.getCodebook())
      return tl::unexpected("codebook '" + format.getCodebook().getValue().str() + "' is unknown");
    matrix.scaleType = storedType(format.getScale());
    matrix.groupRows = format.getGroupRows();
    matrix.zeroPoint = format.getMultiplierRows() ? 0 : format.getZeroPoint();
    matrix.scalesAlongLast = format.getAlongLast();
  }
  if (int64_t(bytes.weight.size()) != matrix.weightSize() ||
      int64_t(bytes.scales.size()) != matrix.scalesSize())
    return tl::unexpected("expects " + std::to_string(matrix.weightSize()) + " bytes and " +
                          std::to_string(matrix.scalesSize()) + " of scales for " + textOf(type) +
                          ", found " + std::to_string(bytes.weight.size()) + " and " +
                          std::to_string(bytes.scales.size()));
  return matrix;
}

} // namespace grok::interpreter
