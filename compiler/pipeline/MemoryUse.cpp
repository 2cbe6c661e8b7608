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
  use.cache = (context + tokens - 1) / tokens * number("bytes");
  plan.walk([&](plan::BucketOp bucket) {
    int64_t bytes = bucket.getArenaBytes().value_or(0);
    for (auto logits : bucket.getOps<plan::LogitsOp>())
      bytes += cast<plan::BufferType>(logits.getResult().getType()).getBytes(bucket.getMaxRows());
    use.arena = std::max(use.arena, bytes);
  });
  return use;
}
