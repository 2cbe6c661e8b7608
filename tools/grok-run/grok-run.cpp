// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-run: runs a compiled model.
#include "runtime/generation/SessionEngine.h"
#include "tools/grok-run/LaunchTrace.h"
#include "tools/grok-run/Options.h"
#include "tools/grok-run/Prompts.h"
#include "tools/grok-run/Writer.h"

#include <algorithm>

namespace grok::tools {
using runtime::EngineLimits;
using runtime::fail;
using runtime::GenerationOptions;
using runtime::Model;
using runtime::Result;
using runtime::Session;
using runtime::Tokenizer;

static Result<std::optional<Tokenizer>> loadTokenizer(const Model &model,
                                                      const RunOptions &options) {
  if (model.tokenizer().empty()) {
    if (!options.stopTexts.empty())
      return fail("--stop, the model has no tokenizer and makes no text, leave it out");
    return std::nullopt;
  }
  Result<Tokenizer> tokenizer = Tokenizer::load(model.tokenizer(), model.info().vocabSize);
  if (!tokenizer)
    return fail(options.artifact, "/model.plan, ", tokenizer.error());
  return std::optional<Tokenizer>(std::move(*tokenizer));
}

static GenerationOptions generationOptions(const RunOptions &options, const Model &model,
                                           std::span<const Prompt> prompts) {
  GenerationOptions result{.maxNewTokens = options.maxNewTokens.value_or(defaultNewTokens),
                           .sampling = options.sampling,
                           .prefillChunk = options.prefillChunk,
                           .wantAllLogits = options.logitsFile.has_value()};
  if (options.stopAtEos)
    result.stopToken = model.info().eosToken;
  if (options.maxNewTokens)
    return result;
  for (const Prompt &prompt : prompts) {
    const int64_t room = model.info().maxContext - static_cast<int64_t>(prompt.ids.size()) + 1;
    result.maxNewTokens = std::clamp<int64_t>(room, 0, result.maxNewTokens);
  }
  return result;
}

/// Key/value memory for all prompts at once, to the page.
static uint64_t neededMemory(const Model &model, const GenerationOptions &options,
                             std::span<const Prompt> prompts) {
  uint64_t pages = 0;
  for (const Prompt &prompt : prompts)
    pages += static_cast<uint64_t>(runtime::pagesOf(
        runtime::positionsOf(static_cast<int64_t>(prompt.ids.size()), options.maxNewTokens),
        model.info().pageTokens));
  return pages * model.info().pageBytes;
}

static Result<void> checkPrompts(std::span<const Prompt> prompts, const GenerationOptions &options,
                                 const EngineLimits &limits) {
  for (const Prompt &prompt : prompts)
    if (Result<void> checked = runtime::checkPrompt(prompt.ids, options, limits); !checked)
      return fail(prompt.name, ", ", checked.error());
  return {};
}

static Result<void> run(const RunOptions &options, const std::string &tool,
                        const std::shared_ptr<const Model> &model) {
  const Result<std::optional<Tokenizer>> loaded = loadTokenizer(*model, options);
  if (!loaded)
    return fail(loaded.error());
  const Tokenizer *tokenizer = *loaded ? &**loaded : nullptr;
  const Result<std::vector<Prompt>> prompts = readPrompts(options, tokenizer);
  if (!prompts)
    return fail(prompts.error());

  const GenerationOptions generation = generationOptions(options, *model, *prompts);
  const uint64_t kvMemory =
      options.kvMemory ? options.kvMemory : neededMemory(*model, generation, *prompts);
  // Checked before the session reserves memory for prompts that cannot run.
  if (Result<void> checked =
          checkPrompts(*prompts, generation, runtime::limitsOf(model->info(), kvMemory));
      !checked)
    return checked;
  const Result<std::unique_ptr<Session>> session = Session::create(
      model, {.kvMemory = kvMemory, .sequences = static_cast<int>(prompts->size())});
  if (!session)
    return fail(session.error());

  std::optional<LaunchTrace> trace;
  if (options.launchesFile) {
    Result<LaunchTrace> opened = LaunchTrace::open(*options.launchesFile);
    if (!opened)
      return fail("--launches-out: ", opened.error());
    trace = std::move(*opened);
    (*session)->setObserver([&](const runtime::LaunchView &launch) { trace->note(launch); });
  }
  Writer writer(options, *prompts, tokenizer, tool);
  std::vector<std::vector<int32_t>> ids;
  for (const Prompt &prompt : *prompts)
    ids.push_back(prompt.ids);
  runtime::SessionEngine engine(**session);
  const EngineLimits limits = runtime::limitsOf(model->info(), (*session)->kvBytesReserved());
  return writer.openLogits(model->info().vocabSize)
      .and_then([&] { return runtime::generate(engine, limits, generation, ids, writer); })
      .and_then([&] { return writer.close(); })
      .and_then([&] { return trace ? trace->close() : Result<void>(); });
}

static int runMain(int argc, char **argv) {
  CommandLine commandLine("grok-run", "Continues prompts with a compiled model.");
  const std::variant<RunOptions, int> parsed = parseRunOptions(commandLine, argc, argv);
  if (const int *status = std::get_if<int>(&parsed))
    return *status;
  const auto &options = std::get<RunOptions>(parsed);
  runtime::LoadOptions loadOptions;
  loadOptions.threads = options.threads;
  loadOptions.device = options.device;
  ProgressLine progress("grok-run");
  loadOptions.placing = [&](uint64_t done, uint64_t all) {
    progress.show("MiB of weights", static_cast<int64_t>(done >> 20),
                  static_cast<int64_t>(all >> 20));
  };
  return runOnRanks(commandLine, options.artifact, loadOptions, options.ranks,
                    [&](const std::shared_ptr<const Model> &model) {
                      progress.clear();
                      return run(options, commandLine.name(), model);
                    });
}

} // namespace grok::tools

int main(int argc, char **argv) {
  grok::tools::refuseBrokenPipes();
  return grok::tools::runTool("grok-run", [&] { return grok::tools::runMain(argc, argv); });
}
