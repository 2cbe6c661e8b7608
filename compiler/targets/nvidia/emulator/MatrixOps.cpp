// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// mma.sync, ldmatrix, stmatrix and wgmma.
#include "compiler/targets/nvidia/emulator/CallBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include <optional>

namespace grok::compiler {

using namespace mlir;

static std::optional<uint8_t> elementOf(NVVM::MMATypes type) {
  switch (type) {
  case NVVM::MMATypes::s8:
    return grokS8;
  case NVVM::MMATypes::u8:
    return grokU8;
  case NVVM::MMATypes::f16:
    return grokF16;
  case NVVM::MMATypes::bf16:
    return grokBf16;
  case NVVM::MMATypes::tf32:
    return grokTf32;
  case NVVM::MMATypes::e4m3:
    return grokE4m3;
  case NVVM::MMATypes::e5m2:
    return grokE5m2;
  default:
    return std::nullopt;
  }
}

template <typename Struct> static StringRef bytesOf(const Struct &value) {
  return StringRef(reinterpret_cast<const char *>(&value), sizeof value);
}

static std::string multiply(CallBuilder &calls, Operation *op, const GrokEmulatorMma &what) {
  Value in = calls.inputs(op->getOperands());
  Value out = calls.outputs(4);
  calls.call(GROK_EMULATOR(mma), {}, {calls.constantBytes(bytesOf(what)), in, out}, op);
  op->getResult(0).replaceAllUsesWith(
      LLVM::LoadOp::create(calls.ops, calls.location, op->getResult(0).getType(), out, 4));
  return {};
}

static std::string mma(CallBuilder &calls, Operation *op) {
  auto mma = cast<NVVM::MmaOp>(op);
  auto typeOf = [&](std::optional<NVVM::MMATypes> given, Value operand) {
    if (!given)
      given = NVVM::MmaOp::inferOperandMMAType(operand.getType(), /*isAccumulator=*/false);
    return given ? elementOf(*given) : std::nullopt;
  };
  auto a = typeOf(mma.getMultiplicandAPtxType(), mma.getOperandA()[0]);
  auto b = typeOf(mma.getMultiplicandBPtxType(), mma.getOperandB()[0]);
  NVVM::MMAShapeAttr shape = mma.getShape();
  const size_t words = mma.getOperandA().size();
  if (!a || !b || shape.getM() != 16 || shape.getN() != 8 || (words != 2 && words != 4) ||
      mma.getOperandB().size() != words / 2 || mma.getOperandC().size() != 4)
    return "of this shape or these types is not emulated";
  const bool saturates =
      *a <= grokU8 && mma.getIntOverflowBehavior().value_or(NVVM::MMAIntOverflow::satfinite) ==
                          NVVM::MMAIntOverflow::satfinite;
  return multiply(calls, op, {*a, *b, static_cast<uint8_t>(shape.getK()), saturates});
}

std::string translateMmaOfFloat8(CallBuilder &calls, Operation *op, StringRef form) {
  auto consumeElement = [&]() -> std::optional<uint8_t> {
    if (form.consume_front("e4m3."))
      return grokE4m3;
    return form.consume_front("e5m2.") ? std::optional<uint8_t>(grokE5m2) : std::nullopt;
  };
  const bool isShape = form.consume_front("mma.m16n8k32.row.col.f32.");
  auto a = consumeElement(), b = consumeElement();
  if (!isShape || !a || !b || form != "f32" || op->getNumOperands() != 10)
    return "of this shape or these types is not emulated";
  return multiply(calls, op, {*a, *b, 32, false});
}

static bool isPlainMatrix(NVVM::LdStMatrixShapeAttr shape, NVVM::LdStMatrixEltType element) {
  return shape.getM() == 8 && shape.getN() == 8 && element == NVVM::LdStMatrixEltType::B16;
}

static std::string loadMatrix(CallBuilder &calls, Operation *op) {
  auto load = cast<NVVM::LdMatrixOp>(op);
  if (!isPlainMatrix(load.getShape(), load.getEltType()))
    return "of this shape is not emulated";
  Value out = calls.outputs(load.getNum());
  calls.call(GROK_EMULATOR(loadMatrix), {},
             {calls.asPointer(load.getPtr()), calls.word(load.getNum()),
              calls.word(load.getLayout() == NVVM::MMALayout::col), out},
             op);
  op->getResult(0).replaceAllUsesWith(
      LLVM::LoadOp::create(calls.ops, calls.location, op->getResult(0).getType(), out, 4));
  return {};
}

static std::string storeMatrix(CallBuilder &calls, Operation *op) {
  auto store = cast<NVVM::StMatrixOp>(op);
  if (!isPlainMatrix(store.getShape(), store.getEltType()))
    return "of this shape is not emulated";
  Value in = calls.inputs(store.getSources());
  calls.call(GROK_EMULATOR(storeMatrix), {},
             {calls.asPointer(store.getPtr()),
              calls.word(static_cast<int64_t>(store.getSources().size())),
              calls.word(store.getLayout() == NVVM::MMALayout::col), in},
             op);
  return {};
}

static std::optional<uint8_t> elementOf(NVVM::WGMMATypes type) {
  switch (type) {
  case NVVM::WGMMATypes::s8:
    return grokS8;
  case NVVM::WGMMATypes::u8:
    return grokU8;
  case NVVM::WGMMATypes::f16:
    return grokF16;
  case NVVM::WGMMATypes::bf16:
    return grokBf16;
  case NVVM::WGMMATypes::tf32:
    return grokTf32;
  case NVVM::WGMMATypes::e4m3:
    return grokE4m3;
  case NVVM::WGMMATypes::e5m2:
    return grokE5m2;
  default:
    return std::nullopt;
  }
}

static std::string wgmma(CallBuilder &calls, Operation *op) {
  auto wgmma = cast<NVVM::WgmmaMmaAsyncOp>(op);
  auto a = elementOf(wgmma.getTypeA()), b = elementOf(wgmma.getTypeB());
  const bool isFull =
      wgmma.getTypeD() == NVVM::WGMMATypes::f32 || wgmma.getTypeD() == NVVM::WGMMATypes::s32;
  if (!a || !b || !isFull || wgmma.getSatfinite() == NVVM::MMAIntOverflow::satfinite)
    return "of these types is not emulated";
  uint32_t flags = 0;
  if (wgmma.getScaleA() == NVVM::WGMMAScaleIn::neg)
    flags |= grokWgmmaNegateA;
  if (wgmma.getScaleB() == NVVM::WGMMAScaleIn::neg)
    flags |= grokWgmmaNegateB;
  // K-major is row for A and column for B.
  if (wgmma.getLayoutA() == NVVM::MMALayout::col)
    flags |= grokWgmmaTransposeA;
  if (wgmma.getLayoutB() == NVVM::MMALayout::row)
    flags |= grokWgmmaTransposeB;
  if (wgmma.getScaleD() == NVVM::WGMMAScaleOut::one)
    flags |= grokWgmmaAccumulate;
  const auto n = static_cast<uint16_t>(wgmma.getShape().getN());
  GrokEmulatorWgmma what = {*a, *b, n, flags};
  Value in = calls.inputs(wgmma.getInouts());
  Value out = calls.outputs(n / 2);
  calls.call(
      GROK_EMULATOR(wgmma), {},
      {calls.constantBytes(bytesOf(what)), wgmma.getDescriptorA(), wgmma.getDescriptorB(), in, out},
      op);
  op->getResult(0).replaceAllUsesWith(
      LLVM::LoadOp::create(calls.ops, calls.location, op->getResult(0).getType(), out, 4));
  return {};
}

static std::string wgmmaFence(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(wgmmaFence), {}, {}, op);
  return {};
}

static std::string wgmmaCommit(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(wgmmaCommit), {}, {}, op);
  return {};
}

static std::string wgmmaWait(CallBuilder &calls, Operation *op) {
  const auto pending = static_cast<int64_t>(cast<NVVM::WgmmaWaitGroupSyncOp>(op).getGroup());
  calls.call(GROK_EMULATOR(wgmmaWait), {}, {calls.word(pending)}, op);
  return {};
}

void addMatrixOps(OpTranslations &table) {
  table["nvvm.mma.sync"] = mma;
  table["nvvm.ldmatrix"] = loadMatrix;
  table["nvvm.stmatrix"] = storeMatrix;
  table["nvvm.wgmma.mma_async"] = wgmma;
  table["nvvm.wgmma.fence.aligned"] = wgmmaFence;
  table["nvvm.wgmma.commit.group.sync.aligned"] = wgmmaCommit;
  table["nvvm.wgmma.wait.group.sync.aligned"] = wgmmaWait;
}

} // namespace grok::compiler
