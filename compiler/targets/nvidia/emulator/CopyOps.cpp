// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Asynchronous copies, the mbarriers that they complete on, and fences.
#include "compiler/targets/nvidia/emulator/CallBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace grok::compiler {

using namespace mlir;

// A predicated operation passes null in place of its main address to do nothing.
static Value addressIf(CallBuilder &calls, Value predicate, Value address) {
  address = calls.asPointer(address);
  if (!predicate)
    return address;
  Value null = LLVM::ZeroOp::create(calls.ops, calls.location, calls.pointer);
  return LLVM::SelectOp::create(calls.ops, calls.location, predicate, address, null);
}

static std::string copyAsync(CallBuilder &calls, Operation *op) {
  auto copy = cast<NVVM::CpAsyncOp>(op);
  Value bytes = calls.word(copy.getSize());
  calls.call(GROK_EMULATOR(copyAsync), {},
             {calls.asPointer(copy.getDst()), calls.asPointer(copy.getSrc()), bytes,
              copy.getCpSize() ? copy.getCpSize() : bytes},
             op);
  return {};
}

static std::string copyCommit(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(copyCommit), {}, {}, op);
  return {};
}

static std::string copyWait(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(copyWait), {}, {calls.word(cast<NVVM::CpAsyncWaitGroupOp>(op).getN())},
             op);
  return {};
}

static std::string copyArrive(CallBuilder &calls, Operation *op) {
  auto arrive = cast<NVVM::CpAsyncMBarrierArriveOp>(op);
  calls.call(GROK_EMULATOR(copyArrive), {},
             {calls.asPointer(arrive.getAddr()), calls.word(arrive.getNoinc())}, op);
  return {};
}

// ---- mbarrier

static std::string mbarrierInit(CallBuilder &calls, Operation *op) {
  auto init = cast<NVVM::MBarrierInitOp>(op);
  calls.call(GROK_EMULATOR(mbarrierInit), {},
             {addressIf(calls, init.getPredicate(), init.getAddr()), init.getCount()}, op);
  return {};
}

static std::string mbarrierInvalidate(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(mbarrierInvalidate), {}, {calls.asPointer(op->getOperand(0))}, op);
  return {};
}

static void arrive(CallBuilder &calls, Operation *op, Value address, Value count,
                   Value transactions, bool drops) {
  Value phase = calls.call(GROK_EMULATOR(mbarrierArrive), calls.i64,
                           {address, count ? count : calls.word(1),
                            transactions ? transactions : calls.word(0), calls.word(drops)},
                           op);
  if (op->getNumResults())
    op->getResult(0).replaceAllUsesWith(phase);
}

template <typename Arrive, bool drops>
static std::string mbarrierArrive(CallBuilder &calls, Operation *op) {
  auto made = cast<Arrive>(op);
  arrive(calls, op, calls.asPointer(made.getAddr()), made.getCount(), {}, drops);
  return {};
}

static std::string mbarrierArriveExpect(CallBuilder &calls, Operation *op) {
  auto expect = cast<NVVM::MBarrierArriveExpectTxOp>(op);
  arrive(calls, op, addressIf(calls, expect.getPredicate(), expect.getAddr()), {},
         expect.getTxcount(), false);
  return {};
}

static void transactions(CallBuilder &calls, Operation *op, Value address, Value bytes,
                         bool complete) {
  Value count = LLVM::ZExtOp::create(calls.ops, calls.location, calls.i64, bytes);
  if (complete)
    count = LLVM::SubOp::create(calls.ops, calls.location, calls.wide(0), count);
  calls.call(GROK_EMULATOR(mbarrierTransactions), {}, {calls.asPointer(address), count}, op);
}

static std::string mbarrierExpect(CallBuilder &calls, Operation *op) {
  auto expect = cast<NVVM::MBarrierExpectTxOp>(op);
  transactions(calls, op, expect.getAddr(), expect.getTxcount(), false);
  return {};
}

