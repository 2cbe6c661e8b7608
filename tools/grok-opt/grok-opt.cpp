// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-opt: reads IR of any level, runs passes and pipelines, prints IR.
#include "compiler/pipeline/Phases.h"
#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<grok::GrokDialect, grok::plan::PlanDialect>();
  mlir::registerAllPasses();
  grok::compiler::registerPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Grok-1 compiler IR: passes and pipelines\n", registry));
}
