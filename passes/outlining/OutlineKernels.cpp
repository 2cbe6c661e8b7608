// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pass: checks its settings, walks the step once for each bucket.
#include "passes/outlining/Passes.h"

#include "dialects/plan/PageShape.h"
#include "passes/outlining/StepOutliner.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace grok;
using namespace grok::plan;

namespace grok {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "passes/outlining/Passes.h.inc"
} // namespace grok

/// Limits of the kernels' specification; inside them sizes stay below 2^63.
static constexpr int64_t mostRows = int64_t(1) << 20;
static constexpr int64_t mostPositions = int64_t(1) << 24;
static constexpr int64_t mostLayers = 4096;
static constexpr int64_t mostTilePanels = 64;

/// The only cache of the step, or an error.
static FailureOr<CacheType> findCache(func::FuncOp step) {
  CacheType found;
  for (Type type : step.getArgumentTypes()) {
    auto cache = dyn_cast<CacheType>(type);
    if (cache && found)
      return step.emitOpError("expects one cache, found two");
    found = cache ? cache : found;
  }
  if (!found)
    return step.emitOpError("expects a cache as an argument");
  if (found.getLayers() > mostLayers)
    return step.emitOpError("expects a cache of at most ")
           << mostLayers << " layers, found " << found;
  return found;
}

/// Layers of a stage follow one another; caches count them from 0.
static int64_t firstLayerOf(func::FuncOp step) {
  int64_t first = mostLayers;
  step.walk([&](grok::WeightOp weight) {
    if (std::optional<int64_t> layer = layerOf(weight.getPath()))
      first = std::min(first, *layer);
  });
  return first == mostLayers ? 0 : first;
}

/// The whole step, or one function for each stage, in order.
static SmallVector<func::FuncOp> findStages(ModuleOp module) {
  if (auto step = module.lookupSymbol<func::FuncOp>("step"))
    return {step};
  SmallVector<func::FuncOp> stages;
  while (auto stage = module.lookupSymbol<func::FuncOp>(("stage" + Twine(stages.size())).str()))
    stages.push_back(stage);
  return stages;
}

namespace {

struct OutlineKernels : public grok::impl::OutlineKernelsBase<OutlineKernels> {
  using OutlineKernelsBase::OutlineKernelsBase;

  void runOnOperation() override;

private:
  FailureOr<StepSettings> readSettings(ModuleOp module, func::FuncOp step);
  LogicalResult outlineAll(ModuleOp module, ArrayRef<func::FuncOp> stages);
  LogicalResult checkOption(ModuleOp module, StringRef name, int64_t value, int64_t most);
  LogicalResult outline(func::FuncOp step, int64_t stage, const StepSettings &settings,
                        KernelTable &kernels);
  void describePlan(ModuleOp module, const StepSettings &settings, int64_t layers);
};

} // namespace

LogicalResult OutlineKernels::checkOption(ModuleOp module, StringRef name, int64_t value,
                                          int64_t most) {
  if (value >= 1 && value <= most)
    return success();
  return module.emitError() << "expects option " << name << " of 1.." << most << ", got " << value;
}

FailureOr<StepSettings> OutlineKernels::readSettings(ModuleOp module, func::FuncOp step) {
  auto model = module->getAttrOfType<DictionaryAttr>("grok.model");
  auto numerics = module->getAttrOfType<StringAttr>("grok.numerics");
  if (!model || !numerics)
    return module.emitError("expects grok.model and grok.numerics on the module");
  auto length = model.getAs<IntegerAttr>("sequence_len");
  int64_t positions = maxContext == 0 && length ? length.getInt() : maxContext;
  if (failed(checkOption(module, "max-step-rows", maxStepRows, mostRows)) ||
      failed(checkOption(module, "max-context", positions, mostPositions)) ||
      failed(checkOption(module, "tile-panels", tilePanels, mostTilePanels)))
    return failure();
  if (pageTokens < 16 || pageTokens > 256 || !llvm::isPowerOf2_64(pageTokens))
    return module.emitError("expects option page-tokens to be a power of two of 16..256, got ")
           << int64_t(pageTokens);
  auto elementBytes = llvm::StringSwitch<int64_t>(kv.getValue())
                          .Case("f32", 4)
                          .Case("bf16", 2)
                          .Cases({"int8", "fp8"}, 1)
                          .Default(0);
  if (elementBytes == 0)
    return module.emitError("expects option kv to be f32, bf16, int8 or fp8, got '") << kv << "'";
  FailureOr<CacheType> cache = findCache(step);
  if (failed(cache))
    return failure();
  PageShape page =
      PageShape::of(cache->getKvHeads(), cache->getHeadDim(), pageTokens, elementBytes);
  StepSettings settings{numerics.getValue(), kv,     pageTokens,     positions,
                        tilePanels,          *cache, page.layerBytes};
  if (auto sharding = module->getAttrOfType<ShardingAttr>("grok.sharding")) {
    settings.tensorRanks = sharding.getTp();
    settings.expertRanks = sharding.getEp();
  }
  settings.rowAttention = rowAttention;
  settings.isStage = step.getSymName() != "step";
  settings.firstLayer = firstLayerOf(step);
  return settings;
}

