// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The step function cut at the compiled program's launches: each piece can be
// run on the values that the program really had, so that errors do not add up
// from launch to launch.
#pragma once

#include "compiler/verification/ErrorAnalysis.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace grok::verification {

/// One op of the step as a function of its operands.
struct Probe {
  mlir::Operation *op;                   // in the step; its results name the values
  std::string launch;                    // the kernel that computes it; empty = none
  mlir::func::FuncOp function;           // plain ops alone, weights inside
  mlir::SmallVector<mlir::Value> inputs; // values of the step, one per argument

  /// Runs the function and gives one value for each result of the op.
  interpreter::Result<std::vector<Known>> run(llvm::ArrayRef<Known> arguments,
                                              const interpreter::WeightSource &weights) const;
};

/// A copy of a fused step and its pieces, in the order of the launches.
struct ProbedStep {
  mlir::OwningOpRef<mlir::ModuleOp> module; // owns all that follows
  mlir::func::FuncOp step;
  std::vector<Probe> probes;
};

/// Fails on an op that no single kernel computes.
interpreter::Result<ProbedStep> probe(mlir::func::FuncOp fusedStep);

} // namespace grok::verification
