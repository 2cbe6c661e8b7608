// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/SpreadStep.h"
#include "runtime/session/Commands.h"
#include <algorithm>

namespace grok::runtime {

static size_t countWanted(std::span<const StepRow> rows) {
  return static_cast<size_t>(std::ranges::count_if(rows, &StepRow::wantLogits));
}

/// Sorts the rows by replica, with the replica's numbers of their sequences.
Result<void> SpreadStep::share(std::span<const StepRow> rows, std::span<const GrokDraw> draws) {
  for (Share &each : shares) {
    each.rows.clear();
    each.draws.clear();
    each.logits.clear();
    each.tokens.clear();
  }
  size_t wanted = 0;
  for (StepRow row : rows) {
    if (row.sequence < 0)
      return fail("step: sequence ", row.sequence, " is not in use; create it first");
    Share &to = shares[numbers.replicaOf(row.sequence)];
    row.sequence = numbers.localOf(row.sequence);
    to.rows.push_back(row);
    if (row.wantLogits && !draws.empty())
      to.draws.push_back(draws[wanted++]);
  }
  for (size_t replica = 0; replica < replicas.size(); ++replica)
    if (!shares[replica].rows.empty())
      if (auto checked = replicas[replica]->check(shares[replica].rows); !checked)
        return checked;
  return {};
}

/// Parts are about equal.
SpreadStep::Part SpreadStep::partOf(size_t replica, size_t part, size_t parts) const {
  const std::span<const StepRow> rows = shares[replica].rows;
  const std::span<const GrokDraw> draws = shares[replica].draws;
  const size_t begin = rows.size() * part / parts, end = rows.size() * (part + 1) / parts;
  const std::span<const StepRow> own = rows.subspan(begin, end - begin);
  const size_t wanted = countWanted(own);
  return {replica, own,
          draws.empty() ? draws : draws.subspan(countWanted(rows.first(begin)), wanted), wanted};
}

/// Starts one part of a replica's step; what it gives stands in its share once it is here.
Result<void> SpreadStep::start(const Part &part) {
  if (part.rows.empty())
    return {};
  auto sent = sendStep(model, static_cast<int>(part.replica), number, part.rows, part.draws);
  if (!sent)
    return sent;
  RankSession &session = *replicas[part.replica];
  if (part.replica > 0)
    return session.skip(part.rows).map([](int64_t) {});
  auto logits = session.step(part.rows, part.draws);
  if (!logits)
    return fail(logits.error());
  Share &own = shares[0];
  if (logits->data)
    own.logits.insert(own.logits.end(), logits->data, logits->data + logits->rows * logits->stride);
  own.tokens.insert(own.tokens.end(), session.drawn().begin(), session.drawn().end());
  return {};
}

template <typename Item>
static Result<void> receiveMore(Communicator &communicator, int source, std::vector<Item> &items,
                                size_t count) {
  items.resize(items.size() + count);
  return communicator.receive(source, items.data() + items.size() - count, count * sizeof(Item));
}

/// Brings home what one part gave, in the order in which parts were started.
Result<void> SpreadStep::receive(const Part &part) {
  const int source = logitRankOf(model, static_cast<int>(part.replica));
  if (part.wanted == 0 || source == 0)
    return {};
  Communicator &communicator = *model.ranks.front()->communicator;
  communicator.setOperation("logits");
  communicator.setInStep(true);
  Share &to = shares[part.replica];
  auto received = part.draws.empty()
                      ? receiveMore(communicator, source, to.logits,
                                    part.wanted * static_cast<size_t>(model.logitStride))
                      : receiveMore(communicator, source, to.tokens, part.wanted);
  communicator.setInStep(false);
  return received;
}

/// There are as many parts as stages, so that a stage works on one while the next has the
/// one before; replica 0 comes last, since its part keeps this rank busy.
Result<void> SpreadStep::forParts(Result<void> (SpreadStep::*action)(const Part &)) {
  const auto parts = static_cast<size_t>(model.sharding().pp());
  for (size_t part = 0; part < parts; ++part)
    for (size_t replica = replicas.size(); replica-- > 0;)
      if (auto done = (this->*action)(partOf(replica, part, parts)); !done)
        return done;
  return {};
}

/// In the order of the step's rows, `stride` items for each that wants logits.
template <typename Item>
std::span<const Item> SpreadStep::merge(std::span<const StepRow> rows,
                                        std::vector<Item> Share::*items, size_t stride,
                                        std::vector<Item> &merged) {
  if (shares.size() == 1)
    return shares[0].*items;
  std::vector<size_t> next(shares.size());
  merged.clear();
  for (const StepRow &row : rows) {
    if (!row.wantLogits)
      continue;
    const size_t replica = numbers.replicaOf(row.sequence);
    const auto from = std::span<const Item>(shares[replica].*items).subspan(next[replica], stride);
    next[replica] += stride;
    merged.insert(merged.end(), from.begin(), from.end());
  }
  return merged;
}

Result<Logits> SpreadStep::run(std::span<const StepRow> rows, std::span<const GrokDraw> draws) {
  tokens = {};
  auto done =
      share(rows, draws).and_then([&] { return forParts(&SpreadStep::start); }).and_then([&] {
        return forParts(&SpreadStep::receive);
      });
  if (!done)
    return fail(done.error());
  Logits logits{nullptr, static_cast<int64_t>(countWanted(rows)), model.info.vocabSize,
                model.logitStride};
  if (draws.empty())
    logits.data =
        merge(rows, &Share::logits, static_cast<size_t>(model.logitStride), mergedLogits).data();
  else
    tokens = merge(rows, &Share::tokens, 1, mergedTokens);
  return logits;
}

} // namespace grok::runtime
