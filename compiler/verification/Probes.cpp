// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/Probes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace grok::verification {

/// Kernels are named in the plan by the step they do.
static std::optional<StringRef> launchOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, std::optional<StringRef>>(op)
      .Case<EmbedOp>([](auto) { return "embed"; })
      .Case<QuantizeOp>([](auto) { return "quantize"; })
      .Case<RMSNormOp>([](auto) { return "rms_norm"; })
      .Case<FusedQKVOp>([](auto) { return "qkv"; })
      .Case<FlashAttentionOp, AttentionOp>([](auto) { return "attention"; })
      .Case<LinearOp>([](auto) { return "linear"; })
      .Case<FusedResidualNormOp>([](auto) { return "residual_norm"; })
      .Case<RouteOp>([](auto) { return "route"; })
      .Case<FusedGateUpOp>([](auto) { return "gate_up"; })
      .Case<FusedDownCombineOp>([](auto) { return "down_combine"; })
      .Case<LogitRowsOp>([](auto) { return ""; })
      .Case<UnembedOp>([](auto) { return "unembed"; })
      .Default([](Operation *) { return std::nullopt; });
}

/// The norm inside an op is a launch of its own: make it an op of its own.
static void splitNorms(func::FuncOp step) {
  for (auto op : llvm::to_vector(step.getOps<FusedQKVOp>())) {
    if (!op.getNorm())
      continue;
    OpBuilder builder(op);
    Value normed = RMSNormOp::create(builder, op.getLoc(), op.getX().getType(), op.getX(),
                                     op.getNorm(), op.getEpsAttr());
    op.getXMutable().assign(normed);
    op.getNormMutable().clear();
  }
}

/// Replaces a fused op by its definition; gives what stands for its results.
static SmallVector<Value> decompose(Operation *op) {
  auto fused = dyn_cast<FusedInterface>(op);
  if (!fused)
    return op->getResults();
  OpBuilder builder(op);
  SmallVector<Value> results = fused.decompose(builder);
  op->erase();
  return results;
}

static func::FuncOp cutOut(Operation *op, ArrayRef<Value> inputs, StringRef name) {
  OpBuilder builder(op->getContext());
  auto type = builder.getFunctionType(ValueRange(inputs).getTypes(), op->getResultTypes());
  auto function = func::FuncOp::create(builder, op->getLoc(), name, type);
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  IRMapping mapping;
  mapping.map(inputs, body->getArguments());
  for (Value operand : op->getOperands())
    if (auto weight = operand.getDefiningOp<WeightOp>(); weight && !mapping.contains(operand))
      builder.clone(*weight, mapping);
  Operation *copy = builder.clone(*op, mapping);
  func::ReturnOp::create(builder, op->getLoc(), decompose(copy));
  return function;
}

static SmallVector<Value> inputsOf(Operation *op) {
  SetVector<Value> inputs;
  for (Value operand : op->getOperands())
    if (!operand.getDefiningOp<WeightOp>())
      inputs.insert(operand);
  return inputs.takeVector();
}

interpreter::Result<ProbedStep> probe(func::FuncOp fusedStep) {
  ProbedStep probed;
  probed.module = ModuleOp::create(fusedStep.getLoc());
  if (Attribute numerics = fusedStep->getParentOp()->getAttr(numericsName))
    probed.module->getOperation()->setAttr(numericsName, numerics);
  probed.step = fusedStep.clone();
  probed.module->push_back(probed.step);
  if (!probed.step.getBody().hasOneBlock())
    return tl::unexpected("function '" + fusedStep.getName().str() + "': expects one block");
  splitNorms(probed.step);
  for (Operation &op : probed.step.getBody().front().without_terminator()) {
    if (isa<WeightOp>(op))
      continue;
    std::optional<StringRef> launch = launchOf(&op);
    if (!launch)
      return tl::unexpected(interpreter::placeOf(op) + ": '" + op.getName().getStringRef().str() +
                            "' is not computed by one kernel; expects the module after fusion");
    SmallVector<Value> inputs = inputsOf(&op);
    func::FuncOp function = cutOut(&op, inputs, "probe" + std::to_string(probed.probes.size()));
    probed.module->push_back(function);
    probed.probes.push_back({&op, launch->str(), function, std::move(inputs)});
  }
  return probed;
}

interpreter::Result<std::vector<Known>> Probe::run(ArrayRef<Known> arguments,
                                                   const interpreter::WeightSource &weights) const {
  func::FuncOp body = function;
  ErrorAnalysis analysis;
  std::vector<interpreter::Value> values;
  for (auto [name, known] : llvm::zip_equal(body.getArguments(), arguments)) {
    analysis.bind(name, known);
    values.push_back(known.value);
  }
  auto observer = [&](Operation &op, ArrayRef<const interpreter::Value *> results) {
    analysis.follow(op, results);
  };
  auto done = interpreter::interpret(body, std::move(values), weights, observer);
  if (!done)
    return tl::unexpected(done.error());
  std::vector<Known> results;
  for (Value result : body.getBody().front().getTerminator()->getOperands())
    results.push_back(analysis.get(result));
  return results;
}

} // namespace grok::verification
