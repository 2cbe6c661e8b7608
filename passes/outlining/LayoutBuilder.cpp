// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Packed types: what kernels stream, from what the checkpoint stores.
#include "passes/outlining/LayoutBuilder.h"

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

struct grok::plan::StoredForm {
  StringRef element; // "f32", "bf16", "i8", "i4" or "i3"
  int64_t bits = 0;
  int64_t rowGroups = 1; // of scales
  int64_t group = 0;     // rows that share an integer multiplier
};

/// Codes that the kernels can open: 8 bits on their scales, or 4 and 3 bits with
/// multipliers on the grid of 8.
static bool isReadable(grok::FormatAttr format) {
  if (format.getCodebook() || !format.getScale().isBF16())
    return false;
  int64_t rows = format.getMultiplierRows(), zero = format.getZeroPoint();
  if (format.getBits() == 8)
    return rows == 0 && zero == 0;
  return (rows == 32 || rows == 64) && (format.getBits() == 4 || format.getBits() == 3) &&
         zero == int64_t(1) << (format.getBits() - 1);
}

/// An error where no kernel reads the format.
static FailureOr<StoredForm> formOf(Operation *user, grok::WeightOp weight, Attribute encoding,
                                    int64_t inputs) {
  Type element = weight.getType().getElementType();
  auto format = dyn_cast_or_null<grok::FormatAttr>(encoding);
  if (!encoding)
    return StoredForm{element.isBF16() ? "bf16" : "f32", element.getIntOrFloatBitWidth()};
  if (!format || !isReadable(format))
    return user->emitOpError("reads '")
           << weight.getPath() << "' in " << encoding
           << "; kernels read 8 bits with bf16 scales, or 4 (3) bits with multipliers of 32 or 64 "
              "rows and zero point 8 (4)";
  StringRef name = format.getBits() == 8 ? "i8" : format.getBits() == 4 ? "i4" : "i3";
  return StoredForm{name, format.getBits(), inputs / format.getGroupRows(),
                    format.getMultiplierRows()};
}

/// Integer sums run to the end of an activation group; float chains end where
/// the factor of their weights changes. A rank's part of a contraction is summed
/// in slices of the whole.
static SumOrder orderOf(const StoredForm &form, const StoredForm &full, int64_t inputs,
                        int64_t fullInputs, int64_t unit) {
  auto groupsOf = [&](const StoredForm &each, int64_t length) {
    return each.group && !unit ? length / each.group : each.rowGroups;
  };
  return choosePartSumOrder(fullInputs, groupsOf(full, fullInputs), inputs, groupsOf(form, inputs),
                            unit ? longestIntegerUnit : longestFloatUnit);
}

/// What a rank holds of a weight, as `plan.tensor` says it; null = all of it.
static DictionaryAttr partOf(grok::WeightOp weight) {
  if (!weight.getSlicesAttr())
    return {};
  Builder builder(weight.getContext());
  ArrayRef<int64_t> shape = weight.getType().getShape();
  return builder.getDictionaryAttr(
      {builder.getNamedAttr("slices", weight.getSlicesAttr()),
       builder.getNamedAttr("stored", weight.getFullAttr()),
       builder.getNamedAttr("shape", builder.getDenseI64ArrayAttr(shape))});
}

LayoutBuilder::LayoutBuilder(LayoutOp layout, bool reproducible)
    : layout(layout), reproducible(reproducible),
      builder(OpBuilder::atBlockEnd(&layout.getBody().front())) {}

bool LayoutBuilder::Record::operator==(const Record &other) const {
  auto fields = [](const Record &record) {
    return std::tie(record.packing, record.logical, record.type, record.rowGroups, record.unit,
                    record.slices, record.order.columnGroup, record.order.transposed,
                    record.ropeBase, record.experts);
  };
  return fields(*this) == fields(other);
}

