// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What four warps of sm_90a do together.
#include "compiler/targets/nvidia/generators/GpuBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace grok::compiler {

using namespace mlir;

void GpuBuilder::arrive(Value barrier, Source where) {
  NVVM::MBarrierArriveOp::create(
      ops, at(where), i64, barrier, Value(),
      NVVM::MemScopeKindAttr::get(ops.getContext(), NVVM::MemScopeKind::CTA));
}

void GpuBuilder::fenceForAsync(Source where) {
  MLIRContext *context = ops.getContext();
  NVVM::FenceProxyOp::create(ops, at(where),
                             NVVM::ProxyKindAttr::get(context, NVVM::ProxyKind::async_shared),
                             NVVM::SharedSpaceAttr::get(context, NVVM::SharedSpace::shared_cta));
}

void GpuBuilder::takeRegisters(int64_t count) {
  NVVM::SetMaxRegisterOp::create(ops, location, static_cast<uint32_t>(count),
                                 NVVM::SetMaxRegisterAction::increase);
}

void GpuBuilder::giveRegisters(int64_t count) {
  NVVM::SetMaxRegisterOp::create(ops, location, static_cast<uint32_t>(count),
                                 NVVM::SetMaxRegisterAction::decrease);
}

// PTX ISA, "Matrix descriptor format": the start and the distance of groups of eight
// rows in units of 16 bytes, and the swizzle; the other distance has no meaning here.
Value GpuBuilder::matrixDescriptor(Value tile) {
  constexpr int64_t stride = 1024, swizzle128 = 1, windowMask = (1 << 18) - 1;
  Value address = LLVM::PtrToIntOp::create(ops, location, i64, tile);
  Value start = shiftRight(bitAnd(address, index(windowMask)), 4);
  return bitOr(start, index(swizzle128 << 62 | stride / 16 << 32 | int64_t(1) << 16));
}

Value GpuBuilder::multiplyBytesAsync(Value a, Value b, Value sums, int64_t n, Source where) {
  MLIRContext *context = ops.getContext();
  Type result = LLVM::LLVMStructType::getLiteral(context, SmallVector<Type>(n / 2, i32));
  const bool continues = sums != nullptr;
  if (!continues)
    sums = LLVM::UndefOp::create(ops, location, result);
  auto bytes = NVVM::WGMMATypesAttr::get(context, NVVM::WGMMATypes::s8);
  auto one = NVVM::WGMMAScaleInAttr::get(context, NVVM::WGMMAScaleIn::one);
  return NVVM::WgmmaMmaAsyncOp::create(
      ops, at(where), result, sums, a, b,
      NVVM::MMAShapeAttr::get(context, 64, static_cast<int>(n), 32), bytes, bytes,
      NVVM::WGMMATypesAttr::get(context, NVVM::WGMMATypes::s32),
      NVVM::WGMMAScaleOutAttr::get(context, continues ? NVVM::WGMMAScaleOut::one
                                                      : NVVM::WGMMAScaleOut::zero),
      one, one, NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::row),
      NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::col), NVVM::MMAIntOverflowAttr());
}

void GpuBuilder::fenceProducts(Source where) { NVVM::WgmmaFenceAlignedOp::create(ops, at(where)); }

void GpuBuilder::commitProducts() { NVVM::WgmmaGroupSyncAlignedOp::create(ops, location); }

void GpuBuilder::waitForProducts(Source where) {
  NVVM::WgmmaWaitGroupSyncOp::create(ops, at(where), 0);
}

Values GpuBuilder::sumsOf(Value products, int64_t n) {
  Values sums;
  for (int64_t i = 0; i < n / 2; ++i)
    sums.push_back(LLVM::ExtractValueOp::create(ops, location, products, i));
  return sums;
}

} // namespace grok::compiler
