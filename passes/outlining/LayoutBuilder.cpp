// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Packed types: what kernels stream, from what the checkpoint stores.
#include "passes/outlining/LayoutBuilder.h"

#include "dialects/plan/SumOrder.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace grok::plan;

/// The largest extent of a weight: far beyond any model, and small enough that
/// products of two with an element size stay inside 64 bits.
static constexpr int64_t extentLimit = int64_t(1) << 20;

int64_t grok::plan::padToPanel(int64_t columns) { return llvm::alignTo(columns, panelColumns); }

FailureOr<grok::WeightOp> grok::plan::findWeight(Operation *user, Value value) {
  if (auto weight = value.getDefiningOp<grok::WeightOp>())
    return weight;
  return user->emitOpError("expects a grok.weight as its operand of type ") << value.getType();
}

std::optional<int64_t> grok::plan::layerOf(StringRef path) {
  constexpr StringRef marker = "decoder_layer_";
  size_t position = path.find(marker);
  if (position == StringRef::npos)
    return std::nullopt;
  StringRef digits = path.drop_front(position + marker.size());
  int64_t layer;
  if (digits.take_while(llvm::isDigit).getAsInteger(10, layer))
    return std::nullopt;
  return layer;
}

static LogicalResult checkExtents(Operation *user, grok::WeightOp weight) {
  for (int64_t size : weight.getType().getShape())
    if (size < 1 || size > extentLimit)
      return user->emitOpError("reads '") << weight.getPath() << "' of " << weight.getType()
                                          << "; kernels take extents of 1.." << extentLimit;
  return success();
}

/// Row groups of a quantised matrix, 1 of any other; an error where no kernel
/// reads the format.
static FailureOr<int64_t> countRowGroups(Operation *user, grok::WeightOp weight, int64_t inputs) {
  auto format = dyn_cast_or_null<grok::FormatAttr>(weight.getType().getEncoding());
  if (!format)
    return int64_t(1);
  if (format.getBits() != 8 || format.getZeroPoint() != 0 || format.getCodebook() ||
      !format.getScale().isBF16())
    return user->emitOpError("reads '")
           << weight.getPath() << "' in " << format
           << "; kernels read 8 bits with bf16 scales, no zero point and no codebook";
  return inputs / format.getGroupRows();
}

static StringRef nameOf(Type element) {
  return element.isInteger(8) ? "i8" : element.isBF16() ? "bf16" : "f32";
}

LayoutBuilder::LayoutBuilder(LayoutOp layout)
    : layout(layout), builder(OpBuilder::atBlockEnd(&layout.getBody().front())) {}

bool LayoutBuilder::Record::operator==(const Record &other) const {
  auto fields = [](const Record &record) {
    return std::tie(record.packing, record.logical, record.type, record.rowGroups, record.unit,
                    record.slices, record.order.columnGroup, record.order.transposed,
                    record.ropeBase);
  };
  return fields(*this) == fields(other);
}

FailureOr<PackedTensor> LayoutBuilder::add(Operation *user, StringRef source, Record record) {
  auto emitError = [&] {
    return user->emitOpError("reads '") << source << "', which no buffer can hold: ";
  };
  if (failed(BufferType::verify(emitError, record.type)))
    return failure();
  auto symbol = SymbolRefAttr::get(layout.getSymNameAttr(),
                                   {SymbolRefAttr::get(builder.getContext(), source)});
  auto [entry, isNew] = tensors.try_emplace(source, record);
  if (isNew)
    TensorOp::create(builder, user->getLoc(), source, source, record.packing, record.logical,
                     record.type, record.rowGroups, record.unit, record.slices,
                     record.order.columnGroup, record.order.transposed, record.ropeBase);
  else if (!(entry->second == record))
    return user->emitOpError("needs '")
           << source << "' in another order than an earlier op; a layout holds a tensor once";
  return PackedTensor{symbol, record.type};
}

