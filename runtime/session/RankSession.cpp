// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/RankSession.h"
#include "runtime/device/cpu/ThreadPool.h"
#include "runtime/sampler/Sampler.h"
#include "runtime/session/Commands.h"

namespace grok::runtime {

RankSession::RankSession(ModelState &model, RankState &rank, PagePool pool)
    : model(model), rank(rank), pages(std::move(pool)),
      sequences(pages, model.info.pageTokens, model.info.maxContext) {
  auto rows = static_cast<size_t>(model.info.maxStepRows);
  tokens.resize(rows);
  positions.resize(rows);
  sequenceOfRow.resize(rows);
  logitRow.resize(rows);
}

Result<std::unique_ptr<RankSession>> RankSession::create(ModelState &model, RankState &rank,
                                                         int64_t pages, bool executes) {
  uint64_t pageBytes =
      model.plan().page()->layer_bytes() * static_cast<uint64_t>(rank.program.layers());
  auto pool = PagePool::create(*rank.device, pageBytes, pages);
  if (!pool)
    return fail(pool.error());
  std::unique_ptr<RankSession> session(new RankSession(model, rank, std::move(*pool)));
  if (!executes)
    return session;
  auto executor = Executor::create(
      {model.plan(), rank.program, rank.layout, *rank.device, rank.placedWeights->data(),
       session->pages.base(), rank.links ? &*rank.links : nullptr, rank.exchange.get(),
       rank.nccl.get(),
       rank.place.rankIn(model.sharding()) == logitRankOf(model, rank.place.replica)});
  if (!executor)
    return fail(executor.error());
  session->program = std::make_unique<Executor>(std::move(*executor));
  return session;
}

// Another rank's error may leave work of the last step that waits for it.
RankSession::~RankSession() {
  if (rank.nccl && rank.communicator->waitRules().abort->raised())
    rank.nccl->abort();
}

static Result<void> checkToken(const ModelInfo &info, int32_t token, int64_t row) {
  if (token >= 0 && token < info.vocabSize)
    return {};
  return fail("step: row ", row, " has token ", token, ", the vocabulary is 0..",
              info.vocabSize - 1);
}

// Fills the step's arrays; gives the number of rows that want logits.
Result<int64_t> RankSession::place(std::span<const StepRow> rows) {
  int64_t numLogits = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto row = static_cast<int32_t>(i);
    if (auto checked = checkToken(model.info, rows[i].token, row); !checked)
      return fail(checked.error());
    auto position = sequences.place(rows[i].sequence);
    if (!position)
      return fail("step: row ", row, ": ", position.error());
    tokens[i] = rows[i].token;
    positions[i] = *position;
    sequenceOfRow[i] = rows[i].sequence;
    if (rows[i].wantLogits)
      logitRow[static_cast<size_t>(numLogits++)] = row;
  }
  if (auto taken = sequences.takePages(); !taken)
    return fail("step: ", taken.error());
  return numLogits;
}

Result<Logits> RankSession::run(int64_t rows, int64_t numLogits, std::span<const GrokDraw> draws) {
  const bool draw = !draws.empty() && program->canDraw();
  tokensDrawn = {};
  GrokStepInfo step = {.rows = rows,
                       .tokens = tokens.data(),
                       .positions = positions.data(),
                       .sequences = sequenceOfRow.data(),
                       .pageTable = sequences.pageTable(),
                       .pageTableStride = sequences.pageTableStride(),
                       .logitRows = numLogits,
                       .logitRow = logitRow.data(),
                       .draws = draw ? draws.data() : nullptr};
  std::optional<ThreadPool::CallerPin> pin;
  if (ThreadPool *pool = rank.device->threadPool())
    pin.emplace(*pool);
  if (rank.communicator)
    rank.communicator->setInStep(true);
  auto ran = program->run(step);
  if (rank.communicator)
    rank.communicator->setInStep(false);
  if (!ran) {
    if (rank.nccl) // whose work waits for ranks that may have ended by then
      rank.nccl->abort();
    if (!model.followers.empty()) // who wait for what this rank does not send any more
      rank.communicator->abort(ran.error());
    return fail("step: ", ran.error());
  }
  if (draw)
    tokensDrawn = program->drawn();
  else if (!program->logits())
    return Logits{nullptr, 0, model.info.vocabSize, 0};
  Logits logits{program->logits(), numLogits, model.info.vocabSize, program->logitStride()};
  if (!draws.empty() && !draw)
    drawHere(logits, draws);
  if (!draws.empty())
    logits.data = nullptr;
  return logits;
}

void RankSession::drawHere(const Logits &logits, std::span<const GrokDraw> draws) {
  drawnHere.clear();
  for (const GrokDraw &draw : draws)
    drawnHere.push_back(drawToken(logits.row(std::ssize(drawnHere)), draw, drawWeights));
  tokensDrawn = drawnHere;
}

Result<void> RankSession::check(std::span<const StepRow> rows) {
  auto placed = place(rows);
  sequences.finish(false);
  return placed ? Result<void>() : fail(placed.error());
}

Result<Logits> RankSession::step(std::span<const StepRow> rows, std::span<const GrokDraw> draws) {
  auto numLogits = place(rows);
  auto logits = numLogits ? run(static_cast<int64_t>(rows.size()), *numLogits, draws)
                          : Result<Logits>(fail(numLogits.error()));
  sequences.finish(logits.has_value());
  return logits;
}

Result<int64_t> RankSession::skip(std::span<const StepRow> rows) {
  auto numLogits = place(rows);
  sequences.finish(numLogits.has_value());
  return numLogits;
}

} // namespace grok::runtime
