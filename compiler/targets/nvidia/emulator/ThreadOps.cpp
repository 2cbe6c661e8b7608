// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Special registers, barriers, and what the lanes of a warp exchange.
#include "compiler/targets/nvidia/emulator/CallBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace grok::compiler {

using namespace mlir;

template <GrokEmulatorRegister which>
static std::string readRegister(CallBuilder &calls, Operation *op) {
  op->getResult(0).replaceAllUsesWith(calls.specialRegister(which));
  return {};
}

static void addRegisters(OpTranslations &table) {
  auto add = [&](StringRef name, OpTranslation translation) {
    table[("nvvm.read.ptx.sreg." + name).str()] = translation;
  };
  add("tid.x", readRegister<grokTidX>);
  add("tid.y", readRegister<grokZero>);
  add("tid.z", readRegister<grokZero>);
  add("ntid.x", readRegister<grokNtidX>);
  add("ntid.y", readRegister<grokOne>);
  add("ntid.z", readRegister<grokOne>);
  add("ctaid.x", readRegister<grokCtaidX>);
  add("ctaid.y", readRegister<grokZero>);
  add("ctaid.z", readRegister<grokZero>);
  add("nctaid.x", readRegister<grokNctaidX>);
  add("nctaid.y", readRegister<grokOne>);
  add("nctaid.z", readRegister<grokOne>);
  add("laneid", readRegister<grokLaneId>);
  add("warpid", readRegister<grokWarpId>);
  add("nwarpid", readRegister<grokWarpCount>);
  add("warpsize", readRegister<grokWarpSize>);
  add("smid", readRegister<grokSmId>);
  add("nsmid", readRegister<grokSmCount>);
  add("clusterid.x", readRegister<grokClusterIdX>);
  add("nclusterid.x", readRegister<grokClusterCountX>);
  add("cluster.ctaid.x", readRegister<grokClusterCtaidX>);
  add("cluster.nctaid.x", readRegister<grokClusterNctaidX>);
  add("cluster.ctarank", readRegister<grokClusterCtarank>);
  add("cluster.nctarank", readRegister<grokClusterNctarank>);
  add("lanemask.eq", readRegister<grokLanemaskEq>);
  add("lanemask.le", readRegister<grokLanemaskLe>);
  add("lanemask.lt", readRegister<grokLanemaskLt>);
  add("lanemask.ge", readRegister<grokLanemaskGe>);
  add("lanemask.gt", readRegister<grokLanemaskGt>);
}

static std::string barrier0(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(barrier), {}, {calls.word(0), calls.word(0)}, op);
  return {};
}

static std::string barrier(CallBuilder &calls, Operation *op) {
  auto barrier = cast<NVVM::BarrierOp>(op);
  Value id = calls.wordOr(barrier.getBarrierId(), 0);
  Value threads = calls.wordOr(barrier.getNumberOfThreads(), 0);
  if (!barrier.getReductionOp()) {
    calls.call(GROK_EMULATOR(barrier), {}, {id, threads}, op);
    return {};
  }
  Value how = calls.word(static_cast<int64_t>(*barrier.getReductionOp()));
  Value result = calls.call(GROK_EMULATOR(barrierReduce), calls.i32,
                            {id, threads, how, calls.asWord(barrier.getReductionPredicate())}, op);
  op->getResult(0).replaceAllUsesWith(result);
  return {};
}

static std::string barrierArrive(CallBuilder &calls, Operation *op) {
  auto arrive = cast<NVVM::BarrierArriveOp>(op);
  calls.call(GROK_EMULATOR(barrierArrive), {},
             {calls.wordOr(arrive.getBarrierId(), 0), arrive.getNumberOfThreads()}, op);
  return {};
}

static std::string clusterArrive(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(clusterArrive), {}, {}, op);
  return {};
}

static std::string clusterWait(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(clusterWait), {}, {}, op);
  return {};
}

static std::string syncWarp(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(syncWarp), {}, op->getOperands(), op);
  return {};
}

// The results of `op`: `value`, and where it has two the bit in the upper half of `both`.
static void replaceWithPredicate(CallBuilder &calls, Operation *op, Value value, Value both) {
  OpBuilder &ops = calls.ops;
  if (auto structure = dyn_cast<LLVM::LLVMStructType>(op->getResult(0).getType())) {
    Value high = LLVM::LShrOp::create(ops, calls.location, both, calls.wide(32));
    Value predicate = LLVM::TruncOp::create(ops, calls.location, calls.i1, high);
    Value pair = LLVM::PoisonOp::create(ops, calls.location, structure);
    pair = LLVM::InsertValueOp::create(ops, calls.location, pair, value, ArrayRef<int64_t>{0});
    value = LLVM::InsertValueOp::create(ops, calls.location, pair, predicate, ArrayRef<int64_t>{1});
  }
  op->getResult(0).replaceAllUsesWith(value);
}

static std::string shuffle(CallBuilder &calls, Operation *op) {
  auto shuffle = cast<NVVM::ShflOp>(op);
  int64_t kind = grokShuffleIndex;
  if (shuffle.getKind() == NVVM::ShflKind::bfly)
    kind = grokShuffleXor;
  else if (shuffle.getKind() == NVVM::ShflKind::up)
    kind = grokShuffleUp;
  else if (shuffle.getKind() == NVVM::ShflKind::down)
    kind = grokShuffleDown;
  OpBuilder &ops = calls.ops;
  Value low =
      LLVM::AndOp::create(ops, calls.location, shuffle.getMaskAndClamp(), calls.word(0xffff));
  Value how = LLVM::OrOp::create(ops, calls.location, low, calls.word(kind << 16));
  Value both = calls.call(
      GROK_EMULATOR(shuffle), calls.i64,
      {shuffle.getThreadMask(), calls.asWord(shuffle.getVal()), shuffle.getOffset(), how}, op);
  Value low32 = LLVM::TruncOp::create(ops, calls.location, calls.i32, both);
  replaceWithPredicate(calls, op, calls.fromWord(low32, shuffle.getVal().getType()), both);
  return {};
}

