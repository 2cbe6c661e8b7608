// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers whose experts are split in another way than those of the other layers.
#include "passes/sharding/LayerKinds.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace grok;

static constexpr StringRef attributeName = "grok.hidden_layers";

ArrayRef<int64_t> sharding::hiddenLayersOf(ModuleOp module) {
  auto layers = module->getAttrOfType<DenseI64ArrayAttr>(attributeName);
  return layers ? layers.asArrayRef() : ArrayRef<int64_t>();
}

LogicalResult sharding::readLayerKinds(ModuleOp module, StringRef text, int64_t layers) {
  if (text.empty()) {
    module->removeAttr(attributeName);
    return success();
  }
  StringRef ranges = text;
  if (!ranges.consume_front("hidden="))
    return module.emitError() << "'" << text << "' behind a sharding is not hidden=LAYERS";
  SmallVector<int64_t> hidden;
  for (StringRef range : llvm::split(ranges, ',')) {
    auto [from, to] = range.split('-');
    int64_t first = 0, last = 0;
    if (from.getAsInteger(10, first) || (range.contains('-') ? to : from).getAsInteger(10, last) ||
        first < 0 || first > last || last >= layers)
      return module.emitError() << "'" << range << "' in '" << text
                                << "' is no layer or range of layers from 0 to " << layers - 1;
    for (int64_t layer = first; layer <= last; ++layer)
      hidden.push_back(layer);
  }
  llvm::sort(hidden);
  hidden.erase(llvm::unique(hidden), hidden.end());
  module->setAttr(attributeName, DenseI64ArrayAttr::get(module.getContext(), hidden));
  return success();
}
