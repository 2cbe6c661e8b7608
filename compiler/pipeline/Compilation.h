// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One run of the compiler; for the phases that are its members.
#pragma once

#include "compiler/pipeline/ArtifactPhase.h"
#include "compiler/pipeline/CalibrationRun.h"
#include "compiler/pipeline/Compile.h"
#include "compiler/pipeline/MemoryUse.h"
#include "compiler/pipeline/ModelSource.h"
#include "compiler/pipeline/Phases.h"
#include "compiler/pipeline/ShardingTask.h"
#include "compiler/pipeline/WeightFormats.h"
#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace grok::compiler {

/// One run: what the phases hand to one another.
class Compilation {
public:
  Compilation(const CompileOptions &options, const CompileHooks &hooks)
      : options(options), hooks(hooks), context(mlir::MLIRContext::Threading::DISABLED) {
    context.loadDialect<mlir::func::FuncDialect, GrokDialect, plan::PlanDialect>();
  }
  Result<CompileReport> run();

private:
  Result<void> runPhase(Phase phase);
  Result<std::string> import();
  Result<std::string> runPasses(Phase phase);
  Result<std::string> quantize();
  Result<void> checkStoredAs(const std::string &dtype) const;
  Result<MemoryUse> tryInt8(const ShardingTask &task);
  Result<int64_t> findWeightBudget();
  Result<void> calibrate();
  Result<void> reportQuantization();
  Result<void> replaceByFlat();
  Result<std::string> makeKernels();
  Result<std::string> writeFolder();
  Result<void> writeModule(const std::string &path);
  PackingSource packingSource() const { return {*source.weights, encoder, options.threads}; }
  Result<void> verifyArtifact();
  Result<void> checkOptions();
  tl::unexpected<std::string> diagnosed(llvm::StringRef what);
  PhaseOptions phaseOptions() const;

  const CompileOptions &options;
  const CompileHooks &hooks;
  mlir::MLIRContext context;
  std::string diagnostic; // first error that MLIR reported
  OpenedModel source;
  int64_t maxContext = 0;
  ShardingTask sharding;
  int64_t weightBudget = 0;                    // bytes; 0 = any
  std::unique_ptr<CalibrationRun> calibration; // with --calibrate
  std::unique_ptr<quantization::MatrixEncoder> search;
  const quantization::MatrixEncoder *encoder = nullptr;
  quantization::WeightFormats formats; // of what is not packed as stored
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::OwningOpRef<mlir::ModuleOp> fused; // kept for the verification
  PlanInputs plan;
  CompileReport report;
};

} // namespace grok::compiler
