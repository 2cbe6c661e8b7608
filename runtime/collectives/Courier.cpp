// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/Courier.h"
#include "runtime/collectives/Communicator.h"
#include <cstring>

namespace grok::runtime {

static constexpr std::chrono::microseconds moveInterval{100};
static constexpr std::chrono::seconds farewell{1}; // of messages, once nobody sends any more

Courier::Courier(std::unique_ptr<Transport> carrier, WaitRules &rules)
    : transport(std::move(carrier)), rules(rules), ahead(rules.hosts.size()),
      mover([this] { keepMoving(); }) {}

Courier::~Courier() {
  letAllLeave();
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  mover.join();
}

// By the mover. False if something stays.
bool Courier::letAllLeave() {
  const auto end = std::chrono::steady_clock::now() + farewell;
  std::unique_lock lock(mutex);
  while (numAhead > 0 && !rules.abort->raised() && std::chrono::steady_clock::now() < end)
    changed.wait_for(lock, moveInterval);
  return numAhead == 0;
}

// Frees what has left, in order per peer.
Result<void> Courier::retire() {
  for (size_t peer = 0; peer < ahead.size(); ++peer) {
    std::deque<Sent> &sent = ahead[peer];
    while (!sent.empty()) {
      auto gone = transport->test(sent.front().ticket);
      if (!gone)
        return named(static_cast<int>(peer), "send", gone.error());
      if (!*gone)
        break;
      empty.push_back(std::move(sent.front().message));
      sent.pop_front();
      --numAhead;
    }
  }
  return {};
}

void Courier::keepMoving() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    if (numAhead == 0) {
      changed.wait(lock);
      continue;
    }
    if (auto moved = retire(); !moved) {
      rules.abort->raise(moved.error());
      return;
    }
    changed.wait_for(lock, moveInterval);
  }
}

Result<void> Courier::send(int peer, Channel channel, const void *data, size_t bytes) {
  std::deque<Sent> &sent = ahead[static_cast<size_t>(peer)];
  Wait wait(rules, "send", peer);
  std::unique_lock lock(mutex);
  for (;;) {
    if (auto moved = retire(); !moved)
      return moved;
    if (sent.size() < static_cast<size_t>(Communicator::messagesAhead))
      break;
    lock.unlock();
    if (auto going = wait.check(); !going)
      return going;
    wait.nap();
    lock.lock();
  }
  Sent next;
  if (!empty.empty()) {
    next.message = std::move(empty.back());
    empty.pop_back();
  }
  next.message.resize(bytes);
  if (bytes > 0)
    std::memcpy(next.message.data(), data, bytes);
  auto started = transport->startSend(peer, channel, next.message.data(), bytes);
  if (!started)
    return named(peer, "send", started.error());
  next.ticket = *started;
  sent.push_back(std::move(next));
  ++numAhead;
  if (auto moved = retire(); !moved)
    return moved;
  if (numAhead > 0)
    changed.notify_all();
  return {};
}

// Tests all of them each time: a send must go on while a receive is waited for.
Result<void> Courier::testAll(std::vector<Started> &operations, const char *collective) {
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < operations.size();) {
    auto done = transport->test(operations[i].ticket);
    if (!done)
      return named(operations[i].peer, collective, done.error());
    if (*done)
      operations.erase(operations.begin() + static_cast<ptrdiff_t>(i));
    else
      ++i;
  }
  return {};
}

Result<void> Courier::wait(std::vector<Started> operations, const char *collective,
                           Wait::Kind kind) {
  Wait wait(rules, collective, rules.rank, kind);
  for (;;) {
    if (auto tested = testAll(operations, collective); !tested)
      return tested;
    if (operations.empty())
      return {};
    wait.waitFor(operations.front().peer);
    if (wait.spin())
      continue;
    if (auto going = wait.check(); !going)
      return going;
    wait.nap();
  }
}

tl::unexpected<std::string> Courier::named(int peer, const char *collective,
                                           const std::string &error) {
  rules.peerFailed = true;
  return fail(rules.nameOf(peer), " ", error, ", in ", collective, " of \"",
              rules.activity.operation.load(std::memory_order_relaxed), "\"");
}

Result<void> Courier::receive(int peer, Channel channel, void *data, size_t bytes,
                              Wait::Kind kind) {
  std::unique_lock lock(mutex);
  auto started = transport->startReceive(peer, channel, data, bytes);
  lock.unlock();
  if (!started)
    return named(peer, "receive", started.error());
  return wait({{peer, *started}}, "receive", kind);
}

Result<void> Courier::exchange(const char *collective, std::span<const Exchange> exchanges) {
  std::vector<Started> started;
  std::unique_lock lock(mutex);
  for (const Exchange &one : exchanges) {
    if (one.receivedBytes == 0)
      continue;
    auto ticket =
        transport->startReceive(one.peer, Channel::collective, one.received, one.receivedBytes);
    if (!ticket)
      return named(one.peer, collective, ticket.error());
    started.push_back({one.peer, *ticket});
  }
  for (const Exchange &one : exchanges) {
    if (one.sentBytes == 0)
      continue;
    auto ticket = transport->startSend(one.peer, Channel::collective, one.sent, one.sentBytes);
    if (!ticket)
      return named(one.peer, collective, ticket.error());
    started.push_back({one.peer, *ticket});
  }
  lock.unlock();
  rules.activity.progress.fetch_add(1, std::memory_order_relaxed);
  return wait(std::move(started), collective, Wait::Kind::answer);
}

// The mover must not ask a closed transport whether messages have left that we
// know to have been received.
Result<void> Courier::close() {
  if (!letAllLeave())
    return fail("messages to other ranks did not leave");
  const std::lock_guard lock(mutex);
  return transport->close();
}

} // namespace grok::runtime
