// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/PersistentKernel.h"

#include "compiler/kernels/KernelBuilder.h"
#include "runtime/plan/KernelABI.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <algorithm>

namespace grok::compiler {

using namespace mlir;

static constexpr int64_t wordBytes = 8, taskBytes = sizeof(GrokTask),
                         taskWords = taskBytes / wordBytes;
// Of the named barriers of a block, the one that parts with fewer threads meet at; the
// others are the generators'.
static constexpr int32_t partBarrier = 15;
// Where blocks meet: how many are there, and how often all of them were. On lines of
// their own, since all blocks wait for the second while they count up the first.
static constexpr int64_t generationOffset = 128, meetingBytes = 256;
// What the second-level cache is asked for while blocks wait: as much as memory gives in
// the few microseconds that a task of one row takes.
static constexpr int64_t lineBytes = 128, mostBytesAhead = int64_t(16) << 20;

static int64_t mostThreads(ArrayRef<PersistentPart> parts) {
  int64_t threads = taskWords;
  for (const PersistentPart &part : parts)
    threads = std::max(threads, part.shape.threads);
  return (threads + warpLanes - 1) / warpLanes * warpLanes;
}

namespace {

struct Stream {
  int64_t operand, bytes;
};

class PersistentKernel : public GpuBuilder {
public:
  PersistentKernel(ModuleOp module, StringRef symbol, const KernelSpec &spec,
                   const NvidiaChip &chip, MutableArrayRef<PersistentPart> parts)
      : GpuBuilder(module, symbol, spec, chip, mostThreads(parts)), parts(parts),
        kernels(*module.getOps<gpu::GPUModuleOp>().begin()),
        step((*kernels.getOps<gpu::GPUFuncOp>().begin()).getArgument(1)) {}

  GpuShape emit();

private:
  LLVM::LLVMFuncOp adopt(PersistentPart &part);
  void countThreads(LLVM::LLVMFuncOp function, int64_t partThreads);
  LLVM::LLVMFuncOp makeMeeting();
  void emitArrival(Block *arrive, Block *last, Block *spin, Block *meet, Value state);
  void copyTask(Value number, Value slot);
  void call(const PersistentPart &part, LLVM::LLVMFuncOp function, Value slot, Value scratch);
  void askFor(const Stream &stream, Value slot);
  Value isNamed(const PersistentPart &part, Value slot) {
    return equal(load(i64, slot), index(part.number));
  }
  Value operandOf(Value slot, int64_t number) {
    return load(pointer, offset(slot, offsetof(GrokTask, operands) + wordBytes * number));
  }

