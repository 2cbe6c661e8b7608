// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/generation/Generation.h"

#include <algorithm>

namespace grok::runtime {

int64_t positionsOf(int64_t promptTokens, int64_t maxNewTokens) {
  return promptTokens + std::max<int64_t>(maxNewTokens - 1, 0);
}

int64_t pagesOf(int64_t positions, int64_t pageTokens) {
  return (positions + pageTokens - 1) / pageTokens;
}

Result<void> checkPrompt(std::span<const int32_t> prompt, const GenerationOptions &options,
                         const EngineLimits &limits) {
  if (prompt.empty())
    return fail("has no tokens, give at least one");
  for (size_t i = 0; i < prompt.size(); ++i)
    if (prompt[i] < 0 || prompt[i] >= limits.vocabSize)
      return fail("token ", prompt[i], " at position ", i,
                  " is outside the vocabulary, ids go from 0 to ", limits.vocabSize - 1);
  const auto tokens = static_cast<int64_t>(prompt.size());
  if (tokens > limits.maxContext)
    return fail("has ", tokens, " tokens, the context holds ", limits.maxContext,
                ", shorten it or compile with a larger --max-context");
  const int64_t room = limits.maxContext - tokens + 1;
  if (options.maxNewTokens > room)
    return fail("has ", tokens, " tokens and the context of ", limits.maxContext,
                " leaves room for ", room, " new ones, not ", options.maxNewTokens,
                ", lower --max-new-tokens or compile with a larger --max-context");
  const int64_t pages = pagesOf(positionsOf(tokens, options.maxNewTokens), limits.pageTokens);
  if (pages > limits.pages)
    return fail("needs ", pages, " key/value pages, the key/value memory holds ", limits.pages,
                ", raise --kv-memory to ", static_cast<uint64_t>(pages) * limits.pageBytes);
  return {};
}

namespace {

/// A prompt that has been started.
struct Running {
  size_t prompt;
  int32_t sequence;
  int64_t fed = 0;       // prompt tokens
  int64_t newTokens = 0; // drawn
  int32_t lastToken = 0; // the newest of them, to be fed next
  int64_t pages = 0;     // put aside for it
  Sampler sampler;
};

class Generation {
public:
  Generation(StepEngine &engine, const EngineLimits &limits, const GenerationOptions &options,
             std::span<const std::vector<int32_t>> prompts, GenerationListener &listener)
      : engine(engine), limits(limits), options(options), prompts(prompts), listener(listener),
        freePages(limits.pages) {}

  Result<void> run();

private:
  Result<void> startPrompts();
  void planStep();
  void planPromptRows(size_t index);
  Result<void> takeLogits();
  Result<void> takeTokens();
  Result<void> takeToken(size_t index, const Result<int32_t> &token);
  Result<void> retireFinished();
  bool isFeedingPrompt(const Running &running) const {
    return running.fed < static_cast<int64_t>(prompts[running.prompt].size());
  }

  /// The one who gets the logits of a row that wants them.
  struct RowOwner {
    size_t index; // in `running`
    bool drawsToken;
  };

  StepEngine &engine;
  const EngineLimits &limits;
  const GenerationOptions &options;
  std::span<const std::vector<int32_t>> prompts;
  GenerationListener &listener;