static std::string mbarrierComplete(CallBuilder &calls, Operation *op) {
  auto complete = cast<NVVM::MBarrierCompleteTxOp>(op);
  transactions(calls, op, complete.getAddr(), complete.getTxcount(), true);
  return {};
}

template <typename Wait> static std::string mbarrierTest(CallBuilder &calls, Operation *op) {
  auto test = cast<Wait>(op);
  Value state = test.getStateOrPhase();
  const bool isParity = state.getType() == calls.i32;
  if (isParity)
    state = LLVM::ZExtOp::create(calls.ops, calls.location, calls.i64, state);
  Value done = calls.call(GROK_EMULATOR(mbarrierTest), calls.i32,
                          {calls.asPointer(test.getAddr()), state, calls.word(isParity)}, op);
  op->getResult(0).replaceAllUsesWith(calls.fromWord(done, calls.i1));
  return {};
}

static std::string mbarrierWait(CallBuilder &calls, Operation *op) {
  auto wait = cast<NVVM::MBarrierTryWaitParityOp>(op);
  calls.call(GROK_EMULATOR(mbarrierWait), {}, {calls.asPointer(wait.getAddr()), wait.getPhase()},
             op);
  return {};
}

// ---- bulk copies

static std::string bulkToShared(CallBuilder &calls, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkGlobalToSharedClusterOp>(op);
  calls.call(GROK_EMULATOR(bulkToShared), {},
             {calls.asPointer(copy.getDstMem()), calls.asPointer(copy.getMbar()),
              calls.asPointer(copy.getSrcMem()), copy.getSize(),
              calls.wordOr(copy.getMulticastMask(), 0)},
             op);
  return {};
}

static std::string bulkToCluster(CallBuilder &calls, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkSharedCTAToSharedClusterOp>(op);
  calls.call(GROK_EMULATOR(bulkToCluster), {},
             {calls.asPointer(copy.getDstMem()), calls.asPointer(copy.getMbar()),
              calls.asPointer(copy.getSrcMem()), copy.getSize()},
             op);
  return {};
}

static std::string bulkToGlobal(CallBuilder &calls, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkSharedCTAToGlobalOp>(op);
  if (copy.getByteMask())
    return "with a byte mask is not emulated";
  calls.call(GROK_EMULATOR(bulkToGlobal), {},
             {calls.asPointer(copy.getDstMem()), calls.asPointer(copy.getSrcMem()), copy.getSize()},
             op);
  return {};
}

static std::string tensorToShared(CallBuilder &calls, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp>(op);
  if (copy.getMode() != NVVM::TMALoadMode::TILE || !copy.getIm2colOffsets().empty())
    return "of this mode is not emulated";
  calls.call(GROK_EMULATOR(tensorToShared), {},
             {addressIf(calls, copy.getPredicate(), copy.getDstMem()),
              calls.asPointer(copy.getTmaDescriptor()), calls.inputs(copy.getCoordinates()),
              calls.asPointer(copy.getMbar()), calls.wordOr(copy.getMulticastMask(), 0)},
             op);
  return {};
}

static std::string tensorToGlobal(CallBuilder &calls, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp>(op);
  if (copy.getMode() != NVVM::TMAStoreMode::TILE)
    return "of this mode is not emulated";
  calls.call(GROK_EMULATOR(tensorToGlobal), {},
             {calls.asPointer(copy.getTmaDescriptor()),
              addressIf(calls, copy.getPredicate(), copy.getSrcMem()),
              calls.inputs(copy.getCoordinates())},
             op);
  return {};
}

// Nothing changes, but its bytes must be there.
static std::string bulkPrefetch(CallBuilder &calls, Operation *op) {
  auto prefetch = cast<NVVM::CpAsyncBulkPrefetchOp>(op);
  constexpr int64_t alignment = 16;
  calls.call(GROK_EMULATOR(access), {},
             {calls.asPointer(prefetch.getSrcMem()), prefetch.getSize(),
              calls.word(grokLoad | grokGlobal << 4 | alignment << 8)},
             op);
  return {};
}

static std::string bulkCommit(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(bulkCommit), {}, {}, op);
  return {};
}

