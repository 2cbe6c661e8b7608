// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers whose experts are split in another way than those of the other layers.
#include "passes/sharding/LayerKinds.h"

#include "passes/sharding/search/Sharding.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;
using namespace grok;

static constexpr StringRef attributeName = "grok.hidden_layers";

ArrayRef<int64_t> sharding::hiddenLayersOf(ModuleOp module) {
  auto layers = module->getAttrOfType<DenseI64ArrayAttr>(attributeName);
  return layers ? layers.asArrayRef() : ArrayRef<int64_t>();
}

std::string sharding::layerKindsText(ModuleOp module) {
  const std::string text =
      search::Sharding{.hiddenLayers = hiddenLayersOf(module).vec()}.hiddenText();
  return text.empty() ? text : ":hidden=" + text;
}

void sharding::setHiddenLayers(ModuleOp module, ArrayRef<int64_t> layers) {
  if (layers.empty())
    module->removeAttr(attributeName);
  else
    module->setAttr(attributeName, DenseI64ArrayAttr::get(module.getContext(), layers));
}

LogicalResult sharding::readLayerKinds(ModuleOp module, StringRef text, int64_t layers) {
  std::vector<int64_t> hidden;
  if (!text.empty()) {
    auto parsed = search::parseHiddenLayers(text.str(), layers);
    if (!parsed)
      return module.emitError(parsed.error());
    hidden = std::move(*parsed);
  }
  setHiddenLayers(module, hidden);
  return success();
}
