// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Loads, stores and atomics stay; a call before each has its bytes checked. The
// operations themselves are kept, so they are not in the table of replacements.
#include "compiler/targets/nvidia/emulator/MemoryOps.h"

#include "mlir/Interfaces/DataLayoutInterfaces.h"

namespace grok::compiler {

using namespace mlir;

static bool isLocal(Value address) {
  while (Operation *op = address.getDefiningOp()) {
    if (isa<LLVM::AllocaOp>(op))
      return true;
    if (!isa<LLVM::GEPOp, LLVM::BitcastOp>(op))
      return false;
    address = op->getOperand(0);
  }
  return false;
}

static int64_t spaceOf(Value address) {
  switch (cast<LLVM::LLVMPointerType>(address.getType()).getAddressSpace()) {
  case 1:
    return grokGlobal;
  case 3:
  case 7:
    return grokShared;
  default:
    return grokGeneric;
  }
}

static int64_t orderOf(LLVM::AtomicOrdering ordering) {
  switch (ordering) {
  case LLVM::AtomicOrdering::acquire:
    return grokAcquire;
  case LLVM::AtomicOrdering::release:
    return grokRelease;
  case LLVM::AtomicOrdering::acq_rel:
  case LLVM::AtomicOrdering::seq_cst:
    return grokAcquire | grokRelease;
  default:
    return grokRelaxed;
  }
}

static void check(CallBuilder &calls, Operation *op, Value address, Type type,
                  std::optional<uint64_t> alignment, GrokEmulatorAccess access,
                  LLVM::AtomicOrdering ordering = LLVM::AtomicOrdering::not_atomic) {
  if (isLocal(address))
    return;
  const DataLayout layout = DataLayout::closest(op);
  const auto bytes = static_cast<int64_t>(layout.getTypeSize(type).getFixedValue());
  const auto aligned = static_cast<int64_t>(alignment.value_or(layout.getTypeABIAlignment(type)));
  calls.call(GROK_EMULATOR(access), {},
             {calls.asPointer(address), calls.word(bytes),
              calls.word(access | spaceOf(address) << 4 | aligned << 8 | orderOf(ordering) << 24)},
             op);
}

// Others may have to run before a repeated look at memory can see a change.
static void pause(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(pause), {}, {}, op);
}

std::string checkMemoryOp(CallBuilder &calls, Operation *op) {
  if (auto load = dyn_cast<LLVM::LoadOp>(op)) {
    const bool isAtomic =
        load.getVolatile_() || load.getOrdering() != LLVM::AtomicOrdering::not_atomic;
    if (isAtomic)
      pause(calls, op);
    check(calls, op, load.getAddr(), load.getType(), load.getAlignment(),
          isAtomic ? grokAtomicLoad : grokLoad, load.getOrdering());
  } else if (auto store = dyn_cast<LLVM::StoreOp>(op)) {
    check(calls, op, store.getAddr(), store.getValue().getType(), store.getAlignment(), grokStore);
  } else if (auto atomic = dyn_cast<LLVM::AtomicRMWOp>(op)) {
    pause(calls, op);
    check(calls, op, atomic.getPtr(), atomic.getType(), {}, grokAtomic, atomic.getOrdering());
  } else if (auto exchange = dyn_cast<LLVM::AtomicCmpXchgOp>(op)) {
    pause(calls, op);
    check(calls, op, exchange.getPtr(), exchange.getVal().getType(), {}, grokAtomic,
          exchange.getSuccessOrdering());
  } else if (isa<LLVM::MaskedLoadOp, LLVM::MaskedStoreOp, LLVM::masked_gather, LLVM::masked_scatter,
                 LLVM::MemcpyOp, LLVM::MemcpyInlineOp, LLVM::MemmoveOp, LLVM::MemsetOp,
                 LLVM::InlineAsmOp>(op)) {
    return "is not emulated";
  }
  return {};
}

} // namespace grok::compiler