  MutableArrayRef<PersistentPart> parts;
  gpu::GPUModuleOp kernels;
  Value step;
  Value taskSlots; // shared: the task in hand and the next one
};

} // namespace

// ---- parts

// Parts with fewer threads than the kernel meet among themselves.
void PersistentKernel::countThreads(LLVM::LLVMFuncOp function, int64_t partThreads) {
  if (partThreads == threads)
    return;
  OpBuilder builder(function);
  function.walk([&](NVVM::Barrier0Op barrier) {
    builder.setInsertionPoint(barrier);
    auto constant = [&](int32_t value) -> Value {
      return LLVM::ConstantOp::create(builder, barrier.getLoc(), i32,
                                      builder.getI32IntegerAttr(value));
    };
    NVVM::BarrierOp::create(builder, barrier.getLoc(), Type(), constant(partBarrier),
                            constant(static_cast<int32_t>(partThreads)),
                            NVVM::BarrierReductionAttr(), Value());
    barrier.erase();
  });
}

// Kernels become functions; what they ask of the launch is the launch's now.
LLVM::LLVMFuncOp PersistentKernel::adopt(PersistentPart &part) {
  auto from = *part.lowered->getOps<gpu::GPUModuleOp>().begin();
  auto function = from.lookupSymbol<LLVM::LLVMFuncOp>(part.symbol);
  function->remove();
  kernels.getBody()->push_back(function);
  SmallVector<StringAttr> ofLaunch;
  for (NamedAttribute attribute : function->getDiscardableAttrs())
    ofLaunch.push_back(attribute.getName());
  for (StringAttr name : ofLaunch)
    function->removeAttr(name);
  function.setLinkage(LLVM::Linkage::Internal);
  // There are no earlier launches.
  function.walk([](NVVM::GriddepcontrolOp op) { op.erase(); });
  // Registers are given out for each part alone.
  function.setAlwaysInline(true);
  countThreads(function, part.shape.threads);
  return function;
}

void PersistentKernel::call(const PersistentPart &part, LLVM::LLVMFuncOp function, Value slot,
                            Value scratch) {
  auto run = [&] {
    Values arguments;
    for (int64_t i = 0; i < operandCount(part.spec); ++i)
      arguments.push_back(operandOf(slot, i));
    arguments.push_back(step);
    arguments.push_back(scratch);
    LLVM::CallOp::create(ops, location, function, arguments);
  };
  Value isMine = isNamed(part, slot);
  when(part.shape.threads == threads ? isMine
                                     : both(isMine, less(thread, index(part.shape.threads))),
       run);
}

// ---- weights ahead of their task

// Operands whose bytes are all read, whatever earlier tasks write.
static SmallVector<Stream> streamsOf(const KernelSpec &spec, const NvidiaChip &chip) {
  if (chip.major < 9) // LLVM has no prefetch instruction for it
    return {};
  auto matrix = [&](int64_t operand, int64_t panels) -> Stream {
    return {operand, panels * spec.weight.panelBytes(contractionOf(spec))};
  };
  const int64_t headPanels = panelsOf(spec.headDim);
  if (spec.op == KernelOp::linear)
    return {matrix(1, panelsOf(spec.out))};
  if (spec.op == KernelOp::unembed)
    return {matrix(1, panelsOf(spec.vocab))};
  if (spec.op == KernelOp::qkv)
    return {matrix(1, spec.qHeads * headPanels), matrix(3, spec.kvHeads * headPanels),
            matrix(5, spec.kvHeads * headPanels)};
  return {};
}

// The lines are shared out to all threads of all blocks.
void PersistentKernel::askFor(const Stream &stream, Value slot) {
  Value from = operandOf(slot, stream.operand);
  const int64_t lines = std::min(stream.bytes, mostBytesAhead) / lineBytes;
  Value first = add(mul(block, threads), thread);
  loop(first, index(lines), mul(blocks, threads), {}, [&](Value line, ValueRange) {
    NVVM::PrefetchOp::create(
        ops, location,
        NVVM::PrefetchCacheLevelAttr::get(ops.getContext(), NVVM::PrefetchCacheLevel::L2),
        NVVM::CacheEvictionPriorityAttr(), rowAddress(from, line, lineBytes), Value(), UnitAttr(),
        UnitAttr());
    return Values();
  });
}

// ---- the meeting of all blocks

// One thread of each block: the last one to come begins a new generation, which the
// others wait for. The count is zero again by then, for the next meeting and the next
// launch.
void PersistentKernel::emitArrival(Block *arrive, Block *last, Block *spin, Block *meet,
                                   Value state) {
  constexpr const char *gpuScope = "device";
  constexpr unsigned alignment = 4;
  ops.setInsertionPointToStart(arrive);
  Value generation = offset(state, generationOffset);
  auto read = [&](LLVM::AtomicOrdering ordering) -> Value {
    return LLVM::LoadOp::create(ops, location, i32, generation, alignment, /*isVolatile=*/false,
                                /*isNonTemporal=*/false, /*isInvariant=*/false,
                                /*isInvariantGroup=*/false, ordering, gpuScope);
  };
  auto write = [&](Value value, Value to, LLVM::AtomicOrdering ordering) {
    LLVM::StoreOp::create(ops, location, value, to, alignment, /*isVolatile=*/false,
                          /*isNonTemporal=*/false, /*isInvariantGroup=*/false, ordering, gpuScope);
  };
  Value before = read(LLVM::AtomicOrdering::monotonic);
  Value arrived = fetchAdd(state, word(1));
  Value all = sub(NVVM::GridDimXOp::create(ops, location, i32), word(1));
  LLVM::CondBrOp::create(ops, location, equal(arrived, all), last, spin);
  ops.setInsertionPointToStart(last);
  write(word(0), state, LLVM::AtomicOrdering::monotonic);
  write(add(before, word(1)), generation, LLVM::AtomicOrdering::release);
  LLVM::BrOp::create(ops, location, meet);
  ops.setInsertionPointToStart(spin);
  Value now = read(LLVM::AtomicOrdering::acquire);
  LLVM::CondBrOp::create(ops, location, equal(now, before), spin, meet);
}

// Afterwards all threads see what any thread has written before.
LLVM::LLVMFuncOp PersistentKernel::makeMeeting() {
  OpBuilder::InsertionGuard guard(ops);
  ops.setInsertionPointToStart(kernels.getBody());
  auto function = LLVM::LLVMFuncOp::create(
      ops, location, meetingSymbol,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(ops.getContext()), {pointer}),
      LLVM::Linkage::Internal);
  Block *entry = function.addEntryBlock(ops), *arrive = function.addBlock(),
        *last = function.addBlock(), *spin = function.addBlock(), *meet = function.addBlock();
  ops.setInsertionPointToStart(entry);
  // Parts without a tile may have begun copies that nobody waits for.
  commitCopies();
  waitForCopies(0);
  // What the part has left in shared memory, or written by ordinary stores, may be
  // overwritten or read by bulk copies.
  if (chip.hasBulkCopies)
    NVVM::FenceProxyOp::create(ops, location, NVVM::ProxyKind::async, NVVM::SharedSpaceAttr());
  barrier();
  Value isFirst = equal(NVVM::ThreadIdXOp::create(ops, location, i32), word(0));
  LLVM::CondBrOp::create(ops, location, isFirst, arrive, meet);
  emitArrival(arrive, last, spin, meet, entry->getArgument(0));
  ops.setInsertionPointToStart(meet);
  barrier();
  if (chip.hasBulkCopies)
    NVVM::FenceProxyOp::create(ops, location, NVVM::ProxyKind::async, NVVM::SharedSpaceAttr());
  LLVM::ReturnOp::create(ops, location, ValueRange());
  return function;
}

