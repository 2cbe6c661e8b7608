// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/GpuBuilder.h"

#include "compiler/targets/nvidia/PtxEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace grok::compiler {

using namespace mlir;

static constexpr unsigned globalSpace = 1, sharedSpace = 3, clusterSharedSpace = 7;
static constexpr int32_t wholeWarp = -1; // the mask of lanes
static constexpr const char *sharedSymbol = "shared_memory";

static gpu::GPUModuleOp addGpuModule(OpBuilder &ops, ModuleOp module) {
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), ops.getUnitAttr());
  ops.setInsertionPointToEnd(module.getBody());
  return gpu::GPUModuleOp::create(ops, module.getLoc(), "kernels");
}

GpuBuilder::GpuBuilder(ModuleOp module, StringRef symbol, const KernelSpec &spec,
                       const NvidiaChip &chip, int64_t threads, int64_t clusterBlocks)
    : VectorBuilder(module.getContext(), /*hasFma=*/true), spec(spec), chip(chip), threads(threads),
      warps(threads / warpLanes), clusterBlocks(clusterBlocks) {
  MLIRContext *context = module.getContext();
  pointer = LLVM::LLVMPointerType::get(context, globalSpace);
  shared = LLVM::LLVMPointerType::get(context, sharedSpace);
  gpu::GPUModuleOp inner = addGpuModule(ops, module);
  ops.setInsertionPointToStart(inner.getBody());
  // Of the size that the launch asks for; 1024 bytes serve every swizzle.
  LLVM::GlobalOp::create(ops, location, LLVM::LLVMArrayType::get(i8, 0), /*isConstant=*/false,
                         LLVM::Linkage::External, sharedSymbol, Attribute(), /*alignment=*/1024,
                         sharedSpace);
  SmallVector<Type> parameters(operandCount(spec) + 2, pointer);
  auto function =
      gpu::GPUFuncOp::create(ops, location, symbol, ops.getFunctionType(parameters, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), ops.getUnitAttr());
  function.setKnownBlockSize(std::array<int32_t, 3>{static_cast<int32_t>(threads), 1, 1});
  Block &entryBlock = function.getBody().front();
  ops.setInsertionPointToStart(&entryBlock);
  gpu::ReturnOp::create(ops, location);
  ops.setInsertionPointToStart(&entryBlock);
  for (int64_t i = 0; i < operandCount(spec); ++i)
    operands.push_back(entryBlock.getArgument(i));
  scratchBase = entryBlock.getArgument(operandCount(spec) + 1);
  sharedBase = LLVM::AddressOfOp::create(ops, location, shared, sharedSymbol);
  readStep(entryBlock.getArgument(operandCount(spec)));
  readIds();
}

// In the order and at the offsets of GrokStepInfo. Unused fields vanish.
void GpuBuilder::readStep(Value step) {
  Value *const fields[] = {&rows,      &tokens,    &positions,
                           &sequences, &pageTable, &pageTableStride,
                           &logitRows, &logitRow,  &draws};
  const bool isCount[] = {true, false, false, false, false, true, true, false, false};
  for (int64_t i = 0; i < 9; ++i)
    *fields[i] = load(isCount[i] ? i64 : pointer, offset(step, 8 * i));
}

void GpuBuilder::readIds() {
  thread32 = NVVM::ThreadIdXOp::create(ops, location, i32);
  lane32 = bitAnd(thread32, word(warpLanes - 1));
  thread = widenUnsigned(thread32, i64);
  lane = widenUnsigned(lane32, i64);
  warp = quotient(thread, warpLanes);
  Value ofGrid = widenUnsigned(NVVM::BlockIdXOp::create(ops, location, i32), i64);
  blocks = widenUnsigned(NVVM::GridDimXOp::create(ops, location, i32), i64);
  rank = remainder(ofGrid, clusterBlocks);
  block = quotient(ofGrid, clusterBlocks);
  blocks = quotient(blocks, clusterBlocks);
}

Value GpuBuilder::sharedMemory(int64_t bytes, int64_t alignment) {
  int64_t at = (usedShared + alignment - 1) / alignment * alignment;
  usedShared = at + bytes;
  return offset(sharedBase, at);
}

Value GpuBuilder::scratchMemory(int64_t bytes) {
  int64_t at = usedScratch;
  usedScratch += (bytes + 255) / 256 * 256;
  return offset(scratchBase, at);
}

void GpuBuilder::forTiles(Value tiles, int64_t most, llvm::function_ref<void(Value)> body) {
  mostTiles = std::max(mostTiles, most);
  loop(block, tiles, blocks, {}, [&](Value tile, ValueRange) {
    body(tile);
    return Values();
  });
}