LogicalResult OutlineKernels::outline(func::FuncOp step, int64_t stage,
                                      const StepSettings &settings, KernelTable &kernels) {
  OpBuilder builder(step);
  std::string suffix = settings.isStage ? ("_stage" + Twine(stage)).str() : "";
  auto layoutOp = LayoutOp::create(builder, step.getLoc(), layoutName + suffix);
  layoutOp.getBody().emplaceBlock();
  builder.setInsertionPointToEnd(step->getBlock());
  auto program = ProgramOp::create(builder, step.getLoc(),
                                   settings.isStage ? step.getSymName().str() + "_program" : "main",
                                   stage, settings.cache.getLayers(), settings.firstLayer);
  auto programBuilder = OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());
  bool reproducible = step->getParentOp()->hasAttr("grok.reproducible");
  LayoutBuilder layout(layoutOp, reproducible);

  SmallVector<int64_t> rowBounds{1};
  for (int64_t rows : smallSteps)
    if (rows > rowBounds.back() && rows < maxStepRows)
      rowBounds.push_back(rows);
  if (maxStepRows > 1)
    rowBounds.push_back(maxStepRows);
  for (int64_t rows : rowBounds) {
    auto bucket = BucketOp::create(programBuilder, step.getLoc(), rows, IntegerAttr());
    bucket.getBody().emplaceBlock();
    BucketBuilder bucketBuilder(bucket, kernels);
    if (failed(StepOutliner(settings, layout, bucketBuilder).outline(step)))
      return failure();
    numLaunches += llvm::range_size(bucket.getOps<LaunchOp>());
    numCollectives += llvm::range_size(bucket.getOps<CollectiveOp>());
  }
  numTensors += layout.size();
  return success();
}

void OutlineKernels::describePlan(ModuleOp module, const StepSettings &settings, int64_t layers) {
  Builder builder(module);
  auto number = [&](StringRef key, int64_t value) {
    return builder.getNamedAttr(key, builder.getI64IntegerAttr(value));
  };
  module->setAttr(
      "plan.page",
      builder.getDictionaryAttr({number("tokens", settings.pageTokens),
                                 number("bytes", settings.layerBytes * layers),
                                 number("layer_bytes", settings.layerBytes),
                                 builder.getNamedAttr("kv", builder.getStringAttr(settings.kv))}));
  module->setAttr("plan.max_context", builder.getI64IntegerAttr(settings.maxContext));
  module->setAttr("plan.max_step_rows", builder.getI64IntegerAttr(maxStepRows));
}

LogicalResult OutlineKernels::outlineAll(ModuleOp module, ArrayRef<func::FuncOp> stages) {
  OpBuilder builder(stages.front());
  KernelTable kernels(builder);
  std::optional<StepSettings> last;
  int64_t layers = 0;
  for (auto [stage, step] : llvm::enumerate(stages)) {
    FailureOr<StepSettings> settings = readSettings(module, step);
    if (failed(settings) || failed(outline(step, int64_t(stage), *settings, kernels)))
      return failure();
    layers += settings->cache.getLayers();
    last = *settings;
  }
  numKernels += kernels.size();
  describePlan(module, *last, layers);
  return success();
}

void OutlineKernels::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<func::FuncOp> stages = findStages(module);
  bool isStep = !stages.empty() && llvm::all_of(stages, [](func::FuncOp stage) {
    return !stage.isExternal() && stage.getBody().hasOneBlock();
  });
  if (!isStep) {
    module.emitError("expects the step as func.func @step with one block");
    return signalPassFailure();
  }
  if (failed(outlineAll(module, stages)))
    return signalPassFailure();
  for (func::FuncOp stage : stages)
    stage.erase();
  for (auto grid : llvm::make_early_inc_range(module.getOps<shard::GridOp>()))
    grid.erase();
}
