// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/PersistentKernel.h"

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/emulator/EmulatorTranslation.h"
#include "runtime/plan/KernelABI.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

#include <algorithm>

namespace grok::compiler {

using namespace mlir;

static constexpr int64_t wordBytes = 8, taskBytes = sizeof(GrokTask);
// Tasks are copied to shared memory that many at a time, while the ones before are done.
static constexpr int64_t tasksAtOnce = 8, pieceBytes = 16,
                         piecesAtOnce = tasksAtOnce * taskBytes / pieceBytes;
// Of the named barriers of a block, the one that parts with fewer threads meet at; the
// others are the generators'.
static constexpr int32_t partBarrier = 15;

namespace {

// What threads know of the launch, in shared memory: what parts make of it is computed
// where they use it, and not kept in registers while others run.
struct LaunchState {
  const int32_t *counters;
  int32_t launch;   // its number, from 1 on
  int32_t count;    // of tasks
  int32_t blocks;   // of the grid
  int32_t block;    // the block's number
  int32_t fromLast; // and from the last one on
  int32_t zero;
  int32_t takers[]; // of each kernel the blocks that may have tiles of it, of any grid
};

} // namespace

static constexpr int64_t mostThreadsOfBlock = 1024;
static constexpr const char *gpuScope = "device";

static int64_t mostThreads(ArrayRef<PersistentPart> parts) {
  int64_t threads = piecesAtOnce;
  for (const PersistentPart &part : parts)
    threads = std::max(threads, part.shape.threads);
  return (threads + warpLanes - 1) / warpLanes * warpLanes;
}

namespace {

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
  void awaitTasks(LLVM::LLVMFuncOp function);
  void hideNumbers(LLVM::LLVMFuncOp function, int64_t takers);
  void countThreads(LLVM::LLVMFuncOp function, int64_t partThreads);
  LLVM::LLVMFuncOp addFunction(StringRef name, ArrayRef<Type> parameters);
  LLVM::LLVMFuncOp makeNote();
  LLVM::LLVMFuncOp makeWait();
  void spin(Value counter, Value target);
  void begin();
  void copyTasks(Value first);
  struct Callee {
    const PersistentPart &part;
    LLVM::LLVMFuncOp function;
    Value scratch;
  };
  void call(const Callee &callee, Value number, Value slot);
  void callOneOf(ArrayRef<Callee> callees, Value number, Value slot);
  void endTask(Value task);
  Value signals(Value task);
  Value slotOf(Value number) {
    return rowAddress(taskSlots, remainder(number, 2 * tasksAtOnce), taskBytes);
  }
  Value word32(Value base, int64_t at) { return load(i32, offset(base, at)); }
  Value isNamed(const PersistentPart &part, Value slot) {
    return equal(word32(slot, 0), word(static_cast<int32_t>(part.number)));
  }
  Value ofLaunch(size_t at) { return word32(launchState, static_cast<int64_t>(at)); }
  Value threadNow() { return toIndex(add(thread32, ofLaunch(offsetof(LaunchState, zero)))); }
  Value isFirst() { return equal(threadNow(), index(0)); }
  Value operandOf(Value slot, int64_t number) {
    return load(pointer, offset(slot, offsetof(GrokTask, operands) + wordBytes * number));
  }
  Value takersOf(Value state, Value kernel) {
    return word32(rowAddress(state, toIndex(kernel), 4), offsetof(LaunchState, takers));
  }
  /// Whether a part that so few blocks have tiles of goes to the last ones, not the first,
  /// which have most tiles of all others.
  bool isForLast(int64_t takers) const { return takers <= mostForLast; }

