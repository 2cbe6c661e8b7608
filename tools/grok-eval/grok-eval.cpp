// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-eval: perplexity of a compiled model on a text, alone or against another.
#include "runtime/evaluation/Divergence.h"
#include "runtime/generation/SessionEngine.h"
#include "runtime/plan/File.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tools/commandline/DeviceOption.h"
#include "tools/commandline/Terminal.h"

#include <nlohmann/json.hpp>

namespace grok::tools {
using runtime::Divergence;
using runtime::EngineLimits;
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
  std::string against; // artifact to compare with; may be empty
  std::string textFile;
  int64_t window = 256;
  runtime::DeviceKind device = runtime::DeviceKind::automatic; // of ARTIFACT
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
                 stand for; comparable between tokenizers

With --against, both models run side by side:
  kl_mean, kl_p99     KL divergence of ARTIFACT's next token from that of the
                      other in nats: mean, and what 99 % of the tokens stay below
  top1_agreement      share of tokens with the same most likely next token
  nll_difference      mean_nll less that of the other
  nll_standard_error  of nll_difference, from its spread over windows)";

static void declareOptions(CLI::App &app, EvalOptions &options) {
  app.add_option("ARTIFACT", options.artifact, "Folder written by grokc")
      ->required()
      ->type_name("");
  app.add_option("--text", options.textFile, "UTF-8 text to score")->required()->type_name("FILE");
  app.add_option("--against", options.against, "Also compare with this artifact")
      ->type_name("ARTIFACT");
  app.add_option("--window", options.window, "Tokens per window (default 256)")
      ->type_name("N")
      ->check(CLI::PositiveNumber.description(""));
  declareDevice(app, options.device);
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

namespace {
/// A model that is ready to score windows.
struct Scorer {
  std::shared_ptr<const Model> model;
  std::unique_ptr<Session> session;
};
} // namespace

static Result<Scorer> loadScorer(const std::string &artifact, runtime::DeviceKind device,
                                 const EvalOptions &options) {
  runtime::LoadOptions loadOptions;
  loadOptions.threads = options.threads;
  loadOptions.device = device;
  const Result<std::shared_ptr<const Model>> model = Model::load(artifact, loadOptions);
  if (!model)
    return fail(model.error());
  const runtime::ModelInfo &info = (*model)->info();
  if (options.window > info.maxContext)
    return fail("--window, ", options.window, " is more than the context of ", info.maxContext,
                " of ", artifact, ", give at most that");
  return Scorer{*model, nullptr};
}

/// Makes room for as many windows as one step takes, but one at least.
static Result<EngineLimits> openSession(Scorer &scorer, int64_t together, int64_t window) {
  const runtime::ModelInfo &info = scorer.model->info();
  const auto pages = static_cast<uint64_t>(together * runtime::pagesOf(window, info.pageTokens));
  Result<std::unique_ptr<Session>> session = Session::create(
      scorer.model, {.kvMemory = pages * info.pageBytes, .sequences = static_cast<int>(together)});
  if (!session)
    return fail(session.error());
  scorer.session = std::move(*session);
  return runtime::limitsOf(info, scorer.session->kvBytesReserved());
}

static int64_t windowsPerStep(const Scorer &scorer, const EvalOptions &options, const Text &text) {
  return std::clamp<int64_t>(scorer.model->info().maxStepRows / options.window, 1, text.windows);
}

static Result<Perplexity> measure(Scorer &scorer, const EvalOptions &options, const Text &text) {
  const Result<EngineLimits> limits =
      openSession(scorer, windowsPerStep(scorer, options, text), options.window);
  if (!limits)
    return fail(limits.error());
  runtime::SessionEngine engine(*scorer.session);
  ProgressLine progress("grok-eval");
  return runtime::measurePerplexity(engine, *limits, text.ids, options.window, [&](int64_t done) {
    progress.show("windows", done, text.windows);
  });
}

static Result<Divergence> compare(Scorer &scorer, Scorer &reference, const EvalOptions &options,
                                  const Text &text) {
  const int64_t together =
      std::min(windowsPerStep(scorer, options, text), windowsPerStep(reference, options, text));
  const Result<EngineLimits> own = openSession(scorer, together, options.window);
  const Result<EngineLimits> other = openSession(reference, together, options.window);
  if (!own || !other)
    return fail(own ? other.error() : own.error());
  EngineLimits limits = *own; // both hold `together` windows, in pages of their own size
  limits.maxStepRows = std::min(own->maxStepRows, other->maxStepRows);
  limits.pageTokens = options.window;
  limits.pages = together;
  runtime::SessionEngine engine(*scorer.session), referenceEngine(*reference.session);
  ProgressLine progress("grok-eval");
  return runtime::measureDivergence(
      engine, referenceEngine, limits, text.ids, options.window,
      [&](int64_t done) { progress.show("windows", done, text.windows); });
}

static nlohmann::ordered_json toJson(const EvalOptions &options, const Text &text,
                                     const Perplexity &result) {
  return {{"tokens", result.tokens},
          {"perplexity", result.perplexity()},
          {"bits_per_byte", result.bitsPerByte(text.scoredBytes)},
          {"mean_nll", result.meanNll},
          {"window", options.window},
          {"windows", result.windows},
          {"bytes", text.scoredBytes}};
}

static std::string toText(const EvalOptions &options, const Text &text, const Perplexity &result) {
  char lines[256];
  std::snprintf(lines, sizeof lines,
                "tokens         %lld (%lld windows of %lld)\nperplexity     %.6f\n"
                "mean_nll       %.6f\nbits_per_byte  %.6f\n",
                static_cast<long long>(result.tokens), static_cast<long long>(result.windows),
                static_cast<long long>(options.window), result.perplexity(), result.meanNll,
                result.bitsPerByte(text.scoredBytes));
  return lines;
}

static std::string report(const EvalOptions &options, const Text &text, const Perplexity &result) {
  return options.json ? toJson(options, text, result).dump() + '\n' : toText(options, text, result);
}

static std::string report(const EvalOptions &options, const Text &text, const Divergence &result) {
  if (options.json) {
    nlohmann::ordered_json json = toJson(options, text, result.own);
    json["kl_mean"] = result.klMean;
    json["kl_p99"] = result.klP99;
    json["top1_agreement"] = result.top1Agreement;
    json["nll_difference"] = result.nllDifference;
    json["nll_standard_error"] = result.nllStandardError;
    return json.dump() + '\n';
  }
  char lines[256];
  std::snprintf(lines, sizeof lines,
                "nll_difference %+.6f, standard error %.6f\nkl_mean        %.6f\n"
                "kl_p99         %.6f\ntop1_agreement %.4f\n",
                result.nllDifference, result.nllStandardError, result.klMean, result.klP99,
                result.top1Agreement);
  return toText(options, text, result.own) + "against        " + options.against + '\n' + lines;
}

static Result<void> checkSameTokens(const EvalOptions &options, const Model &own,
                                    const Model &reference) {
  if (own.info().vocabSize == reference.info().vocabSize &&
      std::ranges::equal(own.tokenizer(), reference.tokenizer()))
    return {};
  return fail("--against, ", options.against, " has another tokenizer than ", options.artifact,
              "; their tokens cannot be compared");
}

static Result<void> evaluate(const EvalOptions &options) {
  Result<Scorer> scorer = loadScorer(options.artifact, options.device, options);
  if (!scorer)
    return fail(scorer.error());
  const Model &model = *scorer->model;
  const Result<Tokenizer> tokenizer = Tokenizer::load(model.tokenizer(), model.info().vocabSize);
  if (!tokenizer)
    return fail(options.artifact, "/model.plan, ", tokenizer.error());
  const Result<Text> text = readText(options, *tokenizer);
  if (!text)
    return fail(text.error());
  if (options.against.empty())
    return measure(*scorer, options, *text).and_then([&](const Perplexity &result) {
      return writeOut(report(options, *text, result));
    });
  Result<Scorer> reference = loadScorer(options.against, runtime::DeviceKind::automatic, options);
  if (!reference)
    return fail(reference.error());
  if (Result<void> checked = checkSameTokens(options, model, *reference->model); !checked)
    return checked;
  return compare(*scorer, *reference, options, *text).and_then([&](const Divergence &result) {
    return writeOut(report(options, *text, result));
  });
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