// ---- the loop

void PersistentKernel::copyTask(Value number, Value slot) {
  when(less(thread, index(taskWords)), [&] {
    Value from = rowAddress(offset(operand(0), taskBytes), number, taskBytes);
    store(load(i64, rowAddress(from, thread, wordBytes)), rowAddress(slot, thread, wordBytes));
  });
}

GpuShape PersistentKernel::emit() {
  GpuShape whole;
  for (const PersistentPart &part : parts) {
    whole.sharedBytes = std::max(whole.sharedBytes, part.shape.sharedBytes);
    whole.maxBlocks = std::max(whole.maxBlocks, part.shape.maxBlocks);
  }
  sharedMemory(whole.sharedBytes); // the parts', in turn
  taskSlots = sharedMemory(2 * taskBytes);
  Value meeting = scratchMemory(meetingBytes);
  Values scratch;
  std::vector<LLVM::LLVMFuncOp> functions;
  for (PersistentPart &part : parts) {
    scratch.push_back(scratchMemory(part.shape.scratchBytes));
    functions.push_back(adopt(part));
    if (part.shape.awaitsPeers)
      awaitPeers();
  }
  keepLoops();
  // Told that one block is enough, the assembler gives parts the registers they have alone.
  holdBlocks(1);
  LLVM::LLVMFuncOp meet = makeMeeting();
  launchCooperatively();
  Value count = load(i64, operand(0));
  copyTask(index(0), taskSlots);
  barrier();
  loop(index(0), count, 1, [&](Value number) {
    Value parity = remainder(number, 2), next = add(number, 1);
    Value slot = rowAddress(taskSlots, parity, taskBytes);
    Value other = rowAddress(taskSlots, sub(index(1), parity), taskBytes);
    Value hasNext = less(next, count);
    when(hasNext, [&] { copyTask(next, other); });
    for (size_t i = 0; i < parts.size(); ++i)
      call(parts[i], functions[i], slot, scratch[i]);
    when(hasNext, [&] {
      barrier(); // the next task has been copied
      for (const PersistentPart &part : parts)
        if (auto streams = streamsOf(part.spec, chip); !streams.empty())
          when(isNamed(part, other), [&] {
            for (const Stream &stream : streams)
              askFor(stream, other);
          });
      LLVM::CallOp::create(ops, location, meet, meeting);
    });
  });
  GpuShape used = shape();
  used.maxBlocks = whole.maxBlocks;
  return used;
}

GpuShape generatePersistentKernel(ModuleOp module, StringRef symbol, const KernelSpec &spec,
                                  const NvidiaChip &chip, MutableArrayRef<PersistentPart> parts) {
  return PersistentKernel(module, symbol, spec, chip, parts).emit();
}

} // namespace grok::compiler