FailureOr<PackedTensor> LayoutBuilder::add(Operation *user, StringRef source, Record record,
                                           StringRef name) {
  if (name.empty())
    name = source;
  auto emitError = [&] {
    return user->emitOpError("reads '") << source << "', which no buffer can hold: ";
  };
  if (failed(BufferType::verify(emitError, record.type)))
    return failure();
  auto symbol =
      SymbolRefAttr::get(layout.getSymNameAttr(), {SymbolRefAttr::get(builder.getContext(), name)});
  auto [entry, isNew] = tensors.try_emplace(name, record);
  if (isNew)
    TensorOp::create(builder, user->getLoc(), name, source, record.packing, record.logical,
                     record.type, record.rowGroups, record.unit, record.slices,
                     record.order.columnGroup, record.order.transposed, record.ropeBase,
                     record.part,
                     record.experts.empty() ? DenseI64ArrayAttr()
                                            : builder.getDenseI64ArrayAttr(record.experts));
  else if (!(entry->second == record))
    return user->emitOpError("needs '")
           << source << "' in another order than an earlier op; a layout holds a tensor once";
  return PackedTensor{symbol, record.type};
}

FailureOr<PackedTensor> LayoutBuilder::packScales(Operation *user, grok::WeightOp weight,
                                                  const Record &values, int64_t panels,
                                                  const ExpertSubset &subset) {
  auto format = cast<grok::FormatAttr>(formatOf(weight.getType(), subset));
  Record record;
  record.packing = "scales16";
  record.order.columnGroup = values.order.columnGroup;
  record.part = values.part;
  record.experts = values.experts;
  record.logical = values.logical;
  if (values.order.transposed)
    std::swap(record.logical[0], record.logical[1]);
  record.logical[record.logical.size() - 2] = values.rowGroups;
  SmallVector<int64_t> shape(record.logical);
  shape.back() = panels * panelColumns;
  if (!subset.isWhole())
    shape.front() = int64_t(subset.experts.size());
  record.type = RankedTensorType::get(shape, format.getScale());
  return add(user, (weight.getPath() + ".scales").str(), record,
             (weight.getPath() + subset.suffix() + ".scales").str());
}

/// The type of the whole weight, of which a rank may hold a part.
static RankedTensorType storedTypeOf(grok::WeightOp weight) {
  return weight.getFullAttr() ? cast<RankedTensorType>(weight.getFullAttr().getValue())
                              : weight.getType();
}

/// What a matrix is as the operand of a product, apart from its storage.
static PackedMatrix extentsOf(RankedTensorType type, MatrixOrder order,
                              const ExpertSubset &subset) {
  ArrayRef<int64_t> logical = type.getShape();
  assert((logical.size() == 2 || logical.size() == 3) && "checked by grok's verifiers");
  PackedMatrix matrix;
  matrix.inputs = order.transposed ? logical.back() : logical[logical.size() - 2];
  matrix.columns = order.transposed ? logical[logical.size() - 2] : logical.back();
  if (logical.size() == 3)
    matrix.experts = subset.isWhole() ? logical.front() : int64_t(subset.experts.size());
  int64_t group = order.columnGroup ? order.columnGroup : matrix.columns;
  matrix.panels = matrix.columns / group * (padToPanel(group) / panelColumns);
  return matrix;
}

/// The weight format of a kernel's specification.
static DictionaryAttr describe(Builder &builder, const StoredForm &form, const SumOrder &sums) {
  auto number = [&](StringRef key, int64_t value) {
    return builder.getNamedAttr(key, builder.getI64IntegerAttr(value));
  };
  SmallVector<NamedAttribute> fields{
      builder.getNamedAttr("element", builder.getStringAttr(form.element)),
      number("groups", form.rowGroups), number("unit", sums.unit), number("slices", sums.slices)};
  if (form.group)
    fields.push_back(number("group", form.group));
  return builder.getDictionaryAttr(fields);
}

LayoutBuilder::Record LayoutBuilder::recordOf(grok::WeightOp weight, const PackedMatrix &matrix,
                                              const StoredForm &form, const SumOrder &sums) {
  SmallVector<int64_t> shape;
  if (matrix.experts)
    shape.push_back(matrix.experts);
  Record record;
  Type element = weight.getType().getElementType();
  if (form.group) {
    int64_t panelBytes =
        panelColumns * (matrix.inputs * form.bits / 8 + matrix.inputs / form.group);
    llvm::append_values(shape, matrix.panels, panelBytes);
    record.packing = ("panel16." + form.element + ".g" + Twine(form.group)).str();
    element = builder.getI8Type();
  } else {
    int64_t packed = choosePackedInputs(form.bits, sums.unit);
    llvm::append_values(shape, matrix.panels, matrix.inputs / packed, panelColumns, packed);
    record.packing = ("panel16.k" + Twine(packed)).str();
  }
  record.logical = SmallVector<int64_t>(weight.getType().getShape());
  record.type = RankedTensorType::get(shape, element);
  record.rowGroups = form.rowGroups;
  record.unit = sums.unit;
  record.slices = sums.slices;
  record.part = partOf(weight);
  return record;
}

