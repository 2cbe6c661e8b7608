// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/VectorBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace grok::compiler {

using namespace mlir;

VectorBuilder::VectorBuilder(MLIRContext *context, bool hasFma)
    : ops(context), location(UnknownLoc::get(context)), hasFma(hasFma) {
  i8 = ops.getI8Type();
  i16 = ops.getI16Type();
  i32 = ops.getI32Type();
  i64 = ops.getI64Type();
  f32 = ops.getF32Type();
  pointer = LLVM::LLVMPointerType::get(context);
  floats = vectorOf(f32, lanes);
  words = vectorOf(i32, lanes);
}

VectorType VectorBuilder::vectorOf(Type element, int64_t count) const {
  return VectorType::get({count}, element);
}

// ---- constants

Value VectorBuilder::index(int64_t value) {
  return arith::ConstantIntOp::create(ops, location, i64, value);
}
Value VectorBuilder::bit(bool value) {
  return arith::ConstantIntOp::create(ops, location, ops.getI1Type(), value);
}
Value VectorBuilder::word(int32_t value) {
  return arith::ConstantIntOp::create(ops, location, i32, value);
}
Value VectorBuilder::number(float value) {
  return arith::ConstantOp::create(ops, location, ops.getF32FloatAttr(value));
}
Value VectorBuilder::splat(float value) {
  return arith::ConstantOp::create(ops, location, DenseElementsAttr::get(floats, value));
}
Value VectorBuilder::splat(int32_t value) {
  return arith::ConstantOp::create(ops, location, DenseElementsAttr::get(words, value));
}

Value VectorBuilder::constantLike(Value like, double value) {
  Type element = getElementTypeOrSelf(like.getType());
  TypedAttr scalar = isa<FloatType>(element)
                         ? TypedAttr(ops.getFloatAttr(element, value))
                         : TypedAttr(ops.getIntegerAttr(element, static_cast<int64_t>(value)));
  if (auto type = dyn_cast<VectorType>(like.getType()))
    return arith::ConstantOp::create(ops, location,
                                     DenseElementsAttr::get(type, ArrayRef<Attribute>(scalar)));
  return arith::ConstantOp::create(ops, location, scalar);
}

// ---- arithmetic

static bool isFloat(Value a) { return isa<FloatType>(getElementTypeOrSelf(a.getType())); }

Value VectorBuilder::add(Value a, Value b) {
  if (isFloat(a))
    return arith::AddFOp::create(ops, location, a, b);
  return arith::AddIOp::create(ops, location, a, b);
}
Value VectorBuilder::add(Value a, int64_t b) { return b == 0 ? a : add(a, index(b)); }
Value VectorBuilder::sub(Value a, Value b) {
  if (isFloat(a))
    return arith::SubFOp::create(ops, location, a, b);
  return arith::SubIOp::create(ops, location, a, b);
}
Value VectorBuilder::mul(Value a, Value b) {
  if (isFloat(a))
    return arith::MulFOp::create(ops, location, a, b);
  return arith::MulIOp::create(ops, location, a, b);
}
Value VectorBuilder::mul(Value a, int64_t b) { return b == 1 ? a : mul(a, index(b)); }
Value VectorBuilder::div(Value a, Value b) { return arith::DivFOp::create(ops, location, a, b); }
Value VectorBuilder::quotient(Value a, int64_t b) {
  return b == 1 ? a : Value(arith::DivUIOp::create(ops, location, a, index(b)));
}
Value VectorBuilder::remainder(Value a, int64_t b) {
  return arith::RemUIOp::create(ops, location, a, index(b));
}
Value VectorBuilder::multiplyAdd(Value a, Value b, Value c) {
  // vector.fma would become llvm.fmuladd, which LLVM may split again.
  if (hasFma)
    return LLVM::FMAOp::create(ops, location, a.getType(), a, b, c);
  return add(mul(a, b), c);
}
Value VectorBuilder::negate(Value a) { return arith::NegFOp::create(ops, location, a); }
Value VectorBuilder::sqrt(Value a) { return LLVM::SqrtOp::create(ops, location, a.getType(), a); }
Value VectorBuilder::roundToEven(Value a) {
  return LLVM::RoundEvenOp::create(ops, location, a.getType(), a);
}
Value VectorBuilder::minimum(Value a, Value b) {
  return arith::MinSIOp::create(ops, location, a, b);
}
Value VectorBuilder::maximum(Value a, Value b) { return select(less(b, a), a, b); }
Value VectorBuilder::bitAnd(Value a, Value b) { return arith::AndIOp::create(ops, location, a, b); }
Value VectorBuilder::bitOr(Value a, Value b) { return arith::OrIOp::create(ops, location, a, b); }
Value VectorBuilder::bitXor(Value a, Value b) { return arith::XOrIOp::create(ops, location, a, b); }
Value VectorBuilder::shiftLeft(Value a, int32_t bits) {
  return arith::ShLIOp::create(ops, location, a, constantLike(a, bits));
}
Value VectorBuilder::shiftRight(Value a, int32_t bits) {
  return arith::ShRUIOp::create(ops, location, a, constantLike(a, bits));
}
Value VectorBuilder::shiftRightSigned(Value a, int32_t bits) {
  return arith::ShRSIOp::create(ops, location, a, constantLike(a, bits));
}
Value VectorBuilder::absolute(Value a) {
  return LLVM::AbsOp::create(ops, location, a.getType(), a, /*is_int_min_poison=*/false);
}

