// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Follows the interpreter op by op and derives for each result how far the
// compiled program's may lie from it.
#pragma once

#include "compiler/interpreter/Interpreter.h"
#include "compiler/verification/Bounds.h"

#include "dialects/grok/GrokDialect.h"
#include "llvm/ADT/DenseMap.h"

namespace grok::verification {

/// A value and what is known about its error.
struct Known {
  interpreter::Value value;
  Bound bound;                             // of a tensor
  std::shared_ptr<const CacheBound> cache; // of a cache
  std::optional<RouterBound> router;       // of chosen experts

  const interpreter::Tensor &tensor() const { return std::get<interpreter::Tensor>(value); }
};

/// Knows the values of one function of plain grok ops.
class ErrorAnalysis {
public:
  void bind(mlir::Value name, Known known) { environment[name] = std::move(known); }
  const Known &get(mlir::Value name) const { return environment.find(name)->second; }

  /// An op has been interpreted; its operands are bound.
  void follow(mlir::Operation &op, llvm::ArrayRef<const interpreter::Value *> results);

private:
  const interpreter::Tensor &tensor(mlir::Value name) const { return get(name).tensor(); }
  const interpreter::Matrix &matrix(mlir::Value name) const {
    return std::get<interpreter::Matrix>(get(name).value);
  }
  const interpreter::Indices &indices(mlir::Value name) const {
    return std::get<interpreter::Indices>(get(name).value);
  }
  const interpreter::Step &step(mlir::Value name) const {
    return std::get<interpreter::Step>(get(name).value);
  }
  void finish(mlir::Value name, Bound bound);
  void followProduct(mlir::Operation &op);
  void followExperts(mlir::Operation &op);
  void followRoute(RouteOp op);
  void followCacheWrite(CacheWriteOp op);
  void followAttention(AttentionOp op);
  void followRow(mlir::Operation &op);

  llvm::DenseMap<mlir::Value, Known> environment;
};

} // namespace grok::verification