Operation *GpuBuilder::function() {
  Operation *parent = ops.getInsertionBlock()->getParentOp();
  while (!isa<gpu::GPUFuncOp>(parent))
    parent = parent->getParentOp();
  return parent;
}

void GpuBuilder::holdBlocks(int64_t blocks) {
  function()->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                      ops.getI32IntegerAttr(static_cast<int32_t>(blocks)));
}

void GpuBuilder::limitBlocks(int64_t blocks) { residentBlocks = blocks; }

void GpuBuilder::waitForEarlierLaunches() {
  isAhead = false;
  if (!chip.hasEarlyLaunches || startsEarly)
    return;
  NVVM::GriddepcontrolOp::create(ops, location, NVVM::GridDepActionKind::wait);
  startsEarly = true;
}

void GpuBuilder::admitLaterLaunches() {
  if (chip.hasEarlyLaunches)
    NVVM::GriddepcontrolOp::create(ops, location, NVVM::GridDepActionKind::launch_dependents);
}

void GpuBuilder::keepLoops() {
  function()->setAttr("passthrough", ops.getStrArrayAttr({keepLoopsAttribute}));
}

void GpuBuilder::forThreads(Value count, llvm::function_ref<void(Value)> body) {
  loop(thread, count, threads, body);
}

void GpuBuilder::forThreads(int64_t count, llvm::function_ref<void(Value)> body) {
  if (count <= threads) // no loop
    return when(less(thread, index(count)), [&] { body(thread); });
  forThreads(index(count), body);
}

// ---- threads among themselves

// The file's name alone: code must not depend on where it was built.
Location GpuBuilder::at(const Source &where) {
  StringRef file = where.file_name();
  return FileLineColLoc::get(ops.getContext(), file.rsplit('/').second, where.line(),
                             where.column());
}

void GpuBuilder::barrier(Source where) { NVVM::Barrier0Op::create(ops, at(where)); }

void GpuBuilder::syncWarp(Source where) {
  NVVM::SyncWarpOp::create(ops, at(where), word(wholeWarp));
}

Value GpuBuilder::shuffleXor(Value value, int32_t mask, Source where) {
  return NVVM::ShflOp::create(
      ops, at(where), value.getType(), word(wholeWarp), value, word(mask), word(warpLanes - 1),
      NVVM::ShflKindAttr::get(ops.getContext(), NVVM::ShflKind::bfly), UnitAttr());
}

Value GpuBuilder::shuffleFrom(Value value, Value source32, Source where) {
  return NVVM::ShflOp::create(
      ops, at(where), value.getType(), word(wholeWarp), value, source32, word(warpLanes - 1),
      NVVM::ShflKindAttr::get(ops.getContext(), NVVM::ShflKind::idx), UnitAttr());
}

Value GpuBuilder::warpSum(Value value, Source where) {
  for (int32_t mask = warpLanes / 2; mask > 0; mask /= 2)
    value = add(value, shuffleXor(value, mask, where));
  return value;
}

Value GpuBuilder::warpMaximum(Value value, Source where) {
  for (int32_t mask = warpLanes / 2; mask > 0; mask /= 2)
    value = maximum(value, shuffleXor(value, mask, where));
  return value;
}

Value GpuBuilder::ballot(Value condition) {
  return NVVM::VoteSyncOp::create(
      ops, location, i32, word(wholeWarp), condition,
      NVVM::VoteSyncKindAttr::get(ops.getContext(), NVVM::VoteSyncKind::ballot));
}

Value GpuBuilder::lanesBelow() {
  return sub(arith::ShLIOp::create(ops, location, word(1), lane32), word(1));
}

Value GpuBuilder::countBits(Value word) { return LLVM::CtPopOp::create(ops, location, i32, word); }

// ---- functions of the special function unit

Value GpuBuilder::exp2Approximate(Value x) { return intrinsic("nvvm.ex2.approx.ftz", f32, x); }

Value GpuBuilder::reciprocalApproximate(Value x) {
  return NVVM::RcpApproxFtzF32Op::create(ops, location, f32, x);
}

Value GpuBuilder::rsqrtApproximate(Value x) { return intrinsic("nvvm.rsqrt.approx.ftz.f", f32, x); }

// ---- products

Value GpuBuilder::dot4(Value a, Value b, Value accumulator) {
  VectorType bytes = vectorOf(i8, 4);
  auto isSigned =
      NVVM::DotAccumulateTypeAttr::get(ops.getContext(), NVVM::DotAccumulateType::SIGNED);
  auto asBytes = [&](Value word) { return LLVM::BitcastOp::create(ops, location, bytes, word); };
  return NVVM::DotAccumulate4WayOp::create(ops, location, i32, asBytes(a), isSigned, asBytes(b),
                                           isSigned, accumulator);
}