  size_t nextPrompt = 0;
  int64_t freePages;
  int64_t promptTokensFed = 0;
  std::vector<Running> running;
  std::vector<bool> isFinished; // [running]
  std::vector<StepRow> rows;
  std::vector<RowOwner> owners; // of the rows that want logits
  std::vector<GrokDraw> draws;  // [owners], likewise what is drawn
  std::vector<int32_t> drawn;
};

Result<void> Generation::startPrompts() {
  while (nextPrompt < prompts.size() && static_cast<int64_t>(running.size()) < limits.maxStepRows) {
    const auto tokens = static_cast<int64_t>(prompts[nextPrompt].size());
    const int64_t pages = pagesOf(positionsOf(tokens, options.maxNewTokens), limits.pageTokens);
    if (pages > freePages)
      break;
    const Result<int32_t> sequence = engine.createSequence();
    if (!sequence)
      return fail(sequence.error());
    freePages -= pages;
    running.push_back({.prompt = nextPrompt++,
                       .sequence = *sequence,
                       .pages = pages,
                       .sampler = Sampler(options.sampling)});
  }
  return {};
}

/// New tokens go first, so that no prompt holds up the others' text.
void Generation::planStep() {
  rows.clear();
  owners.clear();
  isFinished.assign(running.size(), false);
  for (size_t i = 0; i < running.size(); ++i) {
    if (isFeedingPrompt(running[i]))
      continue;
    rows.push_back({.token = running[i].lastToken, .sequence = running[i].sequence});
    owners.push_back({.index = i, .drawsToken = true});
  }
  for (size_t i = 0; i < running.size(); ++i)
    if (isFeedingPrompt(running[i]))
      planPromptRows(i);
}

void Generation::planPromptRows(size_t index) {
  Running &sequence = running[index];
  const std::vector<int32_t> &prompt = prompts[sequence.prompt];
  const auto tokens = static_cast<int64_t>(prompt.size());
  int64_t count = std::min(tokens - sequence.fed, limits.maxStepRows - int64_t(rows.size()));
  if (options.prefillChunk > 0)
    count = std::min(count, options.prefillChunk);
  for (const int64_t end = sequence.fed + count; sequence.fed < end; ++sequence.fed) {
    const bool isLast = sequence.fed == tokens - 1;
    const bool drawsToken = isLast && options.maxNewTokens > 0;
    const bool wantLogits = options.wantAllLogits || drawsToken;
    rows.push_back({.token = prompt[static_cast<size_t>(sequence.fed)],
                    .sequence = sequence.sequence,
                    .wantLogits = wantLogits});
    if (wantLogits)
      owners.push_back({.index = index, .drawsToken = drawsToken});
    if (isLast && options.maxNewTokens == 0)
      isFinished[index] = true;
  }
  promptTokensFed += count;
}

/// Makes the step, whose logits the listener gets.
Result<void> Generation::takeLogits() {
  const Result<Logits> logits = engine.step(rows);
  if (!logits)
    return fail(logits.error());
  for (size_t i = 0; i < owners.size(); ++i) {
    Running &sequence = running[owners[i].index];
    const std::span<const float> row = logits->row(static_cast<int64_t>(i));
    Result<void> taken = listener.takeLogits(sequence.prompt, row);
    if (taken && owners[i].drawsToken)
      taken = takeToken(owners[i].index, sequence.sampler.sample(row));
    if (!taken)
      return taken;
  }
  return {};
}

/// Makes the step, of which only tokens come back.
Result<void> Generation::takeTokens() {
  draws.clear();
  for (const RowOwner &owner : owners)
    draws.push_back(running[owner.index].sampler.nextDraw());
  drawn.resize(owners.size());
  Result<void> done = engine.stepAndDraw(rows, draws, drawn);
  for (size_t i = 0; done && i < owners.size(); ++i)
    done = takeToken(owners[i].index, tokenOf(drawn[i]));
  return done;
}

Result<void> Generation::takeToken(size_t index, const Result<int32_t> &token) {
  Running &sequence = running[index];
  if (!token)
    return fail("prompt ", sequence.prompt, ", new token ", sequence.newTokens, ", ",
                token.error());
  sequence.lastToken = *token;
  ++sequence.newTokens;
  const Result<bool> wantsMore = listener.takeToken(sequence.prompt, *token);
  if (!wantsMore)
    return fail(wantsMore.error());
  isFinished[index] =
      !*wantsMore || *token == options.stopToken || sequence.newTokens == options.maxNewTokens;
  return {};
}

Result<void> Generation::retireFinished() {
  for (size_t i = running.size(); i-- > 0;) {
    if (!isFinished[i])
      continue;
    freePages += running[i].pages;
    if (Result<void> freed = engine.freeSequence(running[i].sequence); !freed)
      return freed;
    if (Result<void> finished = listener.finish(running[i].prompt); !finished)
      return finished;
    running.erase(running.begin() + static_cast<ptrdiff_t>(i));
  }
  return {};
}

Result<void> Generation::run() {
  while (nextPrompt < prompts.size() || !running.empty()) {
    if (Result<void> started = startPrompts(); !started)
      return started;
    planStep();
    if (Result<void> made = options.wantAllLogits ? takeLogits() : takeTokens(); !made)
      return made;
    listener.showProgress(promptTokensFed);
    if (Result<void> retired = retireFinished(); !retired)
      return retired;
  }
  return {};
}

} // namespace

Result<void> generate(StepEngine &engine, const EngineLimits &limits,
                      const GenerationOptions &options,
                      std::span<const std::vector<int32_t>> prompts, GenerationListener &listener) {
  return Generation(engine, limits, options, prompts, listener).run();
}

} // namespace grok::runtime
