// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/Session.h"
#include "runtime/sampler/Sampler.h"
#include "runtime/session/Commands.h"
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
  size_t replicaOf(int32_t sequence) const {
    return static_cast<size_t>(sequence) % replicas.size();
  }
  int32_t localOf(int32_t sequence) const {
    return sequence / static_cast<int32_t>(replicas.size());
  }
  /// The session of replica 0 runs here; of the others only the tables.
  RankSession &own() const { return *replicas.front(); }
  /// -1 for a sequence that is not in use.
  int64_t lengthOf(int32_t sequence) const {
    if (sequence < 0)
      return -1;
    const SequenceTable &table = replicas[replicaOf(sequence)]->table();
    return table.isInUse(localOf(sequence)) ? table.length(localOf(sequence)) : -1;
  }

  std::shared_ptr<const Model> model;
  int32_t number; // of the session, for the other ranks
  std::vector<std::unique_ptr<RankSession>> replicas;
  std::vector<int32_t> sequencesOf; // in use, by replica
  std::vector<StepRow> chunkRows;   // of a prefill
  // Of a step that several replicas or stages share, by replica:
  std::vector<std::vector<StepRow>> rowsOf;
  std::vector<std::vector<float>> logitsOf;
  std::vector<float> merged;      // logits in the order of the rows
  std::vector<float> drawWeights; // room to draw tokens in
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

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model,
                                                 const SessionOptions &options) {
  ModelState &shared = model->state();
  auto pages = pagesOf(model->info(), options);
  if (!pages)
    return fail(pages.error());
  std::lock_guard lock(shared.running);
  auto state = std::make_unique<SessionState>(std::move(model), shared.sessionsMade++);
  for (int replica = 0; replica < shared.sharding().dp(); ++replica) {
    auto session = RankSession::create(shared, *shared.ranks.front(), *pages, replica == 0);
    if (!session)
      return fail(session.error());
    state->replicas.push_back(std::move(*session));
  }
  state->sequencesOf.resize(state->replicas.size());
  state->rowsOf.resize(state->replicas.size());
  state->logitsOf.resize(state->replicas.size());
  Command open{Command::Kind::open, state->number, *pages};
  if (auto sent = sendToAll(shared, open); !sent)
    return fail(sent.error());
  return std::make_unique<Session>(std::move(state));
}

Session::Session(std::unique_ptr<SessionState> state) : contents(std::move(state)) {}
Session::~Session() = default;

SessionState::~SessionState() {
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
      .map([&] {
        return *local * static_cast<int32_t>(state.replicas.size()) + static_cast<int32_t>(replica);
      });
}

