// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/Session.h"
#include "runtime/executor/Executor.h"
#include "runtime/kvcache/SequenceTable.h"
#include "runtime/session/ModelState.h"
#include <algorithm>

namespace grok::runtime {

/// Everything a step touches is allocated here, once.
struct SessionState {
  SessionState(std::shared_ptr<const Model> model, PagePool pages)
      : model(std::move(model)), pool(std::move(pages)),
        table(pool, info().pageTokens, info().maxContext) {
    auto rows = static_cast<size_t>(info().maxStepRows);
    tokens.resize(rows);
    positions.resize(rows);
    sequences.resize(rows);
    logitRow.resize(rows);
    chunkRows.resize(rows);
  }

  const ModelInfo &info() const { return model->info(); }

  std::shared_ptr<const Model> model;
  PagePool pool;
  SequenceTable table;
  std::unique_ptr<Executor> executor;
  std::vector<int32_t> tokens, positions, sequences, logitRow; // [maxStepRows]
  std::vector<StepRow> chunkRows;                              // of a prefill
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
  auto pool = PagePool::create(*shared.device, model->info().pageBytes, *pages);
  if (!pool)
    return fail(pool.error());
  auto state = std::make_unique<SessionState>(std::move(model), std::move(*pool));
  auto executor = Executor::create({shared.document.root(), shared.program, shared.layout,
                                    shared.weights, *shared.device, state->pool.base()});
  if (!executor)
    return fail(executor.error());
  state->executor = std::make_unique<Executor>(std::move(*executor));
  return std::make_unique<Session>(std::move(state));
}

Session::Session(std::unique_ptr<SessionState> state) : contents(std::move(state)) {}
Session::~Session() = default;

Result<int32_t> Session::createSequence() { return contents->table.create(); }
Result<void> Session::freeSequence(int32_t sequence) { return contents->table.free(sequence); }
int64_t Session::length(int32_t sequence) const { return contents->table.length(sequence); }

static Result<void> checkToken(const ModelInfo &info, int32_t token, int64_t row) {
  if (token >= 0 && token < info.vocabSize)
    return {};
  return fail("step: row ", row, " has token ", token, ", the vocabulary is 0..",
              info.vocabSize - 1);
}

// Fills the step's arrays; gives the number of rows that want logits.
static Result<int64_t> placeRows(SessionState &state, std::span<const StepRow> rows) {
  int64_t numLogits = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto row = static_cast<int32_t>(i);
    if (auto checked = checkToken(state.info(), rows[i].token, row); !checked)
      return fail(checked.error());
    auto position = state.table.place(rows[i].sequence);
    if (!position)
      return fail("step: row ", row, ": ", position.error());
    state.tokens[i] = rows[i].token;
    state.positions[i] = *position;
    state.sequences[i] = rows[i].sequence;
    if (rows[i].wantLogits)
      state.logitRow[static_cast<size_t>(numLogits++)] = row;
  }
  if (auto taken = state.table.takePages(); !taken)
    return fail("step: ", taken.error());
  return numLogits;
}

static Result<Logits> runPlacedRows(SessionState &state, int64_t rows, int64_t numLogits) {
  const ModelInfo &info = state.info();
  GrokStepInfo step = {.rows = rows,
                       .tokens = state.tokens.data(),
                       .positions = state.positions.data(),
                       .sequences = state.sequences.data(),
                       .pageTable = state.table.pageTable(),
                       .pageTableStride = state.table.pageTableStride(),
                       .logitRows = numLogits,
                       .logitRow = state.logitRow.data()};
  ModelState &shared = state.model->state();
  std::lock_guard lock(shared.running);
  ThreadPool::CallerPin pin(shared.device->threadPool());
  if (auto ran = state.executor->run(step); !ran)
    return fail("step: ", ran.error());
  return Logits{state.executor->logits(), numLogits, info.vocabSize,
                (info.vocabSize + 15) / 16 * 16};
}

Result<Logits> Session::step(std::span<const StepRow> rows) {
  SessionState &state = *contents;
  if (rows.empty() || static_cast<int64_t>(rows.size()) > state.info().maxStepRows)
    return fail("step: ", rows.size(), " rows, expected 1..", state.info().maxStepRows,
                "; feed longer input in chunks");
  auto numLogits = placeRows(state, rows);
  auto logits = numLogits ? runPlacedRows(state, static_cast<int64_t>(rows.size()), *numLogits)
                          : Result<Logits>(fail(numLogits.error()));
  state.table.finish(logits.has_value());
  return logits;
}

// Whole-input checks, so that a prompt that cannot fit changes nothing.
static Result<void> checkPrompt(const SessionState &state, int32_t sequence,
                                std::span<const int32_t> tokens) {
  const ModelInfo &info = state.info();
  if (tokens.empty())
    return fail("prefill: no tokens");
  if (!state.table.isInUse(sequence))
    return fail("prefill: sequence ", sequence, " is not in use; create it first");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= info.vocabSize)
      return fail("prefill: token ", i, " is ", tokens[i], ", the vocabulary is 0..",
                  info.vocabSize - 1);
  auto wanted = static_cast<int64_t>(tokens.size());
  if (wanted > info.maxContext - state.table.length(sequence))
    return fail("prefill: ", state.table.length(sequence), " + ", wanted,
                " tokens exceed the context limit of ", info.maxContext,
                "; shorten the prompt or compile with a larger --max-context");
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
  return static_cast<uint64_t>(contents->pool.capacity()) * contents->pool.pageBytes();
}

uint64_t Session::kvBytesInUse() const {
  return static_cast<uint64_t>(contents->pool.inUse()) * contents->pool.pageBytes();
}

void Session::setProfiling(bool on) { contents->executor->setProfiling(on); }
std::vector<LaunchTiming> Session::profile() const { return contents->executor->timings(); }
void Session::setObserver(LaunchObserver observer) {
  contents->executor->setObserver(std::move(observer));
}

} // namespace grok::runtime