FailureOr<PackedMatrix> LayoutBuilder::packMatrix(Operation *user, Value value, MatrixOrder order,
                                                  const ExpertSubset &subset) {
  FailureOr<grok::WeightOp> weight = findWeight(user, value);
  if (failed(weight) || failed(checkExtents(user, *weight)))
    return failure();
  PackedMatrix matrix = extentsOf(weight->getType(), order, subset);
  Attribute encoding = formatOf(weight->getType(), subset);
  FailureOr<StoredForm> form = formOf(user, *weight, encoding, matrix.inputs);
  if (failed(form))
    return failure();
  RankedTensorType full = storedTypeOf(*weight);
  int64_t fullInputs = extentsOf(full, order, {}).inputs;
  FailureOr<StoredForm> fullForm = form;
  if (!isa_and_present<grok::ExpertFormatsAttr>(full.getEncoding()))
    fullForm = formOf(user, *weight, full.getEncoding(), fullInputs);
  if (failed(fullForm))
    return failure();
  SumOrder sums = orderOf(*form, *fullForm, matrix.inputs, fullInputs, order.unit);
  if (reproducible && fullInputs != matrix.inputs &&
      sums.slices * (fullInputs / matrix.inputs) !=
          orderOf(*fullForm, *fullForm, fullInputs, fullInputs, order.unit).slices)
    return user->emitOpError("cannot be reproducible: '")
           << weight->getPath() << "' is summed in "
           << orderOf(*fullForm, *fullForm, fullInputs, fullInputs, order.unit).slices
           << " slices, which " << fullInputs / matrix.inputs
           << " ranks cannot share; take a tp that divides them";
  if (order.unit && sums.unit != order.unit)
    return user->emitOpError("expects its input quantized in groups of ")
           << sums.unit << " for '" << weight->getPath() << "', found " << order.unit;
  Record record = recordOf(*weight, matrix, *form, sums);
  record.order = order;
  record.experts = subset.experts;
  FailureOr<PackedTensor> values =
      add(user, weight->getPath(), record, (weight->getPath() + subset.suffix()).str());
  FailureOr<PackedTensor> scales = values;
  if (succeeded(values) && encoding)
    scales = packScales(user, *weight, record, matrix.panels, subset);
  if (failed(scales))
    return failure();
  matrix.values = *values;
  matrix.scales = *scales;
  matrix.format = describe(builder, *form, sums);
  return matrix;
}

LayoutBuilder::Record LayoutBuilder::recordOfNumbers(StringRef packing, int64_t extent,
                                                     int64_t stored) {
  Record record;
  record.packing = packing.str();
  record.logical = {extent};
  record.type = RankedTensorType::get({stored}, builder.getI32Type());
  return record;
}

FailureOr<PackedTensor> LayoutBuilder::packSlots(Operation *user, Value value,
                                                 const ExpertSubset &subset) {
  FailureOr<grok::WeightOp> weight = findWeight(user, value);
  if (failed(weight))
    return failure();
  int64_t experts = weight->getType().getDimSize(0);
  Record record = recordOfNumbers("slots", experts, experts);
  record.experts = subset.experts;
  return add(user, (weight->getPath() + subset.suffix() + ".slots").str(), record);
}

FailureOr<PackedTensor> LayoutBuilder::packRankSlots(Operation *user, Value value) {
  FailureOr<grok::WeightOp> weight = findWeight(user, value);
  if (failed(weight))
    return failure();
  int64_t experts = storedTypeOf(*weight).getDimSize(0);
  Record record = recordOfNumbers("slots", experts, experts);
  record.part = partOf(*weight);
  return add(user, (weight->getPath() + ".local_slots").str(), record);
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

FailureOr<PackedTensor> LayoutBuilder::packFirst(Operation *user, Value value) {
  FailureOr<grok::WeightOp> weight = findWeight(user, value);
  if (failed(weight))
    return failure();
  Record record = recordOfNumbers("first16", weight->getType().getDimSize(0), panelColumns);
  record.part = partOf(*weight);
  return add(user, (weight->getPath() + ".first").str(), record);
}
