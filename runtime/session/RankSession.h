// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What one rank holds of a session: pages, sequences and the executor. All ranks
// of a replica get the same calls in the same order, so their tables agree.
#pragma once

#include "runtime/executor/Executor.h"
#include "runtime/kvcache/SequenceTable.h"
#include "runtime/session/ModelState.h"
#include "runtime/session/Session.h"

namespace grok::runtime {

class RankSession {
public:
  /// `pages` of key/value memory. Without `executes` it only keeps the tables of
  /// a replica that runs elsewhere.
  static Result<std::unique_ptr<RankSession>> create(ModelState &model, RankState &rank,
                                                     int64_t pages, bool executes = true);
  ~RankSession();

  SequenceTable &table() { return sequences; }
  const SequenceTable &table() const { return sequences; }
  const PagePool &pool() const { return pages; }
  Executor &executor() { return *program; }

  /// What step would refuse; changes nothing.
  Result<void> check(std::span<const StepRow> rows);
  /// Feeds the rows. Logits stay where they are made: empty but in the one rank of a
  /// replica that gives them (logitRankOf). On error nothing has changed.
  /// There a token of each row that wants logits is drawn, by `draws` in their order if
  /// there are any, and the logits have no data: on the device where that can, else here.
  Result<Logits> step(std::span<const StepRow> rows, std::span<const GrokDraw> draws = {});
  /// What was drawn in the last step.
  std::span<const int32_t> drawn() const { return tokensDrawn; }
  /// Lets the tables go on as step does, where another rank does the work.
  Result<int64_t> skip(std::span<const StepRow> rows);

private:
  RankSession(ModelState &model, RankState &rank, PagePool pool);
  Result<int64_t> place(std::span<const StepRow> rows);
  Result<Logits> run(int64_t rows, int64_t numLogits, std::span<const GrokDraw> draws);
  void drawHere(const Logits &logits, std::span<const GrokDraw> draws);

  ModelState &model;
  RankState &rank;
  PagePool pages;
  SequenceTable sequences;
  std::unique_ptr<Executor> program;
  std::vector<int32_t> tokens, positions, sequenceOfRow, logitRow; // [max step rows]
  std::span<const int32_t> tokensDrawn;
  std::vector<int32_t> drawnHere;
  std::vector<float> drawWeights; // room to draw tokens in
};

} // namespace grok::runtime
