// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/Verification.h"

#include "compiler/verification/StepVerifier.h"

#include <algorithm>

namespace grok::verification {

/// Tokens that differ in every row; never the pad.
static int32_t chooseToken(const GrokModelInfo &info, int64_t number) {
  int64_t others = std::max<int64_t>(info.vocabSize - 1, 1);
  return static_cast<int32_t>((1 + number * 7919 % others) % info.vocabSize);
}

std::vector<std::vector<StepRow>> chooseSteps(const GrokModelInfo &info) {
  constexpr int64_t firstLength = 5, secondLength = 3;
  std::vector<std::vector<StepRow>> wanted(3);
  int64_t number = 0;
  auto feed = [&](std::vector<StepRow> &step, int32_t sequence) {
    step.push_back({chooseToken(info, ++number), sequence});
  };
  for (int64_t i = 0; i < std::min(firstLength, info.maxContext); ++i)
    feed(wanted[0], 0);
  for (int64_t i = 0; i < std::min(secondLength, info.maxContext); ++i)
    feed(wanted[0], 1);
  if (info.maxContext > secondLength)
    wanted[0][wanted[0].size() - 2].token = info.padToken;
  if (info.maxContext > firstLength) {
    feed(wanted[1], 0);
    feed(wanted[1], 1);
  }
  if (info.maxContext > firstLength + 1)
    feed(wanted[2], 0);

  std::vector<std::vector<StepRow>> steps;
  for (const std::vector<StepRow> &step : wanted)
    for (const StepRow &row : step) {
      if (&row == &step.front() || std::ssize(steps.back()) == info.maxStepRows)
        steps.emplace_back();
      steps.back().push_back(row);
    }
  return steps;
}

static int countSequences(const std::vector<std::vector<StepRow>> &steps) {
  int32_t highest = 0;
  for (const std::vector<StepRow> &step : steps)
    for (const StepRow &row : step)
      highest = std::max(highest, row.sequence);
  return highest + 1;
}

Result<Report> verifyArtifact(mlir::func::FuncOp fusedStep,
                              const interpreter::WeightSource &weights,
                              const VerificationOptions &options,
                              const VerificationProgress &progress) {
  auto probed = probe(fusedStep);
  if (!probed)
    return tl::unexpected(probed.error());
  // The default steps need two sequences.
  int sequences = options.steps.empty() ? 2 : countSequences(options.steps);
  auto program =
      CompiledProgram::load(options.artifact, options.cpuLevel, options.threads, sequences);
  if (!program)
    return tl::unexpected(program.error());
  Report report;
  StepVerifier verifier(*probed, weights, progress, report);
  const auto steps = options.steps.empty() ? chooseSteps(program->info()) : options.steps;
  for (const std::vector<StepRow> &rows : steps) {
    auto launches = program->step(rows);
    if (!launches)
      return tl::unexpected(launches.error());
    if (auto done = verifier.verify(rows, std::move(*launches)); !done)
      return tl::unexpected(done.error());
  }
  return report;
}

} // namespace grok::verification
