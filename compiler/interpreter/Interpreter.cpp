// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Walks a function op by op; the ops themselves are in Definitions.h.
#include "compiler/interpreter/Interpreter.h"

#include "compiler/interpreter/Arguments.h"
#include "compiler/interpreter/Definitions.h"
#include "dialects/grok/GrokDialect.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

namespace grok::interpreter {

using Values = std::vector<Value>;

static Rounding roundingOf(mlir::Value value) {
  auto type = mlir::cast<mlir::RankedTensorType>(value.getType());
  return type.getElementType().isBF16() ? Rounding::bf16 : Rounding::f32;
}

static Rounding roundingOf(CacheType cache) {
  return cache.getElementType().isBF16() ? Rounding::bf16 : Rounding::f32;
}

/// Keys or values as an int8 cache holds them: each head has one scale.
static Tensor cached(const Tensor &rows, CacheType cache) {
  return cache.getElementType().isInteger(8) ? quantize(rows, cache.getHeadDim()) : rows;
}

std::string placeOf(mlir::Operation &op) {
  if (auto name = op.getLoc()->findInstanceOf<mlir::NameLoc>())
    return name.getName().str();
  return op.getName().getStringRef().str();
}

namespace {

class Run {
public:
  Run(const WeightSource &weights, const Observer &observer)
      : weights(weights), observer(observer) {}

  void bind(mlir::Value name, Value value) { environment[name] = std::move(value); }
  /// Runs all ops but the return; values in `kept` can be read afterwards.
  Result<void> runBlock(mlir::Block &block, mlir::ValueRange kept);
  Values read(mlir::ValueRange names) const;

private:
  template <typename T> const T &get(mlir::Value name) const {
    return std::get<T>(environment.find(name)->second);
  }
  Matrix matrix(mlir::Value name) const;
  Result<void> checkRowCounts(mlir::Operation &op) const;
  Result<void> runOp(mlir::Operation &op);
  Result<Values> evaluate(mlir::Operation &op);
  Result<Values> evaluateMatmul(mlir::Operation &op);
  Result<Values> evaluateAttention(mlir::Operation &op);
  Result<Values> evaluateFused(FusedInterface op);

