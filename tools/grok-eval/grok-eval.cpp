// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-eval: perplexity of a compiled model on a text.
#include "runtime/evaluation/Perplexity.h"
#include "runtime/generation/SessionEngine.h"
#include "runtime/plan/File.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tools/commandline/CommandLine.h"
#include "tools/commandline/Terminal.h"

#include <nlohmann/json.hpp>

namespace grok::tools {
using runtime::fail;
using runtime::Model;
using runtime::Perplexity;
using runtime::Result;
using runtime::Session;
using runtime::Tokenizer;

static constexpr uint64_t maxTextBytes = uint64_t(1) << 31;

namespace {
struct EvalOptions {
  std::string artifact;
  std::string textFile;
  int64_t window = 256;
  int threads = 0;
  bool json = false;
};

/// The text to score.
struct Text {
  std::vector<int32_t> ids;
  int64_t windows = 0;
  int64_t scoredBytes = 0; // of the text that the scored tokens stand for
};
} // namespace

static constexpr const char *footer = R"(
The text is encoded whole, without BOS or EOS, and cut into non-overlapping
windows. Window w has the inputs ids[wW .. wW+W-1] and the targets one further;
each is a fresh sequence, every target counts, the rest of the text is dropped.

  tokens         scored targets
  mean_nll       mean cross-entropy of the targets in nats, summed in float64
  perplexity     exp(mean_nll)
  bits_per_byte  mean_nll * tokens / ln 2 / bytes of UTF-8 text that the targets
                 stand for; comparable between tokenizers)";

static void declareOptions(CLI::App &app, EvalOptions &options) {
  app.add_option("ARTIFACT", options.artifact, "Folder written by grokc")
      ->required()
      ->type_name("");
  app.add_option("--text", options.textFile, "UTF-8 text to score")->required()->type_name("FILE");
  app.add_option("--window", options.window, "Tokens per window (default 256)")
      ->type_name("N")
      ->check(CLI::PositiveNumber.description(""));
  app.add_option("--threads", options.threads, "Worker threads (default: one per core)")
      ->type_name("N")
      ->check(threadRange());
  app.add_flag("--json", options.json, "Print one JSON object");
  app.footer(footer);
}

static Result<Text> readText(const EvalOptions &options, const Tokenizer &tokenizer) {
  const Result<runtime::FileBytes> file = runtime::readFile(options.textFile, maxTextBytes);
  if (!file)
    return fail(file.error());
  Result<std::vector<int32_t>> ids =
      tokenizer.encode({reinterpret_cast<const char *>(file->data.get()), file->size});
  if (!ids)
    return fail(options.textFile, ", ", ids.error());
  Text text;
  text.windows = runtime::countWindows(ids->size(), options.window);
  if (text.windows == 0)
    return fail(options.textFile, ", has ", ids->size(), " tokens and a window takes ",
                options.window + 1, ", give a longer text or a smaller --window");
  const auto scored = static_cast<size_t>(text.windows * options.window);
  const std::span<const int32_t> all(*ids);
  const Result<std::string> first = tokenizer.decode(all.first(1));
  const Result<std::string> whole = tokenizer.decode(all.first(scored + 1));
  if (!first || !whole)
    return fail(options.textFile, ", ", first ? whole.error() : first.error());
  text.scoredBytes = static_cast<int64_t>(whole->size() - first->size());
  text.ids = std::move(*ids);
  return text;
}

static Result<Perplexity> measure(const std::shared_ptr<const Model> &model,
                                  const EvalOptions &options, const Text &text) {
  const runtime::ModelInfo &info = model->info();
  // As many windows as one step takes, but one at least.
  const int64_t together = std::clamp<int64_t>(info.maxStepRows / options.window, 1, text.windows);
  const auto pages =
      static_cast<uint64_t>(together * runtime::pagesOf(options.window, info.pageTokens));
  const Result<std::unique_ptr<Session>> session = Session::create(
      model, {.kvMemory = pages * info.pageBytes, .sequences = static_cast<int>(together)});
  if (!session)
    return fail(session.error());
  runtime::SessionEngine engine(**session);
  ProgressLine progress("grok-eval");
  return runtime::measurePerplexity(
      engine, runtime::limitsOf(info, (*session)->kvBytesReserved()), text.ids, options.window,
      [&](int64_t done) { progress.show("windows", done, text.windows); });
}

static std::string report(const EvalOptions &options, const Text &text, const Perplexity &result) {
  const double bitsPerByte = result.bitsPerByte(text.scoredBytes);
  if (options.json)
    return nlohmann::ordered_json{
               {"tokens", result.tokens},      {"perplexity", result.perplexity()},
               {"bits_per_byte", bitsPerByte}, {"mean_nll", result.meanNll},
               {"window", options.window},     {"windows", result.windows},
               {"bytes", text.scoredBytes}}
               .dump() +
           '\n';
  char lines[256];
  std::snprintf(lines, sizeof lines,
                "tokens         %lld (%lld windows of %lld)\nperplexity     %.6f\n"
                "mean_nll       %.6f\nbits_per_byte  %.6f\n",
                static_cast<long long>(result.tokens), static_cast<long long>(result.windows),
                static_cast<long long>(options.window), result.perplexity(), result.meanNll,
                bitsPerByte);
  return lines;
}

static Result<void> evaluate(const EvalOptions &options) {
  runtime::LoadOptions loadOptions;
  loadOptions.threads = options.threads;
  const Result<std::shared_ptr<const Model>> model = Model::load(options.artifact, loadOptions);
  if (!model)
    return fail(model.error());
  const runtime::ModelInfo &info = (*model)->info();
  if (options.window > info.maxContext)
    return fail("--window, ", options.window, " is more than the context of ", info.maxContext,
                ", give at most that");
  const Result<Tokenizer> tokenizer = Tokenizer::load((*model)->tokenizer(), info.vocabSize);
  if (!tokenizer)
    return fail(options.artifact, "/model.plan, ", tokenizer.error());
  const Result<Text> text = readText(options, *tokenizer);
  if (!text)
    return fail(text.error());
  const Result<Perplexity> result = measure(*model, options, *text);
  if (!result)
    return fail(result.error());
  return writeOut(report(options, *text, *result));
}

static int runMain(int argc, char **argv) {
  CommandLine commandLine("grok-eval", "Measures how well a compiled model predicts a text.");
  EvalOptions options;
  declareOptions(commandLine.app(), options);
  if (const std::optional<int> status = commandLine.parse(argc, argv))
    return *status;
  const Result<void> done = evaluate(options);
  return done ? exitDone : commandLine.reportError(done.error());
}

} // namespace grok::tools

int main(int argc, char **argv) {
  grok::tools::refuseBrokenPipes();
  return grok::tools::runTool("grok-eval", [&] { return grok::tools::runMain(argc, argv); });
}
