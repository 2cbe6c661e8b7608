// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/Commands.h"
#include <algorithm>
#include <map>

namespace grok::runtime {

namespace {

/// A StepRow on its way: no padding bytes.
struct SentRow {
  int32_t token;
  int32_t sequence;
  int32_t wantLogits;
};

/// The sessions of one rank that is not the leader.
class Follower {
public:
  Follower(ModelState &model, RankState &rank) : model(model), rank(rank) {}
  Result<void> follow();

private:
  Result<void> obey(const Command &command);
  Result<void> open(const Command &command);
  Result<void> receive(const Command &command);
  Result<void> step(const Command &command);
  Result<RankSession *> find(const Command &command);

  ModelState &model;
  RankState &rank;
  std::map<int32_t, std::unique_ptr<RankSession>> sessions;
  std::vector<SentRow> sent;
  std::vector<StepRow> rows;
  std::vector<GrokDraw> draws;
};

} // namespace

static int ranksOfReplica(const plan::Sharding &sharding) {
  return sharding.tp() * sharding.ep() * sharding.pp();
}

int logitRankOf(const ModelState &model, int replica) {
  const plan::Sharding &sharding = model.sharding();
  return RankPlace{.stage = sharding.pp() - 1, .replica = replica}.rankIn(sharding);
}

template <typename Item>
static Result<void> sendItems(Communicator &communicator, int peer, std::span<const Item> items) {
  return items.empty() ? Result<void>() : communicator.send(peer, items.data(), items.size_bytes());
}

static Result<void> sendAll(ModelState &model, int replica, const Command &command,
                            std::span<const SentRow> rows, std::span<const GrokDraw> draws) {
  Communicator *communicator = model.ranks.front()->communicator;
  if (!communicator)
    return {};
  communicator->setOperation("command");
  const int count = ranksOfReplica(model.sharding());
  for (int peer = replica * count; peer < (replica + 1) * count; ++peer) {
    if (peer == 0)
      continue;
    auto done = communicator->send(peer, &command, sizeof(command))
                    .and_then([&] { return sendItems(*communicator, peer, rows); })
                    .and_then([&] { return sendItems(*communicator, peer, draws); });
    if (!done)
      return done;
  }
  return {};
}

Result<void> sendCommand(ModelState &model, int replica, const Command &command) {
  return sendAll(model, replica, command, {}, {});
}

Result<void> sendStep(ModelState &model, int replica, int32_t session,
                      std::span<const StepRow> rows, std::span<const GrokDraw> draws) {
  std::vector<SentRow> sent;
  sent.reserve(rows.size());
  for (const StepRow &row : rows)
    sent.push_back({row.token, row.sequence, row.wantLogits});
  return sendAll(model, replica,
                 {Command::Kind::step, session, std::ssize(rows), std::ssize(draws)}, sent, draws);
}

Result<void> sendToAll(ModelState &model, const Command &command) {
  for (int replica = 0; replica < model.sharding().dp(); ++replica)
    if (auto done = sendCommand(model, replica, command); !done)
      return done;
  return {};
}

Result<void> Follower::open(const Command &command) {
  auto session = RankSession::create(model, rank, command.number);
  if (!session)
    return fail(session.error());
  sessions[command.session] = std::move(*session);
  return {};
}

Result<RankSession *> Follower::find(const Command &command) {
  auto entry = sessions.find(command.session);
  if (entry == sessions.end())
    return fail("the leader names session ", command.session, ", which it never opened");
  return entry->second.get();
}

/// What follows the command of a step.
Result<void> Follower::receive(const Command &command) {
  if (command.number < 1 || command.number > model.info.maxStepRows)
    return fail("the leader sends a step of ", command.number, " rows");
  if (command.draws < 0 || command.draws > command.number)
    return fail("the leader sends ", command.draws, " draws for ", command.number, " rows");
  sent.resize(static_cast<size_t>(command.number));
  draws.resize(static_cast<size_t>(command.draws));
  Communicator &communicator = *rank.communicator;
  auto received = communicator.receive(0, sent.data(), sent.size() * sizeof(SentRow));
  if (received && !draws.empty())
    received = communicator.receive(0, draws.data(), draws.size() * sizeof(GrokDraw));
  if (!received)
    return received;
  rows.clear();
  for (const SentRow &row : sent)
    rows.push_back({row.token, row.sequence, row.wantLogits != 0});
  const auto wanted = std::ranges::count_if(rows, &StepRow::wantLogits);
  if (command.draws != 0 && command.draws != wanted)
    return fail("the leader sends ", command.draws, " draws for ", wanted, " rows of logits");
  return {};
}

Result<void> Follower::step(const Command &command) {
  if (auto received = receive(command); !received)
    return received;
  auto session = find(command);
  if (!session)
    return fail(session.error());
  auto logits = (*session)->step(rows, draws);
  if (!logits)
    return fail(logits.error());
  if (!draws.empty())
    return sendItems(*rank.communicator, 0, (*session)->drawn());
  return sendItems(*rank.communicator, 0,
                   std::span(logits->data, static_cast<size_t>(logits->rows * logits->stride)));
}

Result<void> Follower::obey(const Command &command) {
  if (command.kind == Command::Kind::open)
    return open(command);
  if (command.kind == Command::Kind::step)
    return step(command);
  auto session = find(command);
  if (!session)
    return fail(session.error());
  switch (command.kind) {
  case Command::Kind::close:
    sessions.erase(command.session);
    return {};
  case Command::Kind::createSequence:
    return (*session)->table().create().map([](int32_t) {});
  case Command::Kind::freeSequence:
    return (*session)->table().free(static_cast<int32_t>(command.number));
  default:
    return fail("the leader sends an unknown command");
  }
}

Result<void> Follower::follow() {
  Communicator &communicator = *rank.communicator;
  communicator.setInStep(false);
  while (true) {
    Command command;
    if (auto received = communicator.receiveIdle(0, &command, sizeof(command)); !received)
      return received;
    if (command.kind == Command::Kind::quit)
      return {};
    if (auto done = obey(command); !done) {
      communicator.abort(done.error());
      return done;
    }
  }
}

Result<void> followLeader(ModelState &model, RankState &rank) {
  return Follower(model, rank).follow();
}

} // namespace grok::runtime