static std::string vote(CallBuilder &calls, Operation *op) {
  auto vote = cast<NVVM::VoteSyncOp>(op);
  static_assert(static_cast<int>(NVVM::VoteSyncKind::any) == grokVoteAny &&
                static_cast<int>(NVVM::VoteSyncKind::all) == grokVoteAll &&
                static_cast<int>(NVVM::VoteSyncKind::ballot) == grokVoteBallot &&
                static_cast<int>(NVVM::VoteSyncKind::uni) == grokVoteUniform);
  Value result = calls.call(GROK_EMULATOR(vote), calls.i32,
                            {vote.getMask(), calls.asWord(vote.getPred()),
                             calls.word(static_cast<int64_t>(vote.getKind()))},
                            op);
  op->getResult(0).replaceAllUsesWith(calls.fromWord(result, op->getResult(0).getType()));
  return {};
}

static std::string match(CallBuilder &calls, Operation *op) {
  auto match = cast<NVVM::MatchSyncOp>(op);
  OpBuilder &ops = calls.ops;
  Value value = match.getVal();
  if (value.getType() != calls.i64)
    value = LLVM::ZExtOp::create(ops, calls.location, calls.i64, calls.asWord(value));
  const bool all = match.getKind() == NVVM::MatchSyncKind::all;
  Value both = calls.call(GROK_EMULATOR(match), calls.i64,
                          {match.getThreadMask(), value, calls.word(all)}, op);
  Value result = LLVM::TruncOp::create(ops, calls.location, calls.i32, both);
  replaceWithPredicate(calls, op, result, both);
  return {};
}

static int64_t reduxKind(NVVM::ReduxKind kind) {
  switch (kind) {
  case NVVM::ReduxKind::ADD:
    return grokReduxAdd;
  case NVVM::ReduxKind::AND:
    return grokReduxAnd;
  case NVVM::ReduxKind::OR:
    return grokReduxOr;
  case NVVM::ReduxKind::XOR:
    return grokReduxXor;
  case NVVM::ReduxKind::MIN:
    return grokReduxMin;
  case NVVM::ReduxKind::MAX:
    return grokReduxMax;
  case NVVM::ReduxKind::UMIN:
    return grokReduxUmin;
  case NVVM::ReduxKind::UMAX:
    return grokReduxUmax;
  case NVVM::ReduxKind::FMIN:
    return grokReduxFmin;
  case NVVM::ReduxKind::FMAX:
    return grokReduxFmax;
  }
  llvm_unreachable("every kind has a case");
}

static std::string redux(CallBuilder &calls, Operation *op) {
  auto redux = cast<NVVM::ReduxOp>(op);
  int64_t how =
      reduxKind(redux.getKind()) | (redux.getAbs() ? 1 << 8 : 0) | (redux.getNan() ? 1 << 9 : 0);
  Value result =
      calls.call(GROK_EMULATOR(redux), calls.i32,
                 {redux.getMaskAndClamp(), calls.asWord(redux.getVal()), calls.word(how)}, op);
  op->getResult(0).replaceAllUsesWith(calls.fromWord(result, redux.getVal().getType()));
  return {};
}

static std::string elect(CallBuilder &calls, Operation *op) {
  Value mask = calls.wordOr(cast<NVVM::ElectSyncOp>(op).getMembermask(), -1);
  Value result = calls.call(GROK_EMULATOR(elect), calls.i32, {mask}, op);
  op->getResult(0).replaceAllUsesWith(calls.fromWord(result, calls.i1));
  return {};
}

static std::string sleep(CallBuilder &calls, Operation *op) {
  calls.call(GROK_EMULATOR(pause), {}, {}, op);
  return {};
}

// One launch runs after the other, but kernels are watched as if they did not.
static std::string gridDependency(CallBuilder &calls, Operation *op) {
  if (cast<NVVM::GriddepcontrolOp>(op).getKind() == NVVM::GridDepActionKind::wait)
    calls.call(GROK_EMULATOR(waitForLaunches), {}, {}, nullptr);
  return {};
}

// Registers and places in caches cost nothing.
static std::string doNothing(CallBuilder &, Operation *) { return {}; }

void addThreadOps(OpTranslations &table) {
  addRegisters(table);
  table["nvvm.barrier0"] = barrier0;
  table["nvvm.barrier"] = barrier;
  table["nvvm.barrier.arrive"] = barrierArrive;
  table["nvvm.cluster.arrive"] = clusterArrive;
  table["nvvm.cluster.arrive.relaxed"] = clusterArrive;
  table["nvvm.cluster.wait"] = clusterWait;
  table["nvvm.bar.warp.sync"] = syncWarp;
  table["nvvm.shfl.sync"] = shuffle;
  table["nvvm.vote.sync"] = vote;
  table["nvvm.match.sync"] = match;
  table["nvvm.redux.sync"] = redux;
  table["nvvm.elect.sync"] = elect;
  table["nvvm.nanosleep"] = sleep;
  table["nvvm.griddepcontrol"] = gridDependency;
  table["nvvm.setmaxregister"] = doNothing;
  table["nvvm.pmevent"] = doNothing;
  table["nvvm.prefetch"] = doNothing;
}

} // namespace grok::compiler