  MutableArrayRef<PersistentPart> parts;
  gpu::GPUModuleOp kernels;
  int64_t mostForLast = 0;
  LLVM::LLVMFuncOp note, wait;
  Value step;
  Value taskSlots; // shared: tasks in hand and those to come
  Value launchState;
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

// Where the kernel waits for the launches before, the part waits for tasks: what it has
// asked for until then arrives meanwhile.
void PersistentKernel::awaitTasks(LLVM::LLVMFuncOp function) {
  Block &entry = function.getBody().front();
  Values ofWait;
  for (Type type : wait.getArgumentTypes())
    ofWait.push_back(entry.addArgument(type, location));
  SmallVector<Type> types(entry.getArgumentTypes());
  function.setFunctionType(
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(ops.getContext()), types));
  function.removeArgAttrsAttr();
  OpBuilder builder(ops.getContext());
  builder.setInsertionPointToStart(&entry);
  SmallVector<NVVM::GriddepcontrolOp> ofLaunch;
  function.walk([&](NVVM::GriddepcontrolOp op) {
    ofLaunch.push_back(op);
    if (op.getKind() == NVVM::GridDepActionKind::wait)
      builder.setInsertionPoint(op);
  });
  LLVM::CallOp::create(builder, location, wait, ofWait);
  NVVM::Barrier0Op::create(builder, location);
  for (NVVM::GriddepcontrolOp op : ofLaunch)
    op.erase();
}

// Numbers of threads and blocks come out of memory, or the addresses of all parts would
// be computed before the first task. The grid are the blocks that may have tiles.
void PersistentKernel::hideNumbers(LLVM::LLVMFuncOp function, int64_t takers) {
  Value state = function.getArgument(function.getNumArguments() - 2);
  OpBuilder builder(function);
  auto ofState = [&](size_t at) -> Value {
    Value address = LLVM::GEPOp::create(builder, location, shared, i8, state,
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(at)});
    return LLVM::LoadOp::create(builder, location, i32, address);
  };
  auto constant = [&](int64_t value) -> Value {
    return LLVM::ConstantOp::create(builder, location, i32,
                                    builder.getI32IntegerAttr(static_cast<int32_t>(value)));
  };
  SmallVector<Operation *> numbers;
  function.walk([&](Operation *op) {
    if (isa<NVVM::ThreadIdXOp, NVVM::BlockIdXOp, NVVM::GridDimXOp>(op))
      numbers.push_back(op);
  });
  for (Operation *number : numbers) {
    builder.setInsertionPoint(number);
    Value hidden;
    if (isa<NVVM::ThreadIdXOp>(number)) {
      Value real = NVVM::ThreadIdXOp::create(builder, location, i32);
      Value sum =
          LLVM::AddOp::create(builder, location, real, ofState(offsetof(LaunchState, zero)));
      hidden = LLVM::AndOp::create(builder, location, sum, constant(mostThreadsOfBlock - 1));
    } else if (isa<NVVM::BlockIdXOp>(number)) {
      hidden = ofState(isForLast(takers) ? offsetof(LaunchState, fromLast)
                                         : offsetof(LaunchState, block));
    } else {
      hidden = LLVM::SMinOp::create(builder, location, ofState(offsetof(LaunchState, blocks)),
                                    constant(takers));
    }
    number->getResult(0).replaceAllUsesWith(hidden);
    number->erase();
  }
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
  // Registers are given out for each part alone.
  function.setAlwaysInline(true);
  awaitTasks(function);
  hideNumbers(function, part.shape.maxBlocks);
  countThreads(function, part.shape.threads);
  return function;
}

void PersistentKernel::call(const Callee &callee, Value number, Value slot) {
  const PersistentPart &part = callee.part;
  const int64_t takers = part.shape.maxBlocks;
  Value takes = less(
      ofLaunch(isForLast(takers) ? offsetof(LaunchState, fromLast) : offsetof(LaunchState, block)),
      word(static_cast<int32_t>(takers)));
  if (part.shape.threads != threads)
    takes = both(takes, less(threadNow(), index(part.shape.threads)));
  when(takes, [&] {
    Values arguments;
    for (int64_t i = 0; i < operandCount(part.spec); ++i)
      arguments.push_back(operandOf(slot, i));
    arguments.append({step, callee.scratch, slot, launchState, number});
    LLVM::CallOp::create(ops, location, callee.function, arguments);
  });
}

void PersistentKernel::callOneOf(ArrayRef<Callee> callees, Value number, Value slot) {
  if (callees.empty())
    return;
  when(
      isNamed(callees.front().part, slot), [&] { call(callees.front(), number, slot); },
      [&] { callOneOf(callees.drop_front(), number, slot); });
}

