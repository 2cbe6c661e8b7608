// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A module as the search sees it.
#include "passes/sharding/SearchedModel.h"

#include <map>
#include <numeric>

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
  void add(const Storage &other);
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

void Storage::add(const Storage &other) {
  elements += other.elements;
  codeBits += other.codeBits;
  multiplierBits += other.multiplierBits;
  scaleBytes = std::max(scaleBytes, other.scaleBytes);
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

namespace {
/// The experts of one layer.
struct LayerExperts {
  Storage storage;
  int64_t period = 1;
};
} // namespace

/// The fewest experts after which their formats repeat.
static int64_t periodOf(RankedTensorType type) {
  auto experts = dyn_cast_or_null<ExpertFormatsAttr>(type.getEncoding());
  if (!experts)
    return 1;
  ArrayRef<FormatAttr> formats = experts.getFormats();
  const auto count = static_cast<int64_t>(formats.size());
  for (int64_t period = 1; period < count; ++period)
    if (count % period == 0 && formats.drop_front(period) == formats.drop_back(period))
      return period;
  return count;
}

/// By layer. As in annotation, experts belong to the attention before them.
static std::map<int64_t, LayerExperts> expertsByLayer(ModuleOp module) {
  std::map<int64_t, LayerExperts> layers;
  int64_t layer = 0;
  module.walk([&](Operation *op) {
    if (auto attention = dyn_cast<AttentionOp>(op))
      layer = attention.getLayer();
    auto matmul = dyn_cast<ExpertMatmulOp>(op);
    if (!matmul)
      return;
    Operation *source = matmul.getWeight().getDefiningOp();
    if (auto dequantize = dyn_cast_or_null<DequantizeOp>(source))
      source = dequantize->getOperand(0).getDefiningOp();
    auto weight = dyn_cast_or_null<WeightOp>(source);
    if (!weight)
      return;
    auto type = cast<RankedTensorType>(weight.getType());
    layers[layer].storage.add(type);
    layers[layer].period = std::lcm(layers[layer].period, periodOf(type));
  });
  return layers;
}

/// By period, and by bits where `byBits`.
static std::vector<search::ExpertGroup> groupLayers(const std::map<int64_t, LayerExperts> &layers,
                                                    bool byBits) {
  std::map<std::pair<int64_t, double>, std::pair<Storage, search::ExpertGroup>> groups;
  for (const auto &[layer, experts] : layers) {
    const double bits = byBits ? experts.storage.average().bits : 0;
    auto &[storage, group] = groups[{experts.period, bits}];
    storage.add(experts.storage);
    group.layers.push_back(layer);
    group.period = experts.period;
  }
  std::vector<search::ExpertGroup> list;
  for (auto &[key, entry] : groups) {
    entry.second.experts = entry.first.average();
    list.push_back(std::move(entry.second));
  }
  return list;
}

/// None where all layers are alike. The search tries all subsets of the groups, so
/// many of them are merged to those that ep can split alike.
static std::vector<search::ExpertGroup> groupsOf(ModuleOp module) {
  constexpr size_t mostGroups = 4;
  const std::map<int64_t, LayerExperts> layers = expertsByLayer(module);
  std::vector<search::ExpertGroup> groups = groupLayers(layers, /*byBits=*/true);
  if (groups.size() > mostGroups)
    groups = groupLayers(layers, /*byBits=*/false);
  if (groups.size() == 1 && groups.front().period == 1)
    return {};
  return groups;
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
  search::WeightFormat format{"", experts.average(), attention.average(), table.average(),
                              groupsOf(module)};
  // Kernels are told apart by the element that they multiply.
  const double bits = format.experts.bits;
  format.name = bits >= 32 ? "f32" : bits >= 16 ? "bf16" : bits >= 8 ? "int8" : "int4";
  return format;
}
