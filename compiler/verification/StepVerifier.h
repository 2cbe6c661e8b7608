// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The launches of one step, matched with the pieces of the step function.
#pragma once

#include "compiler/verification/Comparison.h"
#include "compiler/verification/Verification.h"
#include "passes/outlining/ExpertSubsets.h"

namespace grok::verification {

class StepVerifier {
public:
  StepVerifier(const ProbedStep &probed, const interpreter::WeightSource &weights,
               const VerificationProgress &progress, Report &report);

  /// Verifies the launches of a step with these rows. The cache carries over to
  /// the next step.
  Result<void> verify(std::span<const StepRow> rows, std::vector<RecordedLaunch> launches);

private:
  /// What the launches of one layer's experts had, for one subset of them.
  struct SubsetGroups {
    const RecordedBuffer *groups = nullptr;
    int64_t experts = 0;
  };

  void bindArguments(std::span<const StepRow> rows);
  Result<void> verifyProbe(const Probe &probe);
  Result<Mismatch> compare(const Probe &probe, const RecordedLaunch &launch,
                           std::vector<Known> &results);
  Result<Mismatch> compareExperts(const RecordedLaunch &launch, std::vector<Known> &results);
  Result<const RecordedLaunch *> takeLaunch(const Probe &probe);
  // Launches over the experts, once for every subset (ExpertSteps.cpp).
  Result<void> verifyOverSubsets(const Probe &probe, std::vector<Known> &results);
  Result<SubsetGroups> takeGroups(const Probe &probe, const plan::ExpertSubset &subset);
  Result<void> verifyPairs(const Probe &probe, const SubsetGroups &subset, const Known &reference,
                           std::vector<float> &values);
  Result<const RecordedLaunch *> takeNamed(const Probe &probe, llvm::StringRef op);
  void finish(const RecordedLaunch &launch, const Mismatch &mismatch);

  const ProbedStep &probed;
  const interpreter::WeightSource &weights;
  const VerificationProgress &progress;
  Report &report;
  llvm::DenseMap<mlir::Value, Known> environment;
  Known cache;                                // as the steps so far left it
  std::map<int32_t, int64_t> lengths;         // tokens fed, by sequence
  std::vector<RecordedLaunch> launches;       // of this step
  size_t next = 0;                            // the launch that comes next
  std::vector<SubsetGroups> subsets;          // of the last gate_up
  std::optional<interpreter::Indices> chosen; // by the last route
  int64_t numExperts = 0;                     // of that route
};

} // namespace grok::verification