// ---- instructions

Value VectorBuilder::intrinsic(StringRef name, Type result, ValueRange arguments) {
  auto call = LLVM::CallIntrinsicOp::create(ops, location, result,
                                            ops.getStringAttr("llvm." + name), arguments);
  return call.getResult(0);
}
void VectorBuilder::intrinsic(StringRef name, ValueRange arguments) {
  LLVM::CallIntrinsicOp::create(ops, location, ops.getStringAttr("llvm." + name), arguments);
}

// ---- comparison

Value VectorBuilder::less(Value a, Value b) {
  if (isFloat(a))
    return arith::CmpFOp::create(ops, location, arith::CmpFPredicate::OLT, a, b);
  return arith::CmpIOp::create(ops, location, arith::CmpIPredicate::slt, a, b);
}
Value VectorBuilder::equal(Value a, Value b) {
  if (isFloat(a))
    return arith::CmpFOp::create(ops, location, arith::CmpFPredicate::OEQ, a, b);
  return arith::CmpIOp::create(ops, location, arith::CmpIPredicate::eq, a, b);
}
Value VectorBuilder::isNan(Value a) {
  return arith::CmpFOp::create(ops, location, arith::CmpFPredicate::UNO, a, a);
}
Value VectorBuilder::both(Value a, Value b) { return bitAnd(a, b); }
Value VectorBuilder::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(ops, location, condition, a, b);
}

// ---- conversion

// `scalar`, or a vector of it as long as `like`.
static Type shapedLike(Value like, Type scalar) {
  if (auto type = dyn_cast<VectorType>(like.getType()))
    return VectorType::get(type.getShape(), scalar);
  return scalar;
}

Value VectorBuilder::widen(Value a, Type to) {
  return arith::ExtSIOp::create(ops, location, shapedLike(a, to), a);
}
Value VectorBuilder::widenUnsigned(Value a, Type to) {
  return arith::ExtUIOp::create(ops, location, shapedLike(a, to), a);
}
Value VectorBuilder::narrow(Value a, Type to) {
  return arith::TruncIOp::create(ops, location, shapedLike(a, to), a);
}
Value VectorBuilder::toFloat(Value a) {
  return arith::SIToFPOp::create(ops, location, shapedLike(a, f32), a);
}
Value VectorBuilder::toInteger(Value a) {
  return arith::FPToSIOp::create(ops, location, shapedLike(a, i32), a);
}
Value VectorBuilder::bitsOf(Value a) {
  return arith::BitcastOp::create(ops, location, shapedLike(a, i32), a);
}
Value VectorBuilder::fromBits(Value a) {
  return arith::BitcastOp::create(ops, location, shapedLike(a, f32), a);
}

// ---- lanes

