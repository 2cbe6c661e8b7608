// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A compiled artifact against the reference interpreter, launch by launch.
#pragma once

#include "compiler/verification/CompiledProgram.h"
#include "compiler/verification/Probes.h"
#include "compiler/verification/Report.h"

#include <functional>

namespace grok::verification {

struct VerificationOptions {
  std::string artifact; // folder
  std::string cpuLevel; // empty: the best of this machine
  int threads = 0;      // of the runtime; 0: one per core
  /// What to feed, step by step; empty: `chooseSteps`.
  std::vector<std::vector<StepRow>> steps;
};

/// After each launch that was compared: its name and how many of the step's are
/// done.
using VerificationProgress = std::function<void(const std::string &launch, int64_t done)>;

/// Two sequences, one with a pad token inside: first fed together, then decoded
/// together, then one alone, so that every bucket of the program runs.
std::vector<std::vector<StepRow>> chooseSteps(const GrokModelInfo &info);

/// Runs the same steps through the artifact and through `fusedStep`, the step
/// function after fusion from which it was made. Every launch is compared with
/// the interpreter's result for the inputs that the launch really had, within
/// bounds derived from the order of its sums. Fails if the artifact cannot be
/// run or is not made from this function; a difference is not a failure.
Result<Report> verifyArtifact(mlir::func::FuncOp fusedStep,
                              const interpreter::WeightSource &weights,
                              const VerificationOptions &options,
                              const VerificationProgress &progress = {});

} // namespace grok::verification