// ---- waiting for tasks

void PersistentKernel::spin(Value counter, Value target) {
  constexpr unsigned alignment = 4;
  repeat({}, [&](ValueRange) -> std::pair<Value, Values> {
    Value now =
        LLVM::LoadOp::create(ops, location, i32, counter, alignment, /*isVolatile=*/false,
                             /*isNonTemporal=*/false, /*isInvariant=*/false,
                             /*isInvariantGroup=*/false, LLVM::AtomicOrdering::acquire, gpuScope);
    return {less(sub(now, target), word(0)), {}}; // right beyond 2^31, too
  });
}

// Inlined wherever it is called; the insertion point is where its body starts.
LLVM::LLVMFuncOp PersistentKernel::addFunction(StringRef name, ArrayRef<Type> parameters) {
  ops.setInsertionPointToStart(kernels.getBody());
  auto function = LLVM::LLVMFuncOp::create(
      ops, location, name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(ops.getContext()), parameters),
      LLVM::Linkage::Internal);
  function.setAlwaysInline(true);
  ops.setInsertionPointToStart(function.addEntryBlock(ops));
  auto end = LLVM::ReturnOp::create(ops, location, ValueRange());
  ops.setInsertionPoint(end);
  return function;
}

LLVM::LLVMFuncOp PersistentKernel::makeNote() {
  OpBuilder::InsertionGuard guard(ops);
  return addFunction(counterNoteSymbol, {pointer, i32, i32, i32});
}

// A thread to each task that is waited for. After a barrier all threads see what blocks
// had written when they counted themselves in.
LLVM::LLVMFuncOp PersistentKernel::makeWait() {
  OpBuilder::InsertionGuard guard(ops);
  auto function = addFunction(waitSymbol, {shared, shared, i32});
  Value slot = function.getArgument(0), state = function.getArgument(1);
  Value number = NVVM::ThreadIdXOp::create(ops, location, i32);
  when(less(number, word32(slot, offsetof(GrokTask, waits))), [&] {
    Value after =
        offset(rowAddress(slot, toIndex(number), sizeof(GrokTaskWait)), offsetof(GrokTask, after));
    Value awaited = word32(after, offsetof(GrokTaskWait, task));
    Value takers = minimum(word32(state, offsetof(LaunchState, blocks)),
                           takersOf(state, word32(after, offsetof(GrokTaskWait, kernel))));
    Value target = mul(takers, word32(state, offsetof(LaunchState, launch)));
    Value counter = rowAddress(load(pointer, state), add(toIndex(awaited), 1), grokCounterBytes);
    Value task = function.getArgument(2);
    LLVM::CallOp::create(ops, location, note, ValueRange{counter, target, task, awaited});
    spin(counter, target);
    Value none = LLVM::ZeroOp::create(ops, location, pointer);
    LLVM::CallOp::create(ops, location, note, ValueRange{none, word(0), word(0), word(0)});
  });
  return function;
}

// ---- the loop

// No block counts itself out before all have looked: there is at least this one.
void PersistentKernel::begin() {
  when(equal(thread, index(0)), [&] {
    auto set = [&](size_t at, Value value) {
      store(value, offset(launchState, static_cast<int64_t>(at)));
    };
    Value counters = operandOf(operand(0), 0);
    Value ended = divide(loadVolatile(i64, counters), blocks).first;
    set(offsetof(LaunchState, counters), counters);
    set(offsetof(LaunchState, launch), toWord(add(ended, 1)));
    set(offsetof(LaunchState, count), word32(operand(0), 0));
    set(offsetof(LaunchState, blocks), toWord(blocks));
    set(offsetof(LaunchState, block), toWord(block));
    set(offsetof(LaunchState, fromLast), toWord(add(sub(blocks, block), -1)));
    set(offsetof(LaunchState, zero), word(0));
    for (const PersistentPart &part : parts)
      set(offsetof(LaunchState, takers) + sizeof(int32_t) * static_cast<size_t>(part.number),
          word(static_cast<int32_t>(part.shape.maxBlocks)));
  });
  barrier();
}

