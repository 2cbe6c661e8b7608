// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What one rank knows while the interpreter runs.
#pragma once

#include "compiler/interpreter/Interpreter.h"
#include "compiler/interpreter/RankPlace.h"
#include "dialects/grok/GrokDialect.h"

#include "llvm/ADT/DenseMap.h"

namespace grok::interpreter {

/// Where each value that is made in `block` is read last; `kept` are read after
/// it. What comes from outside is not there.
llvm::DenseMap<mlir::Value, mlir::Operation *> lastUsesIn(mlir::Block &block,
                                                          mlir::ValueRange kept);

class Run {
public:
  Run(const WeightSource &weights, const Observer &observer, const RankPlace &place = {})
      : weights(weights), observer(observer), place(place) {}

  void bind(mlir::Value name, Value value) { environment[name] = std::move(value); }
  const Value &valueOf(mlir::Value name) const { return environment.find(name)->second; }
  void drop(mlir::Value name) { environment.erase(name); }
  std::vector<Value> read(mlir::ValueRange names) const;

  /// Binds an op's results.
  Result<void> runOp(mlir::Operation &op);
  /// Runs all ops but the return; values in `kept` can be read afterwards.
  Result<void> runBlock(mlir::Block &block, mlir::ValueRange kept);

private:
  template <typename T> const T &get(mlir::Value name) const { return std::get<T>(valueOf(name)); }
  Matrix matrix(mlir::Value name) const;
  Result<Matrix> readWeight(WeightOp op) const;
  Result<void> checkRowCounts(mlir::Operation &op) const;
  Result<std::vector<Value>> evaluate(mlir::Operation &op);
  Result<std::vector<Value>> evaluateRowwise(mlir::Operation &op);
  Result<std::vector<Value>> evaluateMatmul(mlir::Operation &op);
  Result<std::vector<Value>> evaluateAttention(mlir::Operation &op);
  Result<std::vector<Value>> evaluateFused(FusedInterface op);

  const WeightSource &weights;
  const Observer &observer;
  RankPlace place;
  llvm::DenseMap<mlir::Value, Value> environment;
};

} // namespace grok::interpreter
