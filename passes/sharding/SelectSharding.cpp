// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Leaves the choice of a sharding in the module.
#include "passes/sharding/ModelShape.h"
#include "passes/sharding/Passes.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_SELECTSHARDING
#include "passes/sharding/Passes.h.inc"
} // namespace grok

namespace {

struct SelectSharding : grok::impl::SelectShardingBase<SelectSharding> {
  using SelectShardingBase::SelectShardingBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto chosen = module->getAttrOfType<ShardingAttr>("grok.sharding");
    if (!sharding.empty()) {
      FailureOr<sharding::ModelShape> shape = sharding::shapeOf(module);
      if (failed(shape))
        return signalPassFailure();
      FailureOr<ShardingAttr> parsed = ShardingAttr::parseText(
          &getContext(), sharding, shape->layers, [&] { return module.emitError(); });
      if (failed(parsed))
        return signalPassFailure();
      chosen = *parsed;
    }
    if (!chosen) {
      module.emitError("expects grok.sharding on the module or the option sharding");
      return signalPassFailure();
    }
    if (failed(sharding::checkLegality(module, chosen)))
      return signalPassFailure();
    module->setAttr("grok.sharding", chosen);
    numRanks = chosen.countRanks();
    markAllAnalysesPreserved();
  }
};

} // namespace
