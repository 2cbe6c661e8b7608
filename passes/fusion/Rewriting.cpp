// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/fusion/Rewriting.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

LogicalResult grok::applyFusionPatterns(Operation *root, RewritePatternSet &&patterns) {
  GreedyRewriteConfig config;
  config.setUseTopDownTraversal()
      .setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled)
      .enableFolding(false)
      .enableConstantCSE(false);
  return applyPatternsGreedily(root, std::move(patterns), config);
}

bool grok::isOnlyUsedFrom(Value value, Operation *op) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    Operation *ancestor = op->getBlock()->findAncestorOpInBlock(*user);
    return ancestor && (ancestor == op || op->isBeforeInBlock(ancestor));
  });
}
