// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One rank's walk through a block, op by op; the ops themselves are in
// Definitions.h.
#include "compiler/interpreter/Run.h"

#include "compiler/interpreter/Arguments.h"
#include "compiler/interpreter/Definitions.h"
#include "compiler/interpreter/WeightSlices.h"
#include "dialects/grok/GrokDialect.h"

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

/// Keys or values as the cache holds them: of codes, each head has one scale.
static Tensor cached(const Tensor &rows, CacheType cache) {
  std::optional<CodeForm> form = codeFormOf(cache.getElementType());
  return form ? quantize(rows, cache.getHeadDim(), *form) : rows;
}

// A value to be read as a weight: stored, or computed by a dequantize.
Matrix Run::matrix(mlir::Value name) const {
  const Value &value = valueOf(name);
  if (auto *stored = std::get_if<Matrix>(&value))
    return *stored;
  const Tensor &tensor = std::get<Tensor>(value);
  Matrix view;
  view.shape = tensor.shape;
  view.bytes.weight = std::as_bytes(std::span(tensor.values));
  return view;
}

Result<Matrix> Run::readWeight(WeightOp op) const {
  Result<WeightBytes> bytes = weights(op.getPath());
  if (!bytes)
    return tl::unexpected(bytes.error());
  return op.getFull() ? sliceWeight(op, *bytes, place) : matrixOf(op.getType(), *bytes);
}

// `?` stands for one number in all operands of an op.
Result<void> Run::checkRowCounts(mlir::Operation &op) const {
  std::optional<int64_t> rows;
  for (mlir::Value operand : op.getOperands()) {
    std::optional<int64_t> found = rowCount(operand.getType(), valueOf(operand));
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

/// An id as this rank counts what it holds; -1 if another does.
static Indices localIds(const Indices &ids, int64_t index, int64_t count) {
  Indices local = ids;
  for (int32_t &id : local.values) {
    int64_t mine = id - index * count;
    id = mine >= 0 && mine < count ? static_cast<int32_t>(mine) : -1;
  }
  return local;
}

Result<Values> Run::evaluateRowwise(mlir::Operation &op) {
  return llvm::TypeSwitch<mlir::Operation *, Result<Values>>(&op)
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
      .Case([&](LocalExpertsOp op) {
        return one(localIds(get<Indices>(op.getExperts()), place.index(op.getAxis()),
                            int64_t(op.getCount())));
      })
      .Case([&](LocalTokensOp op) {
        return one(localIds(get<Indices>(op.getTokens()), place.index(op.getAxis()),
                            int64_t(op.getCount())));
      })
      .Case([&](CutColumnsOp op) {
        return one(cutColumns(get<Tensor>(op.getX()), op.getType().getShape().back()));
      })
      .Default([&](mlir::Operation *op) { return evaluateAttention(*op); });
}

Result<Values> Run::evaluate(mlir::Operation &op) {
  return llvm::TypeSwitch<mlir::Operation *, Result<Values>>(&op)
      .Case([&](FusedInterface op) { return evaluateFused(op); })
      .Case([&](WeightOp op) -> Result<Values> {
        Result<Matrix> stored = readWeight(op);
        if (!stored)
          return tl::unexpected("weight '" + op.getPath().str() + "': " + stored.error());
        return one(std::move(*stored));
      })
      .Case([&](DequantizeOp op) {
        return one(dequantize(matrix(op.getCodes()), roundingOf(op.getResult())));
      })
      .Case([&](QuantizeOp op) {
        auto format = mlir::cast<FormatAttr>(op.getResult().getType().getEncoding());
        const CodeForm form = format.getBits() == 8 ? CodeForm::int8 : CodeForm::int15;
        return one(quantize(get<Tensor>(op.getX()), format.getGroupRows(), form));
      })
      .Case([&](EmbedOp op) {
        return one(embed(get<Indices>(op.getTokens()), matrix(op.getTable()),
                         op.getMultiplier().convertToDouble(), roundingOf(op.getResult())));
      })
      .Default([&](mlir::Operation *op) { return evaluateRowwise(*op); });
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

llvm::DenseMap<mlir::Value, mlir::Operation *> lastUsesIn(mlir::Block &block,
                                                          mlir::ValueRange kept) {
  llvm::DenseMap<mlir::Value, mlir::Operation *> lastUse;
  for (mlir::Operation &op : block)
    for (mlir::Value operand : op.getOperands())
      if (operand.getParentBlock() == &block)
        lastUse[operand] = &op;
  for (mlir::Value value : kept)
    lastUse.erase(value);
  return lastUse;
}

Result<void> Run::runBlock(mlir::Block &block, mlir::ValueRange kept) {
  // A value is dropped where it is read last, so that no more than the live
  // activations are in memory.
  llvm::DenseMap<mlir::Value, mlir::Operation *> lastUse = lastUsesIn(block, kept);
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

} // namespace grok::interpreter
