// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/LowerToNVVM.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"

namespace grok::compiler {

using namespace mlir;

namespace {

// One conversion for all dialects: types that cross dialects never need casts
// that a later pass would have to remove.
struct LowerGpuKernel : PassWrapper<LowerGpuKernel, OperationPass<gpu::GPUModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerGpuKernel)

  StringRef getArgument() const override { return "grok-lower-gpu-kernel"; }
  StringRef getDescription() const override {
    return "Lower a GPU kernel to the llvm and nvvm dialects";
  }

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    LowerToLLVMOptions options(context);
    options.useBarePtrCallConv = true;
    LLVMTypeConverter types(context, options);
    configureGpuToNVVMTypeConverter(types);
    RewritePatternSet patterns(context);
    populateVectorToLLVMConversionPatterns(types, patterns);
    arith::populateArithToLLVMConversionPatterns(types, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
    populateGpuToNVVMConversionPatterns(types, patterns);
    // Not configureGpuToNVVMConversionLegality: it refuses llvm.intr.sqrt and others
    // that the NVPTX target has instructions for.
    LLVMConversionTarget target(*context);
    target.addLegalDialect<NVVM::NVVMDialect>();
    target.addLegalOp<gpu::GPUModuleOp>();
    if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};

struct UnwrapGpuModule : PassWrapper<UnwrapGpuModule, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(UnwrapGpuModule)

  StringRef getArgument() const override { return "grok-unwrap-gpu-module"; }
  StringRef getDescription() const override { return "Move a gpu.module's functions out of it"; }

  void runOnOperation() override {
    Block *body = getOperation().getBody();
    for (auto inner : llvm::make_early_inc_range(getOperation().getOps<gpu::GPUModuleOp>())) {
      body->getOperations().splice(body->end(), inner.getBody()->getOperations());
      inner.erase();
    }
  }
};

} // namespace

void registerGpuKernelDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, gpu::GPUDialect, scf::SCFDialect,
                  vector::VectorDialect, LLVM::LLVMDialect, NVVM::NVVMDialect>();
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

void addLowerKernelToNVVM(PassManager &passes) {
  OpPassManager &inner = passes.nest<gpu::GPUModuleOp>();
  inner.addPass(createSCFToControlFlowPass());
  inner.addPass(std::make_unique<LowerGpuKernel>());
}

void addLowerNVVMToLLVM(PassManager &passes) {
  passes.addPass(std::make_unique<UnwrapGpuModule>());
  passes.addPass(createConvertNVVMToLLVMPass());
}

} // namespace grok::compiler