// Tasks `first` and on. Those that they replace have been done.
void PersistentKernel::copyTasks(Value first) {
  constexpr int64_t pieces = taskBytes / pieceBytes;
  Value piece = threadNow(), task = add(first, quotient(piece, pieces));
  Value count = toIndex(ofLaunch(offsetof(LaunchState, count)));
  when(both(less(piece, index(piecesAtOnce)), less(task, count)), [&] {
    Value at = mul(remainder(piece, pieces), pieceBytes);
    Value from = rowAddress(offset(operand(0), taskBytes), task, taskBytes);
    copyAsync(offset(slotOf(task), at), offset(from, at), pieceBytes);
  });
}

// Whether this thread counts the block in.
Value PersistentKernel::signals(Value task) {
  Value takers = takersOf(launchState, word32(slotOf(task), 0));
  Value place =
      select(less(word(static_cast<int32_t>(mostForLast)), takers),
             ofLaunch(offsetof(LaunchState, block)), ofLaunch(offsetof(LaunchState, fromLast)));
  return both(isFirst(), less(place, takers));
}

void PersistentKernel::endTask(Value task) {
  // Parts without a tile may have begun copies that nobody waits for.
  commitCopies();
  waitForCopies(0);
  // What the part has left in shared memory may be overwritten by bulk copies.
  if (chip.hasBulkCopies)
    NVVM::FenceProxyOp::create(ops, location, NVVM::ProxyKind::async, NVVM::SharedSpaceAttr());
  Value isSignal = signals(task); // the task's slot may be another one's after the barrier
  barrier();
  // What all threads of the block have written can be read by who then sees the counter.
  when(isSignal, [&] {
    Value counter = rowAddress(load(pointer, launchState), add(task, 1), grokCounterBytes);
    LLVM::AtomicRMWOp::create(ops, location, LLVM::AtomicBinOp::add, counter, word(1),
                              LLVM::AtomicOrdering::release, gpuScope);
  });
}

GpuShape PersistentKernel::emit() {
  GpuShape whole;
  int64_t numbers = 0;
  for (const PersistentPart &part : parts) {
    whole.sharedBytes = std::max(whole.sharedBytes, part.shape.sharedBytes);
    whole.maxBlocks = std::max(whole.maxBlocks, part.shape.maxBlocks);
    numbers = std::max(numbers, part.number + 1);
  }
  mostForLast = std::min(whole.maxBlocks, chip.multiprocessors) / 2;
  sharedMemory(whole.sharedBytes); // the parts', in turn
  taskSlots = sharedMemory(2 * tasksAtOnce * taskBytes);
  launchState = sharedMemory(static_cast<int64_t>(sizeof(LaunchState)) + 4 * numbers);
  note = makeNote();
  wait = makeWait();
  std::vector<Callee> callees;
  for (PersistentPart &part : parts) {
    Value scratch = scratchMemory(part.shape.scratchBytes);
    callees.push_back({part, adopt(part), scratch});
    if (part.shape.awaitsPeers)
      awaitPeers();
  }
  keepLoops();
  // Told that one block is enough, the assembler gives parts the registers they have alone.
  holdBlocks(1);
  launchCooperatively();
  begin();
  copyTasks(index(0));
  commitCopies();
  waitForCopies(0);
  barrier();
  repeat({word(0)}, [&](ValueRange carried) -> std::pair<Value, Values> {
    Value task = toIndex(carried[0]), next = add(carried[0], word(1));
    when(equal(remainder(task, tasksAtOnce), index(0)), [&] { copyTasks(add(task, tasksAtOnce)); });
    callOneOf(callees, carried[0], slotOf(task));
    endTask(task);
    return {less(next, ofLaunch(offsetof(LaunchState, count))), {next}};
  });
  when(isFirst(), [&] { addAtomically(load(pointer, launchState), index(1)); });
  GpuShape used = shape();
  used.maxBlocks = whole.maxBlocks;
  return used;
}

GpuShape generatePersistentKernel(ModuleOp module, StringRef symbol, const KernelSpec &spec,
                                  const NvidiaChip &chip, MutableArrayRef<PersistentPart> parts) {
  return PersistentKernel(module, symbol, spec, chip, parts).emit();
}

} // namespace grok::compiler
