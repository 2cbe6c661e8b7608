// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel specifications and packed tensors out of a plan module.
#include "compiler/artifact/PlanReading.h"

#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

static WeightFormat readWeightFormat(DictionaryAttr params) {
  WeightFormat format;
  auto element = params.getAs<StringAttr>("element");
  format.element = llvm::StringSwitch<WeightFormat::Element>(element ? element.getValue() : "")
                       .Case("i8", WeightFormat::Element::i8)
                       .Case("i4", WeightFormat::Element::i4)
                       .Case("i3", WeightFormat::Element::i3)
                       .Case("bf16", WeightFormat::Element::bf16)
                       .Default(WeightFormat::Element::f32);
  auto number = [&](StringRef name, int64_t missing) {
    auto attr = params.getAs<IntegerAttr>(name);
    return attr ? attr.getInt() : missing;
  };
  format.groups = number("groups", 1);
  format.unit = number("unit", 0);
  format.slices = number("slices", 1);
  format.group = number("group", 0);
  return format;
}

FailureOr<KernelSpec> compiler::readKernelSpec(plan::KernelOp kernel) {
  std::optional<KernelOp> op = kernelOpNamed(kernel.getOp().str());
  if (!op || isService(*op))
    return kernel.emitOpError("names an unknown kernel '") << kernel.getOp() << "'";
  KernelSpec spec;
  spec.op = *op;
  const llvm::StringMap<int64_t *> integers = {{"max_rows", &spec.maxRows},
                                               {"emb", &spec.emb},
                                               {"in", &spec.in},
                                               {"out", &spec.out},
                                               {"vocab", &spec.vocab},
                                               {"q_heads", &spec.qHeads},
                                               {"kv_heads", &spec.kvHeads},
                                               {"head_dim", &spec.headDim},
                                               {"ffn", &spec.ffn},
                                               {"experts", &spec.experts},
                                               {"selected", &spec.selected},
                                               {"accumulate", &spec.accumulate},
                                               {"separate", &spec.separate},
                                               {"parts", &spec.parts},
                                               {"local_tokens", &spec.localTokens},
                                               {"layers", &spec.layers},
                                               {"page_tokens", &spec.pageTokens},
                                               {"max_context", &spec.maxContext},
                                               {"key_slice", &spec.keySlice},
                                               {"digits", &spec.digits},
                                               {"tile_panels", &spec.tilePanels}};
  const llvm::StringMap<double *> numbers = {
      {"eps", &spec.eps}, {"multiplier", &spec.multiplier}, {"softcap", &spec.softcap}};
  for (NamedAttribute param : kernel.getParams()) {
    StringRef name = param.getName();
    if (auto integer = dyn_cast<IntegerAttr>(param.getValue()); integer && integers.contains(name))
      *integers.lookup(name) = integer.getInt();
    else if (auto number = dyn_cast<FloatAttr>(param.getValue()); number && numbers.contains(name))
      *numbers.lookup(name) = number.getValueAsDouble();
    else if (auto text = dyn_cast<StringAttr>(param.getValue()); text && name == "numerics")
      spec.numerics = text == "bf16"   ? Numerics::bf16
                      : text == "fast" ? Numerics::fast
                                       : Numerics::f32;
    else if (auto kv = text && name == "kv" ? cacheElementNamed(text.getValue()) : std::nullopt)
      spec.kv = *kv;
    else if (auto format = dyn_cast<DictionaryAttr>(param.getValue()); format && name == "weight")
      spec.weight = readWeightFormat(format);
    else
      return kernel.emitOpError("has a parameter that no kernel knows: ") << name;
  }
  return spec;
}

/// Which part of the stored tensor a rank packs.
static LogicalResult readPart(plan::TensorOp op, PackedTensor &tensor) {
  DictionaryAttr part = op.getPartAttr();
  if (!part)
    return success();
  auto slices = part.getAs<ArrayAttr>("slices");
  auto stored = part.getAs<TypeAttr>("stored");
  auto shape = part.getAs<DenseI64ArrayAttr>("shape");
  auto type = stored ? dyn_cast<RankedTensorType>(stored.getValue()) : RankedTensorType();
  if (!slices || !type || !shape || type.getRank() != shape.size())
    return op.emitOpError("expects slices, stored type and shape in its part");
  tensor.stored = type.getShape();
  tensor.part = shape.asArrayRef();
  if (auto format = dyn_cast_or_null<FormatAttr>(type.getEncoding()))
    if (!format.getAlongLast())
      tensor.storedGroups = type.getDimSize(type.getRank() - 2) / format.getGroupRows();
  using Axis = PackedTensor::Slice::Axis;
  for (auto slice : slices.getAsRange<SliceAttr>())
    tensor.cuts.push_back({slice.getDim(), slice.getParts(),
                           slice.getAxis() == "tp"   ? Axis::tensor
                           : slice.getAxis() == "ep" ? Axis::experts
                                                     : Axis::both});
  return success();
}

static FailureOr<PackedTensor> readTensor(plan::TensorOp op) {
  PackedTensor tensor;
  tensor.name = op.getSymName().str();
  tensor.source = op.getSource().str();
  if (!readPacking(op.getPacking().str(), tensor))
    return op.emitOpError("has an unknown packing '") << op.getPacking() << "'";
  auto type = cast<RankedTensorType>(op.getType());
  Type element = type.getElementType();
  tensor.isIndices = element.isInteger(32);
  tensor.dtype = element.isF32() || tensor.isIndices ? checkpoint::DType::f32
                 : element.isBF16()                  ? checkpoint::DType::bf16
                                                     : checkpoint::DType::i8;
  tensor.shape = type.getShape();
  tensor.logical = op.getLogical();
  tensor.columnGroup = op.getColumnGroup();
  tensor.transposed = op.getTransposed();
  tensor.rowGroups = op.getRowGroups();
  tensor.unit = op.getUnit();
  tensor.slices = op.getSlices();
  if (auto experts = op.getExperts())
    tensor.experts = *experts;
  if (auto base = op.getRopeBaseAttr())
    tensor.ropeBase = base.getValueAsDouble();
  if (failed(readPart(op, tensor)))
    return failure();
  return tensor;
}

FailureOr<std::vector<PackedTensor>> compiler::readLayout(plan::LayoutOp layout) {
  std::vector<PackedTensor> tensors;
  for (auto op : layout.getBody().getOps<plan::TensorOp>()) {
    FailureOr<PackedTensor> tensor = readTensor(op);
    if (failed(tensor))
      return failure();
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}
