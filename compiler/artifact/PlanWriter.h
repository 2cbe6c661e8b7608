// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Writes `model.plan`: a one-to-one walk of the plan module.
#pragma once

#include "compiler/artifact/WeightFile.h"
#include "runtime/plan/plan_generated.h"

#include "mlir/IR/BuiltinOps.h"
#include <map>

namespace grok::compiler {

/// Machine code of one CPU level, ready for the plan.
struct PlanCode {
  std::string target, level;
  std::vector<std::string> features; // that the host must have
  std::vector<uint8_t> image;
};

/// What the plan holds besides the module.
struct PlanInputs {
  std::string weights;                         // "int8", "f32", ... for people
  std::vector<std::byte> tokenizer;            // empty if there is none
  std::vector<RankWeights> ranks;              // of one replica, placed; no file name: no weights
  std::map<std::string, uint64_t> scratch;     // bytes per kernel symbol
  std::map<std::string, std::string> specText; // canonical text per kernel symbol
  std::vector<PlanCode> code;
  std::vector<plan::GpuCodeT> gpuCode; // kernels in the order of the module's
};

/// The bytes of the plan file. The module is verified and has memory assigned.
/// Fails, with a diagnostic, on an op that plan files of this version cannot hold.
mlir::FailureOr<std::vector<std::byte>> writePlan(mlir::ModuleOp module, const PlanInputs &inputs);

} // namespace grok::compiler