FailureOr<PackedTensor> LayoutBuilder::packScales(Operation *user, grok::WeightOp weight,
                                                  const Record &values, int64_t panels) {
  auto format = cast<grok::FormatAttr>(weight.getType().getEncoding());
  Record record;
  record.packing = "scales16";
  record.order.columnGroup = values.order.columnGroup;
  record.logical = values.logical;
  record.logical[record.logical.size() - 2] = values.rowGroups;
  SmallVector<int64_t> shape(record.logical);
  shape.back() = panels * panelColumns;
  record.type = RankedTensorType::get(shape, format.getScale());
  return add(user, (weight.getPath() + ".scales").str(), record);
}

FailureOr<PackedMatrix> LayoutBuilder::packMatrix(Operation *user, Value value, MatrixOrder order) {
  FailureOr<grok::WeightOp> weight = findWeight(user, value);
  if (failed(weight) || failed(checkExtents(user, *weight)))
    return failure();
  RankedTensorType type = weight->getType();
  ArrayRef<int64_t> logical = type.getShape();
  assert((logical.size() == 2 || logical.size() == 3) && "checked by grok's verifiers");
  assert(!(order.transposed && type.getEncoding()) && "row groups do not run over columns");
  PackedMatrix matrix;
  matrix.inputs = order.transposed ? logical.back() : logical[logical.size() - 2];
  matrix.columns = order.transposed ? logical[logical.size() - 2] : logical.back();
  matrix.experts = logical.size() == 3 ? logical.front() : 0;
  int64_t group = order.columnGroup ? order.columnGroup : matrix.columns;
  matrix.panels = matrix.columns / group * (padToPanel(group) / panelColumns);

  FailureOr<int64_t> groups = countRowGroups(user, *weight, matrix.inputs);
  if (failed(groups))
    return failure();
  SumOrder sums = chooseSumOrder(matrix.inputs, *groups);
  int64_t packed = choosePackedInputs(type.getElementTypeBitWidth(), sums.unit);
  SmallVector<int64_t> shape(logical.drop_back(2));
  llvm::append_values(shape, matrix.panels, matrix.inputs / packed, panelColumns, packed);
  Record record{("panel16.k" + Twine(packed)).str(),
                SmallVector<int64_t>(logical),
                RankedTensorType::get(shape, type.getElementType()),
                *groups,
                sums.unit,
                sums.slices,
                order,
                {}};

  FailureOr<PackedTensor> values = add(user, weight->getPath(), record);
  FailureOr<PackedTensor> scales = values;
  if (succeeded(values) && type.getEncoding())
    scales = packScales(user, *weight, record, matrix.panels);
  if (failed(scales))
    return failure();
  matrix.values = *values;
  matrix.scales = *scales;
  matrix.format = builder.getDictionaryAttr(
      {builder.getNamedAttr("element", builder.getStringAttr(nameOf(type.getElementType()))),
       builder.getNamedAttr("groups", builder.getI64IntegerAttr(*groups)),
       builder.getNamedAttr("unit", builder.getI64IntegerAttr(sums.unit)),
       builder.getNamedAttr("slices", builder.getI64IntegerAttr(sums.slices))});
  return matrix;
}

FailureOr<PackedTensor> LayoutBuilder::packVector(Operation *user, Value value) {
  FailureOr<grok::WeightOp> weight = findWeight(user, value);
  if (failed(weight) || failed(checkExtents(user, *weight)))
    return failure();
  int64_t size = weight->getType().getDimSize(0);
  Record record;
  record.packing = "vector16";
  record.logical = {size};
  record.type = RankedTensorType::get({padToPanel(size)}, weight->getType().getElementType());
  return add(user, weight->getPath(), record);
}

FailureOr<PackedTensor> LayoutBuilder::packRope(Operation *user, int64_t positions, int64_t headDim,
                                                double base) {
  Record record;
  record.packing = "rope";
  record.logical = {positions, 2, headDim / 2};
  record.type = RankedTensorType::get(record.logical, builder.getF32Type());
  record.ropeBase = builder.getF64FloatAttr(base);
  return add(user, "rope", record);
}