  const WeightSource &weights;
  const Observer &observer;
  llvm::DenseMap<mlir::Value, Value> environment;
};

} // namespace

// A value to be read as a weight: stored, or computed by a dequantize.
Matrix Run::matrix(mlir::Value name) const {
  const Value &value = environment.find(name)->second;
  if (auto *stored = std::get_if<Matrix>(&value))
    return *stored;
  const Tensor &tensor = std::get<Tensor>(value);
  Matrix view;
  view.shape = tensor.shape;
  view.bytes.weight = std::as_bytes(std::span(tensor.values));
  return view;
}

// `?` stands for one number in all operands of an op.
Result<void> Run::checkRowCounts(mlir::Operation &op) const {
  std::optional<int64_t> rows;
  for (mlir::Value operand : op.getOperands()) {
    std::optional<int64_t> found = rowCount(operand.getType(), environment.find(operand)->second);
    if (found && rows && *found != *rows)
      return tl::unexpected(placeOf(op) + ": expects equal row counts, found " +
                            std::to_string(*rows) + " and " + std::to_string(*found));
    if (found)
      rows = found;
  }
  return {};
}

template <typename T> static Result<Values> one(T value) {
  Values values;
  values.emplace_back(std::move(value));
  return values;
}

template <typename T> static Result<Values> one(Result<T> value) {
  if (!value)
    return tl::unexpected(value.error());
  return one(std::move(*value));
}

Result<Values> Run::evaluateMatmul(mlir::Operation &op) {
  return llvm::TypeSwitch<mlir::Operation *, Result<Values>>(&op)
      .Case([&](LinearOp op) {
        return one(linear(get<Tensor>(op.getX()), matrix(op.getWeight()), roundingOf(op.getX()),
                          roundingOf(op.getResult())));
      })
      .Case([&](ExpertMatmulOp op) {
        Rounding read = op.getBf16Weight() ? Rounding::bf16 : roundingOf(op.getX());
        return one(multiplyExperts(get<Tensor>(op.getX()), matrix(op.getWeight()),
                                   get<Indices>(op.getExperts()), read,
                                   roundingOf(op.getResult())));
      })
      .Case([&](RouteOp op) -> Result<Values> {
        Routing routing = route(get<Tensor>(op.getX()), matrix(op.getWeight()),
                                op.getGates().getType().getDimSize(1));
        Values values;
        values.emplace_back(std::move(routing.gates));
        values.emplace_back(std::move(routing.experts));
        return values;
      })
      .Case([&](UnembedOp op) {
        return one(unembed(get<Tensor>(op.getX()), matrix(op.getTable()),
                           op.getMultiplier().convertToDouble(), roundingOf(op.getResult())));
      })
      .Default([&](mlir::Operation *op) -> Result<Values> {
        return tl::unexpected("'" + op->getName().getStringRef().str() +
                              "' is not an op of a model");
      });
}

Result<Values> Run::evaluateAttention(mlir::Operation &op) {
  return llvm::TypeSwitch<mlir::Operation *, Result<Values>>(&op)
      .Case([&](RopeOp op) {
        return one(rope(get<Tensor>(op.getX()), get<Step>(op.getStep()), int64_t(op.getHeadDim()),
                        op.getBase().convertToDouble(), roundingOf(op.getResult())));
      })
      .Case([&](CacheWriteOp op) {
        CacheType type = op.getCache().getType();
        return one(writeCache(get<Cache>(op.getCache()), cached(get<Tensor>(op.getKeys()), type),
                              cached(get<Tensor>(op.getValues()), type),
                              get<Indices>(op.getTokens()), get<Step>(op.getStep()),
                              int64_t(op.getLayer()), roundingOf(type)));
      })
      .Case([&](AttentionOp op) {
        CacheType type = op.getCache().getType();
        AttentionParameters parameters = {int64_t(op.getLayer()), type.getKvHeads(),
                                          type.getHeadDim(), op.getMultiplier().convertToDouble(),
                                          op.getSoftcap().convertToDouble()};
        return one(attention(get<Tensor>(op.getQuery()), get<Cache>(op.getCache()),
                             get<Step>(op.getStep()), parameters, roundingOf(op.getResult())));
      })
      .Default([&](mlir::Operation *op) { return evaluateMatmul(*op); });
}

Result<Values> Run::evaluate(mlir::Operation &op) {
  return llvm::TypeSwitch<mlir::Operation *, Result<Values>>(&op)
      .Case([&](FusedInterface op) { return evaluateFused(op); })
      .Case([&](WeightOp op) -> Result<Values> {
        Result<WeightBytes> bytes = weights(op.getPath());
        Result<Matrix> stored =
            bytes ? matrixOf(op.getType(), *bytes) : tl::unexpected(bytes.error());
        if (!stored)
          return tl::unexpected("weight '" + op.getPath().str() + "': " + stored.error());
        return one(std::move(*stored));
      })
      .Case([&](DequantizeOp op) {
        return one(dequantize(matrix(op.getCodes()), roundingOf(op.getResult())));
      })
      .Case([&](QuantizeOp op) {
        auto format = mlir::cast<FormatAttr>(op.getResult().getType().getEncoding());
        return one(quantize(get<Tensor>(op.getX()), format.getGroupRows()));
      })
      .Case([&](EmbedOp op) {
        return one(embed(get<Indices>(op.getTokens()), matrix(op.getTable()),
                         op.getMultiplier().convertToDouble(), roundingOf(op.getResult())));
      })
      .Case([&](RMSNormOp op) {
        return one(rmsNorm(get<Tensor>(op.getX()), matrix(op.getScale()),
                           op.getEps().convertToDouble(), roundingOf(op.getResult())));
      })
      .Case([&](GeluGateOp op) {
        return one(geluGate(get<Tensor>(op.getGate()), get<Tensor>(op.getUp())));
      })
      .Case([&](CombineOp op) {
        return one(combine(get<Tensor>(op.getX()), get<Tensor>(op.getGates()),
                           get<Indices>(op.getExperts()), roundingOf(op.getResult())));
      })
      .Case([&](AddOp op) {
        return one(
            add(get<Tensor>(op.getLhs()), get<Tensor>(op.getRhs()), roundingOf(op.getResult())));
      })
      .Case([&](LogitRowsOp op) {
        return one(logitRows(get<Tensor>(op.getX()), get<Step>(op.getStep())));
      })
      .Default([&](mlir::Operation *op) { return evaluateAttention(*op); });
}

// Runs the plain ops in a block beside the function; they read its values.
Result<Values> Run::evaluateFused(FusedInterface op) {
  mlir::Block scratch;
  mlir::OpBuilder builder(op.getContext());
  builder.setInsertionPointToStart(&scratch);
  llvm::SmallVector<mlir::Value> results = op.decompose(builder);
  if (auto done = runBlock(scratch, results); !done)
    return tl::unexpected(done.error());
  Values values = read(results);
  for (mlir::Operation &plain : scratch)
    for (mlir::Value result : plain.getResults())
      environment.erase(result);
  return values;
}

Values Run::read(mlir::ValueRange names) const {
  Values values;
  for (mlir::Value name : names)
    values.push_back(environment.find(name)->second);
  return values;
}

Result<void> Run::runOp(mlir::Operation &op) {
  if (auto checked = checkRowCounts(op); !checked)
    return checked;
  Result<Values> values = evaluate(op);
  if (!values)
    // An op inside a fused one has named itself already.
    return tl::unexpected(mlir::isa<FusedInterface>(op) ? values.error()
                                                        : placeOf(op) + ": " + values.error());
  llvm::SmallVector<const Value *> results;
  for (const Value &value : *values)
    results.push_back(&value);
  if (observer)
    observer(op, results);
  for (auto [name, value] : llvm::zip_equal(op.getResults(), *values))
    bind(name, std::move(value));
  return {};
}

Result<void> Run::runBlock(mlir::Block &block, mlir::ValueRange kept) {
  // Where each value is read last: it is dropped there, so that no more than
  // the live activations are in memory. What comes from outside stays.
  llvm::DenseMap<mlir::Value, mlir::Operation *> lastUse;
  for (mlir::Operation &op : block)
    for (mlir::Value operand : op.getOperands())
      if (operand.getParentBlock() == &block)
        lastUse[operand] = &op;
  for (mlir::Value value : kept)
    lastUse.erase(value);

  for (mlir::Operation &op : block) {
    if (mlir::isa<mlir::func::ReturnOp>(op))
      continue;
    if (auto done = runOp(op); !done)
      return done;
    for (mlir::Value operand : op.getOperands())
      if (lastUse.lookup(operand) == &op)
        environment.erase(operand);
  }
  return {};
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
