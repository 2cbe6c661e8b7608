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

namespace {

struct OutlineKernels : public grok::impl::OutlineKernelsBase<OutlineKernels> {
  using OutlineKernelsBase::OutlineKernelsBase;

  void runOnOperation() override;

private:
  FailureOr<StepSettings> readSettings(ModuleOp module, func::FuncOp step);
  LogicalResult checkOption(ModuleOp module, StringRef name, int64_t value, int64_t most);
  LogicalResult outline(func::FuncOp step, const StepSettings &settings);
  void describePlan(ModuleOp module, const StepSettings &settings);
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
                          .Case("int8", 1)
                          .Default(0);
  if (elementBytes == 0)
    return module.emitError("expects option kv to be f32, bf16 or int8, got '") << kv << "'";
  FailureOr<CacheType> cache = findCache(step);
  if (failed(cache))
    return failure();
  PageShape page =
      PageShape::of(cache->getKvHeads(), cache->getHeadDim(), pageTokens, elementBytes);
  return StepSettings{numerics.getValue(), kv,     pageTokens,     positions,
                      tilePanels,          *cache, page.layerBytes};
}

LogicalResult OutlineKernels::outline(func::FuncOp step, const StepSettings &settings) {
  OpBuilder builder(step);
  auto layoutOp = LayoutOp::create(builder, step.getLoc(), layoutName);
  layoutOp.getBody().emplaceBlock();
  auto program = ProgramOp::create(builder, step.getLoc(), "main");
  auto programBuilder = OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());
  builder.setInsertionPoint(program);
  LayoutBuilder layout(layoutOp);
  KernelTable kernels(builder);

  SmallVector<int64_t> rowBounds{1};
  if (maxStepRows > 1)
    rowBounds.push_back(maxStepRows);
  for (int64_t rows : rowBounds) {
    auto bucket = BucketOp::create(programBuilder, step.getLoc(), rows, IntegerAttr());
    bucket.getBody().emplaceBlock();
    BucketBuilder bucketBuilder(bucket, kernels);
    if (failed(StepOutliner(settings, layout, bucketBuilder).outline(step)))
      return failure();
    numLaunches += llvm::range_size(bucket.getOps<LaunchOp>());
  }
  numKernels += kernels.size();
  numTensors += layout.size();
  return success();
}

void OutlineKernels::describePlan(ModuleOp module, const StepSettings &settings) {
  Builder builder(module);
  auto number = [&](StringRef key, int64_t value) {
    return builder.getNamedAttr(key, builder.getI64IntegerAttr(value));
  };
  module->setAttr(
      "plan.page",
      builder.getDictionaryAttr({number("tokens", settings.pageTokens),
                                 number("bytes", settings.layerBytes * settings.cache.getLayers()),
                                 number("layer_bytes", settings.layerBytes),
                                 builder.getNamedAttr("kv", builder.getStringAttr(settings.kv))}));
  module->setAttr("plan.max_context", builder.getI64IntegerAttr(settings.maxContext));
  module->setAttr("plan.max_step_rows", builder.getI64IntegerAttr(maxStepRows));
}

void OutlineKernels::runOnOperation() {
  ModuleOp module = getOperation();
  auto step = module.lookupSymbol<func::FuncOp>("step");
  if (!step || step.isExternal() || !step.getBody().hasOneBlock()) {
    module.emitError("expects the step as func.func @step with one block");
    return signalPassFailure();
  }
  FailureOr<StepSettings> settings = readSettings(module, step);
  if (failed(settings) || failed(outline(step, *settings)))
    return signalPassFailure();
  describePlan(module, *settings);
  step.erase();
}
