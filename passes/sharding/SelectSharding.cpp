// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Leaves the choice of a sharding in the module.
#include "passes/sharding/LayerKinds.h"
#include "passes/sharding/ModelShape.h"
#include "passes/sharding/Passes.h"
#include "passes/sharding/SearchedModel.h"
#include "passes/sharding/search/Search.h"

using namespace mlir;
using namespace grok;
using grok::sharding::ModelShape;

namespace grok {
#define GEN_PASS_DEF_SELECTSHARDING
#include "passes/sharding/Passes.h.inc"
} // namespace grok

/// Ranked plans to look through for one that can be partitioned.
static constexpr size_t rankedPlans = 64;

namespace {

struct Task {
  search::Machine machine;
  search::Workload workload;
};

struct SelectSharding : grok::impl::SelectShardingBase<SelectSharding> {
  using SelectShardingBase::SelectShardingBase;
  SelectSharding() = default;
  explicit SelectSharding(Task task) : task(std::move(task)) {}

  void runOnOperation() override;

private:
  FailureOr<ShardingAttr> choose(const ModelShape &shape);
  FailureOr<ShardingAttr> readText(const ModelShape &shape);
  FailureOr<ShardingAttr> search(const ModelShape &shape);

  std::optional<Task> task;
};

} // namespace

FailureOr<ShardingAttr> SelectSharding::readText(const ModelShape &shape) {
  ModuleOp module = getOperation();
  auto emitError = [&] { return module.emitError(); };
  auto [degrees, kinds] = StringRef(sharding).split(':');
  FailureOr<ShardingAttr> parsed =
      ShardingAttr::parseText(&getContext(), degrees, shape.layers, emitError);
  if (failed(parsed) || failed(sharding::readLayerKinds(module, kinds, shape.layers)))
    return failure();
  if (stages.empty())
    return parsed;
  auto chosen =
      ShardingAttr::getChecked(emitError, &getContext(), parsed->getTp(), parsed->getEp(),
                               parsed->getPp(), parsed->getDp(), ArrayRef<int64_t>(stages));
  if (!chosen)
    return failure();
  return chosen;
}

FailureOr<ShardingAttr> SelectSharding::search(const ModelShape &shape) {
  ModuleOp module = getOperation();
  search::Limits limits;
  limits.formats = {sharding::searchedFormat(module)};
  limits.top = rankedPlans;
  limits.usesAllDevices = true; // who names devices means all of them, be it as replicas
  auto ranked = search::searchShardings(sharding::searchedModel(module, shape), task->machine,
                                        task->workload, limits);
  if (!ranked)
    return module.emitError(ranked.error());
  for (const search::Plan &plan : ranked->plans) {
    auto attribute =
        ShardingAttr::get(&getContext(), plan.sharding.tp, plan.sharding.ep, plan.sharding.pp,
                          plan.sharding.dp, ArrayRef<int64_t>(plan.sharding.stageLayers));
    sharding::setHiddenLayers(module, plan.sharding.hiddenLayers);
    if (!sharding::findObstacle(module, shape, attribute))
      return attribute;
  }
  sharding::setHiddenLayers(module, {});
  InFlightDiagnostic error = module.emitError()
                             << "no sharding of the model over all " << task->machine.devices()
                             << " devices fits machine '" << task->machine.name << "'";
  if (ranked->smallest)
    error << ": " << ranked->smallest->sharding.text() << ", the smallest, needs "
          << static_cast<int64_t>(ranked->smallest->memory.total()) << " bytes on a rank of "
          << static_cast<int64_t>(ranked->smallest->availableBytes);
  return error;
}

FailureOr<ShardingAttr> SelectSharding::choose(const ModelShape &shape) {
  if (task)
    return search(shape);
  if (!sharding.empty())
    return readText(shape);
  if (auto carried = getOperation()->getAttrOfType<ShardingAttr>("grok.sharding"))
    return carried;
  return getOperation().emitError("expects grok.sharding on the module or the option sharding");
}

void SelectSharding::runOnOperation() {
  ModuleOp module = getOperation();
  FailureOr<ModelShape> shape = sharding::shapeOf(module);
  if (failed(shape))
    return signalPassFailure();
  FailureOr<ShardingAttr> chosen = choose(*shape);
  if (failed(chosen))
    return signalPassFailure();
  if (shape->layers == 0) {
    module.emitError("expects a model with attention to shard");
    return signalPassFailure();
  }
  if (auto obstacle = sharding::findObstacle(module, *shape, *chosen)) {
    module.emitError() << "sharding '" << chosen->text() << "' does not fit: " << *obstacle;
    return signalPassFailure();
  }
  module->setAttr("grok.sharding", *chosen);
  numRanks = chosen->countRanks();
  markAllAnalysesPreserved();
}

std::unique_ptr<Pass> grok::createSelectSharding(search::Machine machine,
                                                 search::Workload workload) {
  return std::make_unique<SelectSharding>(Task{std::move(machine), workload});
}