// The fragments of the result, which has the form of the sums.
static Values unpack(OpBuilder &ops, Location location, Value structure, size_t count) {
  Values parts;
  for (size_t i = 0; i < count; ++i)
    parts.push_back(
        LLVM::ExtractValueOp::create(ops, location, structure, static_cast<int64_t>(i)));
  return parts;
}

static constexpr std::array<NVVM::MMALayout, 2> rowTimesColumn = {NVVM::MMALayout::row,
                                                                  NVVM::MMALayout::col};

Values GpuBuilder::mmaBytes(ValueRange a, ValueRange b, ValueRange sums, bool unsignedA) {
  Type result = LLVM::LLVMStructType::getLiteral(ops.getContext(), SmallVector<Type>(4, i32));
  std::array<NVVM::MMATypes, 2> types = {unsignedA ? NVVM::MMATypes::u8 : NVVM::MMATypes::s8,
                                         NVVM::MMATypes::s8};
  auto mma = NVVM::MmaOp::create(ops, location, result, a, b, sums, {16, 8, 32}, std::nullopt,
                                 NVVM::MMAIntOverflow::wrapped, types, rowTimesColumn);
  return unpack(ops, location, mma, 4);
}

Values GpuBuilder::mmaBf16(ValueRange a, ValueRange b, ValueRange sums) {
  Type result = LLVM::LLVMStructType::getLiteral(ops.getContext(), SmallVector<Type>(4, f32));
  std::array<NVVM::MMATypes, 2> types = {NVVM::MMATypes::bf16, NVVM::MMATypes::bf16};
  auto mma = NVVM::MmaOp::create(ops, location, result, a, b, sums, {16, 8, 16}, std::nullopt,
                                 std::nullopt, types, rowTimesColumn);
  return unpack(ops, location, mma, 4);
}

Values GpuBuilder::loadMatrices(Value address, int64_t count, bool transposed) {
  SmallVector<Type> parts(count, i32);
  Type result = count == 1 ? i32 : Type(LLVM::LLVMStructType::getLiteral(ops.getContext(), parts));
  MLIRContext *context = ops.getContext();
  Value loaded = NVVM::LdMatrixOp::create(
      ops, location, result, address, static_cast<uint32_t>(count),
      transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8), NVVM::LdStMatrixEltType::B16);
  return count == 1 ? Values{loaded} : unpack(ops, location, loaded, count);
}

// ---- copies from device to shared memory

void GpuBuilder::copyAsync(Value toShared, Value from, int64_t bytes, Source where) {
  // Only 16-byte copies may bypass the first-level cache.
  auto modifier = bytes == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
  NVVM::CpAsyncOp::create(ops, at(where), toShared, from, ops.getI32IntegerAttr(bytes),
                          NVVM::LoadCacheModifierKindAttr::get(ops.getContext(), modifier),
                          Value());
}

void GpuBuilder::commitCopies() { NVVM::CpAsyncCommitGroupOp::create(ops, location); }

void GpuBuilder::waitForCopies(int64_t pendingGroups, Source where) {
  NVVM::CpAsyncWaitGroupOp::create(ops, at(where), ops.getI32IntegerAttr(pendingGroups));
}

// ---- bulk copies

void GpuBuilder::initBarrier(Value barrier, int32_t arrivals) {
  NVVM::MBarrierInitOp::create(ops, location, barrier, word(arrivals), Value());
}

