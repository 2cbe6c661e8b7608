// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs a function on one rank.
#include "compiler/interpreter/Interpreter.h"

#include "compiler/interpreter/Arguments.h"
#include "compiler/interpreter/Run.h"

namespace grok::interpreter {

std::string placeOf(mlir::Operation &op) {
  if (auto name = op.getLoc()->findInstanceOf<mlir::NameLoc>())
    return name.getName().str();
  return op.getName().getStringRef().str();
}

Result<std::vector<Value>> interpret(mlir::func::FuncOp function, std::vector<Value> arguments,
                                     const WeightSource &weights, const Observer &observer) {
  if (!function.getBody().hasOneBlock())
    return tl::unexpected("function '" + function.getName().str() +
                          "': expects one block to interpret");
  if (auto checked = checkArguments(function.getFunctionType(), arguments); !checked)
    return tl::unexpected("function '" + function.getName().str() + "': " + checked.error());
  mlir::Block &body = function.getBody().front();
  auto exit = mlir::dyn_cast<mlir::func::ReturnOp>(body.back());
  if (!exit)
    return tl::unexpected("function '" + function.getName().str() + "': expects func.return");
  Run run(weights, observer);
  for (auto [name, value] : llvm::zip_equal(body.getArguments(), arguments))
    run.bind(name, std::move(value));
  if (auto done = run.runBlock(body, exit.getOperands()); !done)
    return tl::unexpected(done.error());
  return run.read(exit.getOperands());
}

} // namespace grok::interpreter
