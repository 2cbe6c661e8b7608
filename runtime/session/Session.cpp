// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/Session.h"
#include "runtime/session/Commands.h"
#include "runtime/session/SpreadStep.h"
#include <algorithm>

namespace grok::runtime {

struct SessionState {
  SessionState(std::shared_ptr<const Model> model, int32_t number)
      : model(std::move(model)), number(number) {
    chunkRows.resize(static_cast<size_t>(info().maxStepRows));
  }
  ~SessionState();

  const ModelInfo &info() const { return model->info(); }
  ModelState &shared() const { return model->state(); }
  SequenceNumbers numbers() const { return {replicas.size()}; }
  /// The session of replica 0 runs here; of the others only the tables.
  RankSession &own() const { return *replicas.front(); }
  /// -1 for a sequence that is not in use.
  int64_t lengthOf(int32_t sequence) const {
    if (sequence < 0)
      return -1;
    const SequenceTable &table = replicas[numbers().replicaOf(sequence)]->table();
    const int32_t local = numbers().localOf(sequence);
    return table.isInUse(local) ? table.length(local) : -1;
  }

  std::shared_ptr<const Model> model;
  int32_t number;      // of the session, for the other ranks
  bool isOpen = false; // on all of them
  std::vector<std::unique_ptr<RankSession>> replicas;
  std::vector<int32_t> sequencesOf; // in use, by replica
  std::vector<StepRow> chunkRows;   // of a prefill
  std::optional<SpreadStep> spread; // of a plan with several replicas or stages
};

static Result<int64_t> pagesOf(const ModelInfo &info, const SessionOptions &options) {
  if (options.sequences < 1)
    return fail("session: ", options.sequences, " sequences, expected at least 1");
  if (options.kvMemory == 0)
    return options.sequences * ((info.maxContext + info.pageTokens - 1) / info.pageTokens);
  uint64_t pages = options.kvMemory / info.pageBytes;
  if (pages == 0)
    return fail("session: ", options.kvMemory, " bytes of key/value memory hold no page of ",
                info.pageBytes, " bytes; give more --kv-memory");
  return static_cast<int64_t>(std::min<uint64_t>(pages, INT32_MAX));
}

Result<std::unique_ptr<Session>> Session::create(const std::shared_ptr<const Model> &model,
                                                 const SessionOptions &options) {
  ModelState &shared = model->state();
  auto pages = pagesOf(model->info(), options);
  if (!pages)
    return fail(pages.error());
  std::lock_guard lock(shared.running);
  auto state = std::make_unique<SessionState>(model, shared.sessionsMade++);
  for (int replica = 0; replica < shared.sharding().dp(); ++replica) {
    auto session = RankSession::create(shared, *shared.ranks.front(), *pages, replica == 0);
    if (!session)
      return fail(session.error());
    state->replicas.push_back(std::move(*session));
  }
  state->sequencesOf.resize(state->replicas.size());
  if (shared.sharding().pp() > 1 || shared.sharding().dp() > 1)
    state->spread.emplace(shared, state->number, state->replicas);
  Command open{Command::Kind::open, state->number, *pages};
  if (auto sent = sendToAll(shared, open); !sent)
    return fail(sent.error());
  state->isOpen = true;
  return std::make_unique<Session>(std::move(state));
}

Session::Session(std::unique_ptr<SessionState> state) : contents(std::move(state)) {}
Session::~Session() = default;

SessionState::~SessionState() {
  if (!isOpen) // its maker holds the lock
    return;
  std::lock_guard lock(shared().running);
  // A job that has failed has no ranks left to tell.
  (void)sendToAll(shared(), {Command::Kind::close, number, 0});
}

Result<int32_t> Session::createSequence() {
  SessionState &state = *contents;
  auto least = std::min_element(state.sequencesOf.begin(), state.sequencesOf.end());
  auto replica = least - state.sequencesOf.begin();
  std::lock_guard lock(state.shared().running);
  auto local = state.replicas[static_cast<size_t>(replica)]->table().create();
  if (!local)
    return local;
  ++*least;
  return sendCommand(state.shared(), static_cast<int>(replica),
                     {Command::Kind::createSequence, state.number, 0})
      .map([&] { return state.numbers().sequenceOf(static_cast<size_t>(replica), *local); });
}

Result<void> Session::freeSequence(int32_t sequence) {
  SessionState &state = *contents;
  if (sequence < 0)
    return state.own().table().free(sequence);
  const size_t replica = state.numbers().replicaOf(sequence);
  const int32_t local = state.numbers().localOf(sequence);
  std::lock_guard lock(state.shared().running);
  if (auto freed = state.replicas[replica]->table().free(local); !freed)
    return freed;
  --state.sequencesOf[replica];
  return sendCommand(state.shared(), static_cast<int>(replica),
                     {Command::Kind::freeSequence, state.number, local});
}

int64_t Session::length(int32_t sequence) const {
  return std::max<int64_t>(contents->lengthOf(sequence), 0);
}

/// All ranks do the step together, and this one has the logits.
static Result<Logits> stepTogether(SessionState &state, std::span<const StepRow> rows,
                                   std::span<const GrokDraw> draws) {
  ModelState &shared = state.shared();
  if (shared.plan().ranks()->size() == 1)
    return state.own().step(rows, draws);
  return state.own()
      .check(rows)
      .and_then([&] { return sendStep(shared, 0, state.number, rows, draws); })
      .and_then([&] { return state.own().step(rows, draws); });
}

Result<Logits> Session::step(std::span<const StepRow> rows) { return run(rows, {}); }

Result<void> Session::stepAndDraw(std::span<const StepRow> rows, std::span<const GrokDraw> draws,
                                  std::span<int32_t> drawn) {
  const SessionState &state = *contents;
  const auto wanted = static_cast<size_t>(
      std::ranges::count_if(rows, [](const StepRow &row) { return row.wantLogits; }));
  if (draws.size() != wanted || drawn.size() != wanted)
    return fail("step: ", wanted, " rows want a token, ", draws.size(), " draws are given");
  if (auto logits = run(rows, draws); !logits)
    return fail(logits.error());
  if (wanted > 0)
    std::ranges::copy(state.spread ? state.spread->drawn() : state.own().drawn(), drawn.begin());
  return {};
}

Result<Logits> Session::run(std::span<const StepRow> rows, std::span<const GrokDraw> draws) {
  SessionState &state = *contents;
  if (rows.empty() || static_cast<int64_t>(rows.size()) > state.info().maxStepRows)
    return fail("step: ", rows.size(), " rows, expected 1..", state.info().maxStepRows,
                "; feed longer input in chunks");
  std::lock_guard lock(state.shared().running);
  return state.spread ? state.spread->run(rows, draws) : stepTogether(state, rows, draws);
}

// Whole-input checks, so that a prompt that cannot fit changes nothing.
static Result<void> checkPrompt(const SessionState &state, int32_t sequence,
                                std::span<const int32_t> tokens) {
  const ModelInfo &info = state.info();
  if (tokens.empty())
    return fail("prefill: no tokens");
  const int64_t length = state.lengthOf(sequence);
  if (length < 0)
    return fail("prefill: sequence ", sequence, " is not in use; create it first");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= info.vocabSize)
      return fail("prefill: token ", i, " is ", tokens[i], ", the vocabulary is 0..",
                  info.vocabSize - 1);
  auto wanted = static_cast<int64_t>(tokens.size());
  if (wanted > info.maxContext - length)
    return fail("prefill: ", length, " + ", wanted, " tokens exceed the context limit of ",
                info.maxContext, "; shorten the prompt or compile with a larger --max-context");
  return {};
}