static std::string bulkWait(CallBuilder &calls, Operation *op) {
  auto wait = cast<NVVM::CpAsyncBulkWaitGroupOp>(op);
  calls.call(GROK_EMULATOR(bulkWait), {},
             {calls.word(wait.getGroup()), calls.word(wait.getRead().value_or(false))}, op);
  return {};
}

// ---- fences and the cluster's memory

static std::string fence(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(fence), {}, {calls.word(grokFenceOther)}, op);
  return {};
}

static std::string fenceProxy(CallBuilder &calls, Operation *op) {
  const NVVM::ProxyKind kind = cast<NVVM::FenceProxyOp>(op).getKind();
  const bool isAsync = kind == NVVM::ProxyKind::async || kind == NVVM::ProxyKind::async_shared;
  calls.call(GROK_EMULATOR(fence), {}, {calls.word(isAsync ? grokFenceProxyAsync : grokFenceOther)},
             op);
  return {};
}

static std::string mapShared(CallBuilder &calls, Operation *op) {
  auto mapa = cast<NVVM::MapaOp>(op);
  Value address = calls.call(GROK_EMULATOR(mapShared), calls.pointer,
                             {calls.asPointer(mapa.getA()), mapa.getB()}, op);
  if (mapa.getType() != calls.pointer)
    address = LLVM::AddrSpaceCastOp::create(calls.ops, calls.location, mapa.getType(), address);
  op->getResult(0).replaceAllUsesWith(address);
  return {};
}

void addCopyOps(OpTranslations &table) {
  table["nvvm.cp.async.shared.global"] = copyAsync;
  table["nvvm.cp.async.commit.group"] = copyCommit;
  table["nvvm.cp.async.wait.group"] = copyWait;
  table["nvvm.cp.async.mbarrier.arrive"] = copyArrive;
  table["nvvm.mbarrier.init"] = mbarrierInit;
  table["nvvm.mbarrier.inval"] = mbarrierInvalidate;
  table["nvvm.mbarrier.arrive"] = mbarrierArrive<NVVM::MBarrierArriveOp, false>;
  table["nvvm.mbarrier.arrive_drop"] = mbarrierArrive<NVVM::MBarrierArriveDropOp, true>;
  table["nvvm.mbarrier.arrive.nocomplete"] =
      mbarrierArrive<NVVM::MBarrierArriveNocompleteOp, false>;
  table["nvvm.mbarrier.arrive.expect_tx"] = mbarrierArriveExpect;
  table["nvvm.mbarrier.expect_tx"] = mbarrierExpect;
  table["nvvm.mbarrier.complete_tx"] = mbarrierComplete;
  table["nvvm.mbarrier.test.wait"] = mbarrierTest<NVVM::MBarrierTestWaitOp>;
  table["nvvm.mbarrier.try_wait"] = mbarrierTest<NVVM::MBarrierTryWaitOp>;
  table["nvvm.mbarrier.try_wait.parity"] = mbarrierWait;
  table["nvvm.cp.async.bulk.shared.cluster.global"] = bulkToShared;
  table["nvvm.cp.async.bulk.shared.cluster.shared.cta"] = bulkToCluster;
  table["nvvm.cp.async.bulk.global.shared.cta"] = bulkToGlobal;
  table["nvvm.cp.async.bulk.tensor.shared.cluster.global"] = tensorToShared;
  table["nvvm.cp.async.bulk.tensor.global.shared.cta"] = tensorToGlobal;
  table["nvvm.cp.async.bulk.prefetch"] = bulkPrefetch;
  table["nvvm.cp.async.bulk.commit.group"] = bulkCommit;
  table["nvvm.cp.async.bulk.wait_group"] = bulkWait;
  table["nvvm.memory.barrier"] = fence;
  table["nvvm.fence.sc.cluster"] = fence;
  table["nvvm.fence.mbarrier.init"] = fence;
  table["nvvm.fence.sync_restrict"] = fence;
  table["nvvm.fence.proxy"] = fenceProxy;
  table["nvvm.mapa"] = mapShared;
}

} // namespace grok::compiler
