// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Approximate functions, conversions and small integer instructions.
#include "compiler/targets/nvidia/emulator/CallBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include <optional>

namespace grok::compiler {

using namespace mlir;

static std::string callFunction(CallBuilder &calls, Operation *op, int64_t which) {
  Value x = op->getOperand(0);
  if (x.getType() != calls.f32)
    return "of this type is not emulated";
  op->getResult(0).replaceAllUsesWith(
      calls.call(GROK_EMULATOR(function), calls.f32, {x, calls.word(which)}, nullptr));
  return {};
}

template <int64_t which> static std::string function(CallBuilder &calls, Operation *op) {
  return callFunction(calls, op, which);
}

// "nvvm.ex2.approx.ftz.f" and the like: the function's name is what stands first.
static std::string intrinsic(CallBuilder &calls, Operation *op) {
  auto call = cast<LLVM::CallIntrinsicOp>(op);
  StringRef name = call.getIntrin();
  static const llvm::StringMap<int64_t> functions = {
      {"ex2", grokExp2},  {"lg2", grokLog2}, {"sin", grokSin},     {"cos", grokCos},
      {"tanh", grokTanh}, {"rcp", grokRcp},  {"rsqrt", grokRsqrt}, {"sqrt", grokSqrt}};
  if (!name.consume_front("llvm.nvvm."))
    return name.starts_with("llvm.") ? "" : "is not emulated";
  if (name.starts_with("mma."))
    return translateMmaOfFloat8(calls, op, name);
  const bool flushes = name.contains(".ftz");
  auto found = functions.find(name.split('.').first);
  if (found == functions.end() || !(name.contains(".approx") || name.contains(".rn")) ||
      op->getNumOperands() != 1)
    return "of " + call.getIntrin().str() + " is not emulated";
  return callFunction(calls, op, found->second | (flushes ? grokFlushSubnormals : 0));
}

// The constant `value` of `like`'s type, a 32-bit integer or a vector of them.
static Value splat(CallBuilder &calls, Type like, int32_t value) {
  if (auto vector = dyn_cast<VectorType>(like))
    return LLVM::ConstantOp::create(calls.ops, calls.location, like,
                                    DenseElementsAttr::get(vector, value));
  return calls.word(value);
}

static Type withElement(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return VectorType::get(vector.getShape(), element);
  return element;
}

// float32 to bfloat16 as cvt.rn does: to nearest even, every NaN becomes 0x7fff.
static Value roundToBf16(CallBuilder &calls, Value x) {
  OpBuilder &ops = calls.ops;
  Location at = calls.location;
  Type words = withElement(x.getType(), calls.i32);
  Value bits = LLVM::BitcastOp::create(ops, at, words, x);
  Value high = LLVM::LShrOp::create(ops, at, bits, splat(calls, words, 16));
  Value odd = LLVM::AndOp::create(ops, at, high, splat(calls, words, 1));
  Value sum = LLVM::AddOp::create(ops, at, bits, splat(calls, words, 0x7fff));
  sum = LLVM::AddOp::create(ops, at, sum, odd);
  Value rounded = LLVM::LShrOp::create(ops, at, sum, splat(calls, words, 16));
  Value isNan = LLVM::FCmpOp::create(ops, at, LLVM::FCmpPredicate::uno, x, x);
  rounded = LLVM::SelectOp::create(ops, at, isNan, splat(calls, words, 0x7fff), rounded);
  Value halves = LLVM::TruncOp::create(ops, at, withElement(words, calls.i16), rounded);
  return LLVM::BitcastOp::create(ops, at, withElement(words, ops.getBF16Type()), halves);
}

// The host has no instruction for bfloat16 and would call a function.
static std::string truncate(CallBuilder &calls, Operation *op) {
  Value from = op->getOperand(0), to = op->getResult(0);
  if (!getElementTypeOrSelf(to.getType()).isBF16())
    return {}; // stays
  if (!getElementTypeOrSelf(from.getType()).isF32())
    return "from another type than float32 to bfloat16 is not emulated";
  to.replaceAllUsesWith(roundToBf16(calls, from));
  return {};
}

static std::string convertToBf16(CallBuilder &calls, Operation *op) {
  auto convert = cast<NVVM::ConvertF32x2ToBF16x2Op>(op);
  if (convert.getRnd() != NVVM::FPRoundingMode::RN || convert.getRelu())
    return "with this rounding is not emulated";
  // The first operand goes to the upper half (PTX ISA, "cvt").
  Type pair = VectorType::get(2, calls.f32);
  Value both = LLVM::PoisonOp::create(calls.ops, calls.location, pair);
  both = LLVM::InsertElementOp::create(calls.ops, calls.location, both, convert.getSrcLo(),
                                       calls.word(0));
  both = LLVM::InsertElementOp::create(calls.ops, calls.location, both, convert.getSrcHi(),
                                       calls.word(1));
  op->getResult(0).replaceAllUsesWith(roundToBf16(calls, both));
  return {};
}

static std::string dot4(CallBuilder &calls, Operation *op) {
  auto dot = cast<NVVM::DotAccumulate4WayOp>(op);
  OpBuilder &ops = calls.ops;
  Value sum = dot.getC();
  auto extend = [&](Value vector, int64_t i, NVVM::DotAccumulateType type) -> Value {
    Value byte = LLVM::ExtractElementOp::create(ops, calls.location, vector, calls.word(i));
    if (type == NVVM::DotAccumulateType::SIGNED)
      return LLVM::SExtOp::create(ops, calls.location, calls.i32, byte);
    return LLVM::ZExtOp::create(ops, calls.location, calls.i32, byte);
  };
  for (int64_t i = 0; i < 4; ++i) {
    Value product = LLVM::MulOp::create(ops, calls.location, extend(dot.getA(), i, dot.getAType()),
                                        extend(dot.getB(), i, dot.getBType()));
    sum = LLVM::AddOp::create(ops, calls.location, sum, product);
  }
  op->getResult(0).replaceAllUsesWith(sum);
  return {};
}

static std::string permute(CallBuilder &calls, Operation *op) {
  auto permute = cast<NVVM::PermuteOp>(op);
  if (permute.getMode() != NVVM::PermuteMode::DEFAULT)
    return "of this mode is not emulated";
  op->getResult(0).replaceAllUsesWith(
      calls.call(GROK_EMULATOR(permute), calls.i32,
                 {permute.getLo(), permute.getHi(), permute.getSelector()}, nullptr));
  return {};
}

void addMathOps(OpTranslations &table) {
  table["nvvm.rcp.approx.ftz.f"] = function<grokRcp | grokFlushSubnormals>;
  table["llvm.call_intrinsic"] = intrinsic;
  table["llvm.intr.exp2"] = function<grokExp2>;
  table["llvm.intr.log2"] = function<grokLog2>;
  table["llvm.intr.exp"] = function<grokExp>;
  table["llvm.intr.log"] = function<grokLog>;
  table["llvm.intr.sin"] = function<grokSin>;
  table["llvm.intr.cos"] = function<grokCos>;
  table["llvm.intr.tanh"] = function<grokTanh>;
  table["llvm.fptrunc"] = truncate;
  table["nvvm.convert.f32x2.to.bf16x2"] = convertToBf16;
  table["nvvm.dot.accumulate.4way"] = dot4;
  table["nvvm.prmt"] = permute;
}

} // namespace grok::compiler
