// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rounds the inputs of matrix products to 8 or 15 bits where integer kernels exist.
#include "passes/quantization/Passes.h"

#include "dialects/plan/QuantizedRow.h"
#include "dialects/plan/SumOrder.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_QUANTIZEACTIVATIONS
#include "passes/quantization/Passes.h.inc"
} // namespace grok

/// Inputs that one instruction of an integer dot product takes of a column.
static constexpr int64_t adjacentInputs = 4;

namespace {

/// The operand of a product that can be rounded, and the weights it meets.
struct Product {
  OpOperand *x = nullptr; // null: no product
  SmallVector<Value, 3> weights;
};

struct QuantizeActivations : grok::impl::QuantizeActivationsBase<QuantizeActivations> {
  using QuantizeActivationsBase::QuantizeActivationsBase;

  void runOnOperation() override;

private:
  void splitNorm(FusedQKVOp op);
  void quantize(Operation *op, OpOperand &x, int64_t unit);

  llvm::DenseMap<std::pair<Value, int64_t>, Value> quantized; // by input and unit
};

} // namespace

static Product productOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Product>(op)
      .Case([](FusedQKVOp qkv) {
        return Product{&qkv.getXMutable(), {qkv.getQuery(), qkv.getKey(), qkv.getValue()}};
      })
      .Case([](LinearOp linear) { return Product{&linear.getXMutable(), {linear.getWeight()}}; })
      .Case([](FusedGateUpOp gateUp) {
        return Product{&gateUp.getXMutable(), {gateUp.getGate(), gateUp.getUp()}};
      })
      .Case([](FusedDownCombineOp down) { return Product{&down.getXMutable(), {down.getDown()}}; })
      .Case([](ExpertMatmulOp matmul) {
        return Product{&matmul.getXMutable(), {matmul.getWeight()}};
      })
      .Case([](UnembedOp unembed) { return Product{&unembed.getXMutable(), {unembed.getTable()}}; })
      .Default([](Operation *) { return Product{}; });
}

/// Row groups of a quantised weight over the `inputs` of its contraction; 0 for
/// floats, and for experts that differ in them.
static int64_t countRowGroups(RankedTensorType weight, int64_t inputs) {
  Attribute encoding = weight.getEncoding();
  if (auto format = dyn_cast_or_null<FormatAttr>(encoding))
    return inputs / format.getGroupRows();
  auto experts = dyn_cast_or_null<ExpertFormatsAttr>(encoding);
  if (!experts || !llvm::all_equal(llvm::map_range(experts.getFormats(), [](FormatAttr format) {
        return format.getGroupRows();
      })))
    return 0;
  return inputs / experts.getFormats().front().getGroupRows();
}

/// The type of the whole weight, of which a rank may hold a part.
static RankedTensorType storedTypeOf(Value weight) {
  if (auto op = weight.getDefiningOp<grok::WeightOp>(); op && op.getFullAttr())
    return cast<RankedTensorType>(op.getFullAttr().getValue());
  return cast<RankedTensorType>(weight.getType());
}

/// Inputs of the whole product where a rank has `inputs` of them: the table is
/// never cut along them, all else stands as [.., inputs, columns].
static int64_t fullInputsOf(RankedTensorType stored, int64_t inputs) {
  auto format = dyn_cast_or_null<FormatAttr>(stored.getEncoding());
  bool isTable = format && format.getAlongLast();
  return isTable ? inputs : stored.getShape()[stored.getRank() - 2];
}

/// The length of the exact sums of a product, and so of its input's groups; 0
/// where it has to stay in floats.
static int64_t findUnit(const Product &product) {
  auto x = cast<RankedTensorType>(product.x->get().getType());
  if (!x.getElementType().isF32() || x.getEncoding())
    return 0;
  int64_t inputs = x.getShape().back(), unit = 0;
  for (Value weight : product.weights) {
    int64_t groups = countRowGroups(cast<RankedTensorType>(weight.getType()), inputs);
    if (groups == 0 || inputs % adjacentInputs != 0)
      return 0;
    RankedTensorType stored = storedTypeOf(weight);
    int64_t fullInputs = fullInputsOf(stored, inputs);
    int64_t fullGroups = countRowGroups(stored, fullInputs);
    int64_t own = plan::choosePartSumOrder(fullInputs, std::max<int64_t>(fullGroups, 1), inputs,
                                           groups, plan::longestIntegerUnit)
                      .unit;
    if (own % adjacentInputs != 0 || (unit != 0 && own != unit))
      return 0;
    unit = own;
  }
  return unit;
}

/// What is rounded is the norm's result: the norm becomes an op of its own.
void QuantizeActivations::splitNorm(FusedQKVOp op) {
  OpBuilder builder(op);
  Value x = op.getX();
  Value normed =
      RMSNormOp::create(builder, op.getLoc(), x.getType(), x, op.getNorm(), op.getEpsAttr());
  op.getXMutable().assign(normed);
  op.getNormMutable().clear();
  ++numNorms;
}

void QuantizeActivations::quantize(Operation *op, OpOperand &x, int64_t unit) {
  Value &rounded = quantized[{x.get(), unit}];
  if (!rounded) {
    OpBuilder builder(op);
    auto type = cast<RankedTensorType>(x.get().getType());
    auto format =
        FormatAttr::get(op->getContext(), bits, unit, builder.getF32Type(),
                        /*multiplierRows=*/0, /*zeroPoint=*/0, StringAttr(), /*alongLast=*/true);
    auto result = RankedTensorType::get(type.getShape(), type.getElementType(), format);
    rounded = QuantizeOp::create(builder, op->getLoc(), result, x.get());
    ++numQuantized;
  }
  x.set(rounded);
  ++numProducts;
}

void QuantizeActivations::runOnOperation() {
  ModuleOp module = getOperation();
  auto numerics = module->getAttrOfType<StringAttr>("grok.numerics");
  if (!numerics || numerics != "fast")
    return;
  if (plan::QuantizedRow::digitsOf(bits) == 0) {
    module.emitError("expects option bits to be 8 or 15, got ") << int64_t(bits);
    return signalPassFailure();
  }
  quantized.clear();
  // In the order of the block, so that what is rounded for one product is
  // there for the next.
  SmallVector<std::pair<Operation *, int64_t>> products;
  module.walk([&](Operation *op) {
    if (Product product = productOf(op); product.x)
      if (int64_t unit = findUnit(product))
        products.push_back({op, unit});
  });
  for (auto [op, unit] : products) {
    if (auto qkv = dyn_cast<FusedQKVOp>(op); qkv && qkv.getNorm())
      splitNorm(qkv);
    quantize(op, *productOf(op).x, unit);
  }
}
