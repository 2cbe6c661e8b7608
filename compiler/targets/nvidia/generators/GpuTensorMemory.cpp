// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// tcgen05: products of sm_100a, whose sums stand in tensor memory.
#include "compiler/targets/nvidia/generators/GpuBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace grok::compiler {

using namespace mlir;

static constexpr unsigned tensorSpace = 6;
static constexpr auto shape32x32b = NVVM::Tcgen05LdStShape::SHAPE_32X32B;

static Value pointerTo(OpBuilder &ops, Location location, Value address) {
  return LLVM::IntToPtrOp::create(
      ops, location, LLVM::LLVMPointerType::get(ops.getContext(), tensorSpace), address);
}

Value GpuBuilder::isElected(Source where) {
  return NVVM::ElectSyncOp::create(ops, at(where), ops.getI1Type(), Value());
}

void GpuBuilder::allocateTensor(Value toShared, int32_t columns, Source where) {
  NVVM::Tcgen05AllocOp::create(ops, at(where), toShared, word(columns), NVVM::CTAGroupKind::CTA_1);
  NVVM::Tcgen05RelinquishAllocPermitOp::create(ops, at(where), NVVM::CTAGroupKind::CTA_1);
}

void GpuBuilder::freeTensor(Value address, int32_t columns, Source where) {
  NVVM::Tcgen05DeallocOp::create(ops, at(where), pointerTo(ops, location, address), word(columns),
                                 NVVM::CTAGroupKind::CTA_1);
}

// PTX ISA, "Shared memory descriptor": as that of wgmma but for the fixed bit 46 and
// three bits of swizzle.
Value GpuBuilder::tensorDescriptor(Value tile) {
  constexpr int64_t stride = 1024, windowMask = (1 << 18) - 1;
  constexpr uint64_t swizzle128 = 2, fixed = 1;
  constexpr uint64_t others =
      swizzle128 << 61 | fixed << 46 | uint64_t(stride / 16) << 32 | uint64_t(1) << 16;
  Value address = LLVM::PtrToIntOp::create(ops, location, i64, tile);
  Value start = shiftRight(bitAnd(address, index(windowMask)), 4);
  return bitOr(start, index(static_cast<int64_t>(others)));
}

// PTX ISA, "Instruction descriptor", kind::i8: sums of 32 bits, signed bytes.
static int32_t instructionOf(int32_t n) {
  constexpr int32_t sums32 = 2 << 4, signedA = 1 << 7, signedB = 1 << 10, m128 = 128 / 16 << 24;
  return sums32 | signedA | signedB | n / 8 << 17 | m128;
}

void GpuBuilder::multiplyBytesTensor(Value d, Value a, Value b, int32_t n, bool accumulates,
                                     Source where) {
  NVVM::Tcgen05MMAOp::create(ops, at(where), NVVM::Tcgen05MMAKind::I8, NVVM::CTAGroupKind::CTA_1,
                             NVVM::Tcgen05MMACollectorOp::DISCARD, /*aShift=*/false,
                             pointerTo(ops, location, d), a, b, word(instructionOf(n)),
                             bit(accumulates), /*scaleInputD=*/Value(),
                             /*disableOutputLane=*/Value());
}

void GpuBuilder::commitTensor(Value barrier, Source where) {
  NVVM::Tcgen05CommitOp::create(ops, at(where), barrier, /*multicastMask=*/Value(),
                                NVVM::CTAGroupKind::CTA_1);
}

Value GpuBuilder::loadTensor(Value address, int64_t columns, Source where) {
  return NVVM::Tcgen05LdOp::create(ops, at(where), vectorOf(i32, columns), /*pack=*/false,
                                   shape32x32b, pointerTo(ops, location, address),
                                   /*offset=*/Value());
}

Value GpuBuilder::tensorWord(Value loaded, int64_t column) {
  return LLVM::ExtractElementOp::create(ops, location, loaded, word(static_cast<int32_t>(column)));
}

void GpuBuilder::storeTensor(Value address, ValueRange words, Source where) {
  Value vector =
      LLVM::PoisonOp::create(ops, location, vectorOf(i32, static_cast<int64_t>(words.size())));
  for (size_t i = 0; i < words.size(); ++i)
    vector = LLVM::InsertElementOp::create(ops, location, vector, words[i],
                                           word(static_cast<int32_t>(i)));
  NVVM::Tcgen05StOp::create(ops, at(where), /*unpack=*/false, shape32x32b,
                            pointerTo(ops, location, address), vector, /*offset=*/Value());
}

void GpuBuilder::waitForTensorLoads(Source where) {
  NVVM::Tcgen05WaitOp::create(ops, at(where), NVVM::Tcgen05WaitKind::LOAD);
}

void GpuBuilder::waitForTensorStores(Source where) {
  NVVM::Tcgen05WaitOp::create(ops, at(where), NVVM::Tcgen05WaitKind::STORE);
}

void GpuBuilder::fenceTensorBefore(Source where) {
  NVVM::Tcgen05FenceOp::create(ops, at(where), NVVM::Tcgen05FenceKind::BEFORE_THREAD_SYNC);
}

void GpuBuilder::fenceTensorAfter(Source where) {
  NVVM::Tcgen05FenceOp::create(ops, at(where), NVVM::Tcgen05FenceKind::AFTER_THREAD_SYNC);
}

} // namespace grok::compiler