Result<Logits> Session::prefill(int32_t sequence, std::span<const int32_t> tokens, int64_t chunk,
                                PrefillLogits want, const ChunkCallback &callback) {
  SessionState &state = *contents;
  int64_t maxRows = state.info().maxStepRows;
  if (chunk < 0 || chunk > maxRows)
    return fail("prefill: chunks of ", chunk, " tokens, a step takes 1..", maxRows);
  if (auto checked = checkPrompt(state, sequence, tokens); !checked)
    return fail(checked.error());
  size_t size = static_cast<size_t>(chunk ? chunk : maxRows);
  Result<Logits> logits = Logits();
  for (size_t begin = 0; begin < tokens.size(); begin += size) {
    size_t end = std::min(begin + size, tokens.size());
    for (size_t i = begin; i < end; ++i) {
      bool isLast = want == PrefillLogits::last && i + 1 == tokens.size();
      state.chunkRows[i - begin] = {tokens[i], sequence, isLast || want == PrefillLogits::all};
    }
    logits = step({state.chunkRows.data(), end - begin});
    if (!logits)
      return fail("prefill: at token ", begin, ": ", logits.error());
    if (callback)
      callback(*logits, static_cast<int64_t>(end));
  }
  return logits;
}

uint64_t Session::kvBytesReserved() const {
  uint64_t bytes = 0;
  for (const auto &replica : contents->replicas)
    bytes += static_cast<uint64_t>(replica->pool().capacity()) * contents->info().pageBytes;
  return bytes;
}

uint64_t Session::kvBytesInUse() const {
  uint64_t bytes = 0;
  for (const auto &replica : contents->replicas)
    bytes += static_cast<uint64_t>(replica->pool().inUse()) * contents->info().pageBytes;
  return bytes;
}

void Session::setProfiling(bool on) { contents->own().executor().setProfiling(on); }
void Session::setGraphs(bool on) { contents->own().executor().setGraphs(on); }
void Session::setPersistent(bool on) { contents->own().executor().setPersistent(on); }
std::vector<LaunchTiming> Session::profile() const { return contents->own().executor().timings(); }
void Session::setObserver(LaunchObserver observer) {
  contents->own().executor().setObserver(std::move(observer));
}

} // namespace grok::runtime
