// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/CompiledProgram.h"

namespace grok::verification {

static tl::unexpected<std::string> lastError() {
  return tl::unexpected(std::string(grokLastError()));
}

Result<CompiledProgram> CompiledProgram::load(const std::string &artifact,
                                              const std::string &cpuLevel, int threads,
                                              int sequences) {
  CompiledProgram program;
  GrokLoadOptions options{};
  options.size = sizeof(options);
  options.threads = threads;
  options.cpuLevel = cpuLevel.empty() ? nullptr : cpuLevel.c_str();
  program.model.reset(grokModelLoad(artifact.c_str(), &options));
  if (!program.model)
    return lastError();
  program.modelInfo.size = sizeof(program.modelInfo);
  if (grokModelInfo(program.model.get(), &program.modelInfo) != 0)
    return lastError();
  GrokSessionOptions sessionOptions{};
  sessionOptions.size = sizeof(sessionOptions);
  sessionOptions.sequences = sequences;
  program.session.reset(grokSessionCreate(program.model.get(), &sessionOptions));
  if (!program.session)
    return lastError();
  for (int i = 0; i < sequences; ++i)
    if (grokSequenceCreate(program.session.get()) < 0)
      return lastError();
  return program;
}

namespace {
struct StepRecording {
  std::vector<RecordedLaunch> launches;
  std::string error;
};
} // namespace

static void recordLaunch(const GrokLaunchView *launch, void *user) {
  auto &recording = *static_cast<StepRecording *>(user);
  Result<RecordedLaunch> recorded = record(*launch);
  if (recorded)
    recording.launches.push_back(std::move(*recorded));
  else if (recording.error.empty())
    recording.error = recorded.error();
}

Result<std::vector<RecordedLaunch>> CompiledProgram::step(std::span<const StepRow> rows) {
  StepRecording recording;
  std::vector<GrokStepRow> fed;
  for (const StepRow &row : rows)
    fed.push_back({row.token, row.sequence, /*wantLogits=*/1});
  grokSessionObserve(session.get(), recordLaunch, &recording);
  int status = grokStep(session.get(), fed.data(), fed.size(), nullptr);
  grokSessionObserve(session.get(), nullptr, nullptr);
  if (status != 0)
    return lastError();
  if (!recording.error.empty())
    return tl::unexpected(recording.error);
  return std::move(recording.launches);
}

} // namespace grok::verification