void GpuBuilder::fenceBarriers() {
  NVVM::FenceProxyOp::create(
      ops, location, NVVM::ProxyKindAttr::get(ops.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(ops.getContext(), NVVM::SharedSpace::shared_cta));
}

void GpuBuilder::endBarrier(Value barrier) {
  NVVM::MBarrierInvalOp::create(ops, location, barrier);
}

void GpuBuilder::arriveExpecting(Value barrier, int32_t bytes, Source where) {
  NVVM::MBarrierArriveExpectTxOp::create(ops, at(where), /*res=*/Type(), barrier, word(bytes),
                                         NVVM::MemScopeKind::CTA, /*relaxed=*/false, Value());
}

void GpuBuilder::waitForPhase(Value barrier, Value parity, Source where) {
  constexpr int32_t longest = 1000000; // nanoseconds until the hardware asks again
  NVVM::MBarrierTryWaitParityOp::create(ops, at(where), barrier, parity, word(longest));
}

void GpuBuilder::copyBulk(Value toShared, Value from, int32_t bytes, Value barrier, Source where) {
  // What createpolicy.fractional.L2::evict_first makes for 1.0 (CUTLASS,
  // include/cute/arch/copy_sm90_desc.hpp, "EVICT_FIRST").
  constexpr int64_t evictFirst = 0x12F0000000000000;
  // The block's memory as a part of its cluster's, which PTX 8.0 asks for.
  Value to = LLVM::AddrSpaceCastOp::create(
      ops, location, LLVM::LLVMPointerType::get(ops.getContext(), clusterSharedSpace), toShared);
  NVVM::CpAsyncBulkGlobalToSharedClusterOp::create(ops, at(where), to, from, barrier, word(bytes),
                                                   Value(), index(evictFirst));
}

void GpuBuilder::prefetchBulk(Value from, Value bytes, Source where) {
  NVVM::CpAsyncBulkPrefetchOp::create(ops, at(where), from, bytes, Value());
}

Value GpuBuilder::variable(Value initial) {
  Value place;
  {
    OpBuilder::InsertionGuard guard(ops);
    ops.setInsertionPointToStart(&cast<gpu::GPUFuncOp>(function()).getBody().front());
    place = LLVM::AllocaOp::create(ops, location, LLVM::LLVMPointerType::get(ops.getContext()),
                                   initial.getType(), index(1));
  }
  store(initial, place);
  return place;
}

// ---- several blocks

void GpuBuilder::meetCluster(Source where) {
  NVVM::ClusterArriveOp::create(ops, at(where), UnitAttr());
  NVVM::ClusterWaitOp::create(ops, at(where), UnitAttr());
}

Value GpuBuilder::sharedOf(Value rank, Value address) {
  return NVVM::MapaOp::create(ops, location,
                              LLVM::LLVMPointerType::get(ops.getContext(), clusterSharedSpace),
                              address, toWord(rank));
}

Value GpuBuilder::fetchAdd(Value address, Value word) {
  return LLVM::AtomicRMWOp::create(ops, location, LLVM::AtomicBinOp::add, address, word,
                                   LLVM::AtomicOrdering::acq_rel, "device");
}

void GpuBuilder::addAtomically(Value address, Value number) {
  LLVM::AtomicRMWOp::create(ops, location, LLVM::AtomicBinOp::add, address, number,
                            LLVM::AtomicOrdering::monotonic, "device");
}

// Said, so that an access is one instruction.
static unsigned bytesOf(Type scalar) { return scalar.getIntOrFloatBitWidth() / 8; }

Value GpuBuilder::loadVolatile(Type type, Value address) {
  return LLVM::LoadOp::create(ops, location, type, address, bytesOf(type), /*isVolatile=*/true);
}

void GpuBuilder::storeVolatile(Value value, Value address) {
  LLVM::StoreOp::create(ops, location, value, address, bytesOf(value.getType()),
                        /*isVolatile=*/true);
}

// ---- control

Values GpuBuilder::repeat(ValueRange initial,
                          llvm::function_ref<std::pair<Value, Values>(ValueRange)> body) {
  auto loop = scf::WhileOp::create(
      ops, location, initial.getTypes(), initial,
      [&](OpBuilder &, Location, ValueRange before) {
        auto [goesOn, values] = body(before);
        scf::ConditionOp::create(ops, location, goesOn, values);
      },
      [&](OpBuilder &, Location, ValueRange after) { scf::YieldOp::create(ops, location, after); });
  return Values(loop.getResults());
}

Value GpuBuilder::choose(Value condition, llvm::function_ref<Value()> then,
                         llvm::function_ref<Value()> otherwise) {
  auto branch = scf::IfOp::create(
      ops, location, condition,
      [&](OpBuilder &, Location) { scf::YieldOp::create(ops, location, then()); },
      [&](OpBuilder &, Location) { scf::YieldOp::create(ops, location, otherwise()); });
  return branch.getResult(0);
}

// ---- addresses

std::pair<Value, Value> GpuBuilder::divide(Value a, Value b) {
  Value quotient = arith::DivUIOp::create(ops, location, a, b);
  return {quotient, sub(a, mul(quotient, b))};
}

Value GpuBuilder::highProduct(Value a, Value b) {
  return arith::MulUIExtendedOp::create(ops, location, a, b).getHigh();
}

Value GpuBuilder::toCount(Value a) { return arith::FPToSIOp::create(ops, location, i64, a); }

Value GpuBuilder::toIndex(Value word) { return widen(word, i64); }
Value GpuBuilder::toWord(Value index) { return narrow(index, i32); }

GpuShape GpuBuilder::shape() const {
  return {threads,       mostTiles * clusterBlocks,
          usedShared,    usedScratch,
          clusterBlocks, residentBlocks,
          startsEarly,   isCooperative,
          awaitsPeers};
}

} // namespace grok::compiler
