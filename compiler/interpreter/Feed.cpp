// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One sequence through a model's step function.
#include "compiler/interpreter/Feed.h"

#include "dialects/grok/GrokDialect.h"

#include <algorithm>

namespace grok::interpreter {

// A function of tokens, step and cache that gives logits and the new cache.
static Result<CacheType> checkStep(mlir::func::FuncOp step) {
  mlir::FunctionType type = step.getFunctionType();
  if (type.getNumInputs() == 3 && type.getNumResults() == 2 &&
      mlir::isa<StepType>(type.getInput(1)) &&
      type.getInput(0) ==
          mlir::RankedTensorType::get({mlir::ShapedType::kDynamic},
                                      mlir::IntegerType::get(step.getContext(), 32)))
    if (auto cache = mlir::dyn_cast<CacheType>(type.getInput(2));
        cache && type.getResult(1) == cache && mlir::isa<mlir::RankedTensorType>(type.getResult(0)))
      return cache;
  return tl::unexpected("function '" + step.getName().str() +
                        "' is not a step from (tokens, step, cache) to (logits, cache)");
}

Result<void> checkTokens(llvm::ArrayRef<int32_t> tokens, mlir::Type logits) {
  int64_t vocabulary = mlir::cast<mlir::RankedTensorType>(logits).getShape().back();
  for (int32_t token : tokens)
    if (token < 0 || (!mlir::ShapedType::isDynamic(vocabulary) && token >= vocabulary))
      return tl::unexpected("token " + std::to_string(token) + " is outside the vocabulary of " +
                            std::to_string(vocabulary));
  return {};
}

Step consecutiveRows(int64_t first, int64_t count) {
  Step step;
  for (int64_t row = 0; row < count; ++row) {
    step.positions.push_back(first + row);
    step.sequences.push_back(0);
    step.logitRows.push_back(row);
  }
  return step;
}

Result<Tensor> feed(mlir::func::FuncOp step, llvm::ArrayRef<int32_t> tokens, int64_t chunk,
                    const WeightSource &weights, const Observer &observer) {
  Result<CacheType> type = checkStep(step);
  if (!type)
    return tl::unexpected(type.error());
  if (auto checked = checkTokens(tokens, step.getFunctionType().getResult(0)); !checked)
    return tl::unexpected(checked.error());
  Cache cache = Cache::empty(type->getLayers());
  Tensor logits;
  for (size_t first = 0; first < tokens.size();) {
    size_t count = std::min(tokens.size() - first, size_t(std::max<int64_t>(chunk, 1)));
    std::vector<Value> arguments;
    arguments.emplace_back(Indices{{int64_t(count)}, tokens.slice(first, count).vec()});
    arguments.emplace_back(consecutiveRows(int64_t(first), int64_t(count)));
    arguments.emplace_back(std::move(cache));
    auto results = interpret(step, std::move(arguments), weights, observer);
    if (!results)
      return tl::unexpected(results.error());
    const Tensor &rows = std::get<Tensor>(results->front());
    logits.values.insert(logits.values.end(), rows.values.begin(), rows.values.end());
    logits.shape = {int64_t(first + count), rows.shape.back()};
    cache = std::move(std::get<Cache>(results->back()));
    first += count;
  }
  return logits;
}

} // namespace grok::interpreter
