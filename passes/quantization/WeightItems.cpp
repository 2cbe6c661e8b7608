// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/quantization/WeightItems.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace grok;
using namespace grok::quantization;

StringRef quantization::nameOf(ItemKind kind) {
  switch (kind) {
  case ItemKind::table:
    return "table";
  case ItemKind::attention:
    return "attention";
  case ItemKind::gateUp:
    return "gate_up";
  case ItemKind::down:
    return "down";
  }
  llvm_unreachable("all kinds are listed");
}

bool quantization::isOfExperts(ItemKind kind) {
  return kind == ItemKind::gateUp || kind == ItemKind::down;
}

/// The number after "decoder_layer_" in a parameter's name.
static std::optional<int64_t> layerOf(StringRef path) {
  constexpr StringRef marker = "decoder_layer_";
  size_t position = path.find(marker);
  int64_t layer;
  if (position == StringRef::npos ||
      path.drop_front(position + marker.size()).take_while(llvm::isDigit).getAsInteger(10, layer))
    return std::nullopt;
  return layer;
}

/// What the weight is used for; nothing for routers and norms.
static std::optional<ItemKind> kindOf(WeightOp weight) {
  for (Operation *user : weight->getUsers()) {
    if (isa<EmbedOp, UnembedOp>(user))
      return ItemKind::table;
    if (isa<LinearOp>(user))
      return ItemKind::attention;
    if (auto matmul = dyn_cast<ExpertMatmulOp>(user))
      return cast<RankedTensorType>(matmul.getX().getType()).getRank() == 2 ? ItemKind::gateUp
                                                                            : ItemKind::down;
  }
  return std::nullopt;
}

static LogicalResult checkStored(WeightOp weight) {
  RankedTensorType type = weight.getType();
  Attribute encoding = type.getEncoding();
  auto format = dyn_cast_or_null<FormatAttr>(encoding);
  if (!encoding ||
      (format && format.getBits() == 8 && !format.getZeroPoint() && !format.getMultiplierRows() &&
       !format.getCodebook() && format.getScale().isBF16() && !format.getAlongLast()))
    return success();
  return weight.emitOpError("expects a matrix of f32, bf16 or int8 with bf16 scales, as "
                            "checkpoints store it, found ")
         << type;
}

MatrixForm WeightItem::formOf(const WeightUse &weight) const {
  MatrixForm form = weight.form;
  if (expert >= 0)
    form.shape.front() = 1;
  return form;
}

namespace {
class Finder {
public:
  explicit Finder(function_ref<bool(const WeightItem &)> isSplit) : isSplit(isSplit) {}

  LogicalResult add(WeightOp weight);
  ModelWeights take();

private:
  LogicalResult addMatrix(WeightOp weight, ItemKind kind);
  void addOther(MatrixForm form);

  function_ref<bool(const WeightItem &)> isSplit;
  ModelWeights found;
  llvm::StringMap<size_t> byPath;
  llvm::MapVector<std::pair<int64_t, int>, std::vector<size_t>> groups; // (layer, kind)
};
} // namespace

static MatrixForm formOf(WeightOp weight, bool isTable) {
  RankedTensorType type = weight.getType();
  return {SmallVector<int64_t>(type.getShape()), type.getElementType(),
          dyn_cast_or_null<FormatAttr>(type.getEncoding()), isTable};
}

LogicalResult Finder::addMatrix(WeightOp weight, ItemKind kind) {
  std::optional<int64_t> layer = layerOf(weight.getPath());
  if (kind == ItemKind::table)
    layer = -1;
  if (!layer)
    return weight.emitOpError("expects the layer in the name of a matrix: 'decoder_layer_3/...'");
  if (weight.getType().getRank() != (isOfExperts(kind) ? 3 : 2))
    return weight.emitOpError("expects a matrix, or one for each expert, found ")
           << weight.getType();
  groups[{*layer, static_cast<int>(kind)}].push_back(found.weights.size());
  found.weights.push_back({{weight}, formOf(weight, kind == ItemKind::table)});
  found.layers = std::max(found.layers, *layer + 1);
  found.isQuantised |= !!found.weights.back().form.format;
  found.matrixElements += found.weights.back().form.elements();
  return success();
}

LogicalResult Finder::add(WeightOp weight) {
  std::optional<ItemKind> kind = kindOf(weight);
  auto [known, isNew] = byPath.try_emplace(weight.getPath(), found.weights.size());
  if (!isNew) {
    if (kind)
      found.weights[known->second].ops.push_back(weight);
    return success();
  }
  if (failed(checkStored(weight)))
    return failure();
  if (kind)
    return addMatrix(weight, *kind);
  addOther(formOf(weight, false));
  return success();
}

void Finder::addOther(MatrixForm form) {
  if (form.shape.size() == 1) {
    form.shape.insert(form.shape.begin(), 1);
    found.vectorBytes += form.bytes();
    return;
  }
  found.matrixElements += form.elements();
  found.routerBytes += form.bytes();
}

ModelWeights Finder::take() {
  for (auto &[key, weights] : groups) {
    WeightItem item;
    item.layer = key.first;
    item.kind = static_cast<ItemKind>(key.second);
    item.weights = weights;
    item.name = nameOf(item.kind).str();
    if (item.layer >= 0)
      item.name = "layer" + std::to_string(item.layer) + "." + item.name;
    if (!isSplit(item)) {
      found.items.push_back(std::move(item));
      continue;
    }
    const std::string whole = item.name;
    for (item.expert = 0; item.expert < found.weights[weights.front()].form.shape.front();
         ++item.expert) {
      item.name = whole + ".expert" + std::to_string(item.expert);
      found.items.push_back(item);
    }
  }
  return std::move(found);
}

FailureOr<ModelWeights> quantization::findWeights(ModuleOp module,
                                                  function_ref<bool(const WeightItem &)> isSplit) {
  Finder finder(isSplit);
  WalkResult walked = module.walk([&](WeightOp weight) {
    return failed(finder.add(weight)) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (walked.wasInterrupted())
    return failure();
  return finder.take();
}