Value VectorBuilder::broadcast(Value scalar, int64_t count) {
  return vector::BroadcastOp::create(ops, location, vectorOf(scalar.getType(), count), scalar);
}
Value VectorBuilder::extract(Value vector, int64_t lane) {
  return vector::ExtractOp::create(ops, location, vector, lane);
}
Value VectorBuilder::laneNumbers() {
  SmallVector<int32_t, lanes> numbers;
  for (int32_t lane = 0; lane < lanes; ++lane)
    numbers.push_back(lane);
  return arith::ConstantOp::create(ops, location,
                                   DenseElementsAttr::get(words, ArrayRef<int32_t>(numbers)));
}
Value VectorBuilder::shuffle(Value a, Value b, ArrayRef<int64_t> mask) {
  return vector::ShuffleOp::create(ops, location, a, b, mask);
}
Value VectorBuilder::bitCast(Value vector, VectorType to) {
  return vector::BitCastOp::create(ops, location, to, vector);
}
Value VectorBuilder::part(Value vector, int64_t number, int64_t count) {
  const int64_t length = cast<VectorType>(vector.getType()).getNumElements() / count;
  SmallVector<int64_t, 64> mask;
  for (int64_t lane = 0; lane < length; ++lane)
    mask.push_back(number * length + lane);
  return count == 1 ? vector : shuffle(vector, vector, mask);
}
Value VectorBuilder::joined(ValueRange parts) {
  if (parts.size() == 1)
    return parts[0];
  const size_t half = parts.size() / 2;
  Value low = joined(parts.take_front(half)), high = joined(parts.drop_front(half));
  SmallVector<int64_t, 64> mask;
  for (int64_t lane = 0; lane < 2 * cast<VectorType>(low.getType()).getNumElements(); ++lane)
    mask.push_back(lane);
  return shuffle(low, high, mask);
}

// ---- memory

Value VectorBuilder::offset(Value base, Value bytes) {
  return LLVM::GEPOp::create(ops, location, base.getType(), i8, base,
                             ArrayRef<LLVM::GEPArg>{bytes});
}
Value VectorBuilder::offset(Value base, int64_t bytes) {
  if (bytes == 0)
    return base;
  if (bytes != static_cast<int32_t>(bytes)) // the immediate form has 32 bits
    return offset(base, index(bytes));
  return LLVM::GEPOp::create(ops, location, base.getType(), i8, base,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

// Vectors need no more than the alignment of their elements, unless promised.
static unsigned elementAlignment(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isIntOrFloat() ? element.getIntOrFloatBitWidth() / 8 : 8;
}

Value VectorBuilder::load(Type type, Value address, int64_t alignment) {
  unsigned bytes = alignment ? alignment : elementAlignment(type);
  return LLVM::LoadOp::create(ops, location, type, address, bytes);
}
void VectorBuilder::store(Value value, Value address, int64_t alignment) {
  unsigned bytes = alignment ? alignment : elementAlignment(value.getType());
  LLVM::StoreOp::create(ops, location, value, address, bytes);
}
Value VectorBuilder::loadIndex(Value address) { return widen(load(i32, address), i64); }
Value VectorBuilder::entry(Value array, Value row) { return loadIndex(rowAddress(array, row, 4)); }
Value VectorBuilder::rowAddress(Value base, Value row, int64_t stride) {
  return offset(base, mul(row, stride));
}
void VectorBuilder::prefetch(Value address) {
  constexpr int32_t forRead = 0, keepInAllLevels = 3, data = 1;
  LLVM::Prefetch::create(ops, location, address, forRead, keepInAllLevels, data);
}

// ---- control

void VectorBuilder::loop(Value lower, Value upper, int64_t step,
                         llvm::function_ref<void(Value)> body) {
  loop(lower, upper, step, {}, [&](Value iteration, ValueRange) {
    body(iteration);
    return Values();
  });
}

Values VectorBuilder::loop(Value lower, Value upper, int64_t step, ValueRange initial,
                           llvm::function_ref<Values(Value, ValueRange)> body) {
  return loop(lower, upper, index(step), initial, body);
}

Values VectorBuilder::loop(Value lower, Value upper, Value step, ValueRange initial,
                           llvm::function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(ops, location, lower, upper, step, initial);
  OpBuilder::InsertionGuard guard(ops);
  Block *block = loop.getBody();
  if (initial.empty()) // scf.for adds the terminator of a loop without results
    block->getTerminator()->erase();
  ops.setInsertionPointToEnd(block);
  Values results = body(loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(ops, location, results);
  return Values(loop.getResults());
}

void VectorBuilder::when(Value condition, llvm::function_ref<void()> then,
                         llvm::function_ref<void()> otherwise) {
  auto branch = scf::IfOp::create(ops, location, condition, /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(ops);
  ops.setInsertionPointToStart(branch.thenBlock());
  then();
  if (!otherwise)
    return;
  ops.setInsertionPointToStart(branch.elseBlock());
  otherwise();
}

} // namespace grok::compiler
