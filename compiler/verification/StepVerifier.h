// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The launches of one step, matched with the pieces of the step function.
#pragma once

#include "compiler/verification/Comparison.h"
#include "compiler/verification/Verification.h"

namespace grok::verification {

class StepVerifier {
public:
  StepVerifier(const ProbedStep &probed, const interpreter::WeightSource &weights,
               const VerificationProgress &progress, Report &report);

  /// Verifies the launches of a step with these rows. The cache carries over to
  /// the next step.
  Result<void> verify(std::span<const StepRow> rows, std::vector<RecordedLaunch> launches);

private:
  void bindArguments(std::span<const StepRow> rows);
  Result<void> verifyProbe(const Probe &probe);
  Result<Mismatch> compare(const Probe &probe, const RecordedLaunch &launch,
                           std::vector<Known> &results);
  Result<Mismatch> compareExperts(const RecordedLaunch &launch, std::vector<Known> &results);
  Result<const RecordedLaunch *> takeLaunch(const Probe &probe);
  void verifyGroups(const RecordedLaunch &launch);
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
  const RecordedBuffer *groups = nullptr;     // of the last group launch
  std::optional<interpreter::Indices> chosen; // by the last route
  int64_t numExperts = 0;                     // of that route
};

} // namespace grok::verification
