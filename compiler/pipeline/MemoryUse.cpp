// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/MemoryUse.h"

#include "dialects/plan/PlanDialect.h"

#include <algorithm>

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

MemoryUse compiler::memoryUseOf(ModuleOp plan) {
  MemoryUse use;
  auto page = plan->getAttrOfType<DictionaryAttr>("plan.page");
  auto number = [&](StringRef key) { return page.getAs<IntegerAttr>(key).getInt(); };
  int64_t context = plan->getAttrOfType<IntegerAttr>("plan.max_context").getInt();
  int64_t tokens = number("tokens");
  const int64_t pages = (context + tokens - 1) / tokens;
  for (auto program : plan.getOps<plan::ProgramOp>())
    use.cache = std::max(use.cache,
                         pages * number("layer_bytes") * static_cast<int64_t>(program.getLayers()));
  for (auto layout : plan.getOps<plan::LayoutOp>()) {
    int64_t weights = 0, tables = 0;
    for (auto tensor : layout.getBody().getOps<plan::TensorOp>())
      (tensor.getSource() == "rope" ? tables : weights) += tensor.getPaddedBytes();
    use.weights = std::max(use.weights, weights);
    use.tables = std::max(use.tables, tables);
  }
  plan.walk([&](plan::BucketOp bucket) {
    int64_t bytes = bucket.getArenaBytes().value_or(0);
    for (auto logits : bucket.getOps<plan::LogitsOp>())
      bytes += cast<plan::BufferType>(logits.getResult().getType()).getBytes(bucket.getMaxRows());
    use.arena = std::max(use.arena, bytes);
  });
  return use;
}

std::string compiler::problemWithBudget(ModuleOp plan, uint64_t budget) {
  const MemoryUse use = memoryUseOf(plan);
  const int64_t bytes = use.weights + use.besideWeights();
  if (budget == 0 || bytes <= static_cast<int64_t>(budget))
    return "";
  return "--memory-budget: " + std::to_string(budget) + " bytes; the fullest rank takes " +
         std::to_string(bytes) +
         ", since formats are chosen for the whole model and stages share them out unevenly; give "
         "less, or a sharding without pp";
}