Result<void> Session::freeSequence(int32_t sequence) {
  SessionState &state = *contents;
  if (sequence < 0)
    return state.own().table().free(sequence);
  const size_t replica = state.replicaOf(sequence);
  const int32_t local = state.localOf(sequence);
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

static Command stepCommand(const SessionState &state, size_t rows) {
  return {Command::Kind::step, state.number, static_cast<int64_t>(rows)};
}

/// All ranks do the step together, and this one has the logits.
static Result<Logits> stepTogether(SessionState &state, std::span<const StepRow> rows,
                                   std::span<const GrokDraw> draws) {
  ModelState &shared = state.shared();
  if (shared.plan().ranks()->size() == 1)
    return state.own().step(rows, draws);
  return state.own()
      .check(rows)
      .and_then([&] { return sendCommand(shared, 0, stepCommand(state, rows.size()), rows); })
      .and_then([&] { return state.own().step(rows, draws); });
}

/// Sorts the rows by replica, with the replica's numbers of their sequences.
static Result<void> spreadRows(SessionState &state, std::span<const StepRow> rows) {
  for (std::vector<StepRow> &part : state.rowsOf)
    part.clear();
  for (StepRow row : rows) {
    if (row.sequence < 0)
      return fail("step: sequence ", row.sequence, " is not in use; create it first");
    std::vector<StepRow> &part = state.rowsOf[state.replicaOf(row.sequence)];
    row.sequence = state.localOf(row.sequence);
    part.push_back(row);
  }
  for (size_t replica = 0; replica < state.replicas.size(); ++replica)
    if (!state.rowsOf[replica].empty())
      if (auto checked = state.replicas[replica]->check(state.rowsOf[replica]); !checked)
        return checked;
  return {};
}

/// Rows of `part` of `parts` about equal ones.
static std::span<const StepRow> partOf(std::span<const StepRow> rows, size_t part, size_t parts) {
  const size_t begin = rows.size() * part / parts, end = rows.size() * (part + 1) / parts;
  return rows.subspan(begin, end - begin);
}

static int64_t countLogits(std::span<const StepRow> rows) {
  return std::count_if(rows.begin(), rows.end(), [](const StepRow &row) { return row.wantLogits; });
}

/// Starts one part of a replica's step; what it will give stands in `logitsOf`
/// once it is here.
static Result<void> startPart(SessionState &state, size_t replica, std::span<const StepRow> rows) {
  ModelState &shared = state.shared();
  if (rows.empty())
    return {};
  auto sent = sendCommand(shared, static_cast<int>(replica), stepCommand(state, rows.size()), rows);
  if (!sent)
    return sent;
  if (replica > 0)
    return state.replicas[replica]->skip(rows).map([](int64_t) {});
  auto logits = state.own().step(rows);
  if (!logits)
    return fail(logits.error());
  std::vector<float> &kept = state.logitsOf[0];
  if (logits->data)
    kept.insert(kept.end(), logits->data, logits->data + logits->rows * logits->stride);
  return {};
}

/// Brings the logits of one part home, in the order in which parts were started.
static Result<void> receivePart(SessionState &state, size_t replica,
                                std::span<const StepRow> rows) {
  ModelState &shared = state.shared();
  const int source = logitRankOf(shared, static_cast<int>(replica));
  const auto count = static_cast<size_t>(countLogits(rows) * shared.logitStride);
  if (count == 0 || source == 0)
    return {};
  Communicator &communicator = *shared.ranks.front()->communicator;
  communicator.setOperation("logits");
  communicator.setInStep(true);
  std::vector<float> &kept = state.logitsOf[replica];
  kept.resize(kept.size() + count);
  auto received = communicator.receive(source, &*(kept.end() - static_cast<std::ptrdiff_t>(count)),
                                       count * sizeof(float));
  communicator.setInStep(false);
  return received;
}

/// Calls `action` with every part of every replica's rows. There are as many
/// parts as stages, so that a stage works on one while the next has the one
/// before; replica 0 comes last, since its part keeps this rank busy.
template <typename Action> static Result<void> forParts(SessionState &state, Action action) {
  const auto parts = static_cast<size_t>(state.shared().sharding().pp());
  for (size_t part = 0; part < parts; ++part)
    for (size_t replica = state.replicas.size(); replica-- > 0;) {
      auto done = action(state, replica, partOf(state.rowsOf[replica], part, parts));
      if (!done)
        return done;
    }
  return {};
}

/// Logits in the order of the step's rows.
static Logits mergeLogits(SessionState &state, std::span<const StepRow> rows) {
  const int64_t stride = state.shared().logitStride, count = countLogits(rows);
  if (state.replicas.size() == 1)
    return {state.logitsOf[0].data(), count, state.info().vocabSize, stride};
  std::vector<int64_t> next(state.replicas.size());
  state.merged.clear();
  for (const StepRow &row : rows) {
    if (!row.wantLogits)
      continue;
    const size_t replica = state.replicaOf(row.sequence);
    const float *from = state.logitsOf[replica].data() + next[replica]++ * stride;
    state.merged.insert(state.merged.end(), from, from + stride);
  }
  return {state.merged.data(), count, state.info().vocabSize, stride};
}

static Result<Logits> stepSpread(SessionState &state, std::span<const StepRow> rows) {
  for (std::vector<float> &logits : state.logitsOf)
    logits.clear();
  return spreadRows(state, rows)
      .and_then([&] { return forParts(state, startPart); })
      .and_then([&] { return forParts(state, receivePart); })
      .map([&] { return mergeLogits(state, rows); });
}

Result<Logits> Session::step(std::span<const StepRow> rows) { return run(rows, {}); }

Result<void> Session::stepAndDraw(std::span<const StepRow> rows, std::span<const GrokDraw> draws,
                                  std::span<int32_t> drawn) {
  SessionState &state = *contents;
  const auto wanted = static_cast<size_t>(countLogits(rows));
  if (draws.size() != wanted || drawn.size() != wanted)
    return fail("step: ", wanted, " rows want a token, ", draws.size(), " draws are given");
  auto logits = run(rows, draws);
  if (!logits)
    return fail(logits.error());
  const bool isDrawn = !draws.empty() && !logits->data;
  if (isDrawn)
    std::ranges::copy(state.own().drawn(), drawn.begin());
  for (size_t i = 0; !isDrawn && i < wanted; ++i)
    drawn[i] = drawToken(logits->row(static_cast<int64_t>(i)), draws[i], state.drawWeights);
  return {};
}

Result<Logits> Session::run(std::span<const StepRow> rows, std::span<const GrokDraw> draws) {
  SessionState &state = *contents;
  if (rows.empty() || static_cast<int64_t>(rows.size()) > state.info().maxStepRows)
    return fail("step: ", rows.size(), " rows, expected 1..", state.info().maxStepRows,
                "; feed longer input in chunks");
  std::lock_guard lock(state.shared().running);
  const plan::Sharding &sharding = state.shared().sharding();
  return sharding.pp() == 1 && sharding.dp() == 1 ? stepTogether(state, rows, draws)
                                                  : stepSpread(state, rows);
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
