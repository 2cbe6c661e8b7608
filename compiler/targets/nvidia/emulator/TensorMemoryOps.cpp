// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// tcgen05: products of bytes by one block's tensor core, and its memory.
#include "compiler/targets/nvidia/emulator/CallBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace grok::compiler {

using namespace mlir;

static const char *const ofPair = "of a pair of blocks is not emulated";

template <typename Op> static bool isOfPair(Op op) {
  return op.getGroup() != NVVM::CTAGroupKind::CTA_1;
}

// Lane and column, 32 bits.
static Value addressOf(CallBuilder &calls, Value pointer) {
  return LLVM::PtrToIntOp::create(calls.ops, calls.location, calls.i32, pointer);
}

static std::string allocate(CallBuilder &calls, Operation *op) {
  auto alloc = cast<NVVM::Tcgen05AllocOp>(op);
  if (isOfPair(alloc))
    return ofPair;
  calls.call(GROK_EMULATOR(tmemAllocate), {}, {calls.asPointer(alloc.getAddr()), alloc.getNCols()},
             op);
  return {};
}

static std::string deallocate(CallBuilder &calls, Operation *op) {
  auto dealloc = cast<NVVM::Tcgen05DeallocOp>(op);
  if (isOfPair(dealloc))
    return ofPair;
  calls.call(GROK_EMULATOR(tmemDeallocate), {},
             {addressOf(calls, dealloc.getTaddr()), dealloc.getNCols()}, op);
  return {};
}

static std::string relinquish(CallBuilder &calls, Operation *op) {
  if (isOfPair(cast<NVVM::Tcgen05RelinquishAllocPermitOp>(op)))
    return ofPair;
  calls.call(GROK_EMULATOR(tmemRelinquish), {}, {}, op);
  return {};
}

static std::string multiply(CallBuilder &calls, Operation *op) {
  auto mma = cast<NVVM::Tcgen05MMAOp>(op);
  if (mma.getCtaGroup() != NVVM::CTAGroupKind::CTA_1)
    return ofPair;
  if (mma.getKind() != NVVM::Tcgen05MMAKind::I8 || mma.getMatrixA().getType() != calls.i64 ||
      mma.getAShift() || mma.getScaleInputD() || mma.getDisableOutputLane())
    return "other than of bytes in shared memory, all lanes, is not emulated";
  calls.call(GROK_EMULATOR(tmemMultiply), {},
             {addressOf(calls, mma.getMatrixD()), mma.getMatrixA(), mma.getMatrixB(),
              mma.getIdesc(), calls.asWord(mma.getEnableInputD())},
             op);
  return {};
}

static std::string commit(CallBuilder &calls, Operation *op) {
  auto commit = cast<NVVM::Tcgen05CommitOp>(op);
  if (isOfPair(commit) || commit.getMulticastMask())
    return ofPair;
  calls.call(GROK_EMULATOR(tmemCommit), {}, {calls.asPointer(commit.getAddr())}, op);
  return {};
}

// The registers are what the emulator gives for each when it is taken out of the vector:
// before the wait, an error.
static std::string load(CallBuilder &calls, Operation *op) {
  auto load = cast<NVVM::Tcgen05LdOp>(op);
  auto type = dyn_cast<VectorType>(load.getType());
  if (!type || load.getPack() || load.getShape() != NVVM::Tcgen05LdStShape::SHAPE_32X32B)
    return "other than 32x32b of several columns is not emulated";
  Value token =
      calls.call(GROK_EMULATOR(tmemLoad), calls.i32,
                 {addressOf(calls, load.getTmemAddr()), calls.word(type.getNumElements())}, op);
  for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
    auto extract = dyn_cast<LLVM::ExtractElementOp>(user);
    if (!extract)
      return ("whose vector goes to '" + user->getName().getStringRef() + "' is not emulated")
          .str();
    calls.moveTo(extract);
    Value index = extract.getPosition();
    if (index.getType() == calls.i64)
      index = LLVM::TruncOp::create(calls.ops, calls.location, calls.i32, index);
    Value word =
        calls.call(GROK_EMULATOR(tmemLoaded), calls.i32, {token, calls.asWord(index)}, extract);
    extract.getResult().replaceAllUsesWith(word);
  }
  calls.moveTo(op);
  op->getResult(0).replaceAllUsesWith(
      LLVM::PoisonOp::create(calls.ops, calls.location, load.getType()));
  return {};
}

static std::string store(CallBuilder &calls, Operation *op) {
  auto store = cast<NVVM::Tcgen05StOp>(op);
  auto type = dyn_cast<VectorType>(store.getVal().getType());
  if (!type || store.getUnpack() || store.getShape() != NVVM::Tcgen05LdStShape::SHAPE_32X32B)
    return "other than 32x32b of several columns is not emulated";
  SmallVector<Value> words;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    words.push_back(
        LLVM::ExtractElementOp::create(calls.ops, calls.location, store.getVal(), calls.word(i)));
  Value address = addressOf(calls, store.getTmemAddr());
  calls.call(GROK_EMULATOR(tmemStore), {},
             {address, calls.word(type.getNumElements()), calls.inputs(words)}, op);
  return {};
}

static std::string wait(CallBuilder &calls, Operation *op) {
  const bool isStore = cast<NVVM::Tcgen05WaitOp>(op).getKind() == NVVM::Tcgen05WaitKind::STORE;
  calls.call(GROK_EMULATOR(tmemWait), {}, {calls.word(isStore)}, op);
  return {};
}

static std::string fence(CallBuilder &calls, Operation *op) {
  const bool isAfter =
      cast<NVVM::Tcgen05FenceOp>(op).getKind() == NVVM::Tcgen05FenceKind::AFTER_THREAD_SYNC;
  calls.call(GROK_EMULATOR(tmemFence), {}, {calls.word(isAfter)}, op);
  return {};
}

void addTensorMemoryOps(OpTranslations &table) {
  table["nvvm.tcgen05.alloc"] = allocate;
  table["nvvm.tcgen05.dealloc"] = deallocate;
  table["nvvm.tcgen05.relinquish_alloc_permit"] = relinquish;
  table["nvvm.tcgen05.mma"] = multiply;
  table["nvvm.tcgen05.commit"] = commit;
  table["nvvm.tcgen05.ld"] = load;
  table["nvvm.tcgen05.st"] = store;
  table["nvvm.tcgen05.wait"] = wait;
  table["nvvm.tcgen05.fence"] = fence;
}

} // namespace grok::compiler
