// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A module as the search sees it.
#include "passes/sharding/SearchedModel.h"

using namespace mlir;
using namespace grok;
using namespace grok::sharding;

namespace {

/// What the matrices of one kind take together.
struct Storage {
  double elements = 0;
  double codeBits = 0;
  double multiplierBits = 0;
  int64_t scaleBytes = 0;

  void add(double count, const FormatAttr &format);
  void add(RankedTensorType type);
  search::MatrixFormat average() const;
};

} // namespace

void Storage::add(double count, const FormatAttr &format) {
  elements += count;
  codeBits += count * format.getBits();
  if (format.getMultiplierRows() != 0)
    multiplierBits += 8 * count / static_cast<double>(format.getMultiplierRows());
  scaleBytes = format.getScale().getIntOrFloatBitWidth() / 8;
}

void Storage::add(RankedTensorType type) {
  auto count = static_cast<double>(type.getNumElements());
  if (auto format = dyn_cast_or_null<FormatAttr>(type.getEncoding()))
    return add(count, format);
  if (auto experts = dyn_cast_or_null<ExpertFormatsAttr>(type.getEncoding())) {
    for (FormatAttr format : experts.getFormats())
      add(count / static_cast<double>(type.getDimSize(0)), format);
    return;
  }
  elements += count;
  codeBits += count * type.getElementTypeBitWidth();
}

search::MatrixFormat Storage::average() const {
  search::MatrixFormat format;
  if (elements == 0)
    return format;
  format.bits = (codeBits + multiplierBits) / elements;
  format.scaleBytes = scaleBytes;
  return format;
}

search::ModelShape sharding::searchedModel(ModuleOp module, const ModelShape &shape) {
  search::ModelShape model;
  model.name = "the model";
  if (auto description = module->getAttrOfType<DictionaryAttr>("grok.model"))
    if (auto name = description.getAs<StringAttr>("name"))
      model.name = name.str();
  model.vocabulary = shape.vocabulary;
  model.width = shape.width;
  model.layers = shape.layers;
  model.queryHeads = shape.queryHeads;
  model.keyValueHeads = shape.kvHeads;
  model.headSize = shape.headSize;
  model.hidden = shape.hidden;
  model.experts = shape.experts;
  model.selectedExperts = shape.selected;
  module.walk([&](LinearOp linear) {
    auto weight = cast<RankedTensorType>(linear.getWeight().getType());
    auto format = dyn_cast_or_null<FormatAttr>(weight.getEncoding());
    if (format && linear.getX().getDefiningOp<AttentionOp>())
      model.rowGroups = weight.getDimSize(0) / format.getGroupRows();
  });
  return model;
}

search::WeightFormat sharding::searchedFormat(ModuleOp module) {
  Storage experts, attention, table;
  module.walk([&](WeightOp weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    for (Operation *user : weight->getUsers()) {
      if (isa<DequantizeOp>(user) && !user->use_empty())
        user = *user->user_begin();
      if (isa<EmbedOp, UnembedOp>(user))
        return table.add(type);
      if (isa<ExpertMatmulOp>(user))
        return experts.add(type);
      if (isa<LinearOp>(user))
        return attention.add(type);
    }
  });
  search::WeightFormat format{"", experts.average(), attention.average(), table.average()};
  // Kernels are told apart by the element that they multiply.
  const double bits = format.experts.bits;
  format.name = bits >= 32 ? "f32" : bits >= 16 ? "bf16" : bits >= 8 ? "int8" : "int4";
  return format;
}
