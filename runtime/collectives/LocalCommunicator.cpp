// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/LocalCommunicator.h"
#include "runtime/collectives/HostInfo.h"
#include "runtime/collectives/WindowGroup.h"
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <sched.h>

namespace grok::runtime {

static constexpr int mostRanks = 1024;
// How often a parked rank looks for an abort or its deadline.
static constexpr std::chrono::milliseconds parkSlice{50};

namespace {

// Messages from one rank to another. Emptied buffers go round.
class Mailbox {
public:
  Result<void> put(const void *data, size_t bytes, Wait &wait);
  Result<void> take(void *data, size_t bytes, int sender, Wait &wait);

private:
  using Ready = bool (Mailbox::*)() const;
  bool hasRoom() const { return waiting.load() < Communicator::messagesAhead; }
  bool hasMessage() const { return waiting.load() > 0; }
  Result<std::unique_lock<std::mutex>> lockWhen(Ready ready, Wait &wait);

  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<int> waiting = 0;
  std::atomic<int> senderRanOn = -1; // processor of the last message
  std::deque<std::vector<std::byte>> messages;
  std::vector<std::vector<std::byte>> empty;
};

// A group that some of its members have not joined yet.
struct Founding {
  Window window;
  uint64_t largestBytes;
  size_t missing;
};

// What the communicators of one process share.
struct World {
  explicit World(int ranks)
      : ranks(ranks), mailboxes(static_cast<size_t>(ranks) * static_cast<size_t>(ranks)) {}

  Mailbox &mailbox(int from, int to) {
    return mailboxes[static_cast<size_t>(from) * static_cast<size_t>(ranks) +
                     static_cast<size_t>(to)];
  }

  int ranks;
  std::shared_ptr<AbortFlag> abort = std::make_shared<AbortFlag>();
  std::vector<Mailbox> mailboxes; // [from, to]
  std::mutex mutex;
  // By members and how often those have founded a group before.
  std::map<std::pair<std::vector<int>, int>, Founding> foundings;
};

class LocalCommunicator : public Communicator {
public:
  LocalCommunicator(std::shared_ptr<World> world, int rank);
  Result<std::unique_ptr<Group>> group(std::span<const int> members,
                                       uint64_t largestBytes) override;
  Result<void> send(int peer, const void *data, size_t bytes) override;
  Result<void> receive(int peer, void *data, size_t bytes) override;
  Result<void> receiveIdle(int peer, void *data, size_t bytes) override;

private:
  Result<void> take(int peer, void *data, size_t bytes, Wait::Kind kind);

  std::shared_ptr<World> world;
  std::map<std::vector<int>, int> founded; // groups of these members so far
};

} // namespace

Result<std::unique_lock<std::mutex>> Mailbox::lockWhen(Ready ready, Wait &wait) {
  // Spinning on the processor that the sender needs would hold it up.
  while (!(this->*ready)() && senderRanOn.load() != sched_getcpu() && wait.spin()) {
  }
  std::unique_lock lock(mutex);
  while (!(this->*ready)()) {
    if (auto going = wait.check(); !going)
      return fail(going.error());
    changed.wait_for(lock, parkSlice);
  }
  return lock;
}

Result<void> Mailbox::put(const void *data, size_t bytes, Wait &wait) {
  auto lock = lockWhen(&Mailbox::hasRoom, wait);
  if (!lock)
    return fail(lock.error());
  std::vector<std::byte> message;
  if (!empty.empty()) {
    message = std::move(empty.back());
    empty.pop_back();
  }
  message.resize(bytes);
  if (bytes > 0)
    std::memcpy(message.data(), data, bytes);
  messages.push_back(std::move(message));
  senderRanOn.store(sched_getcpu());
  waiting.fetch_add(1);
  lock->unlock();
  changed.notify_all();
  return {};
}

Result<void> Mailbox::take(void *data, size_t bytes, int sender, Wait &wait) {
  auto lock = lockWhen(&Mailbox::hasMessage, wait);
  if (!lock)
    return fail(lock.error());
  std::vector<std::byte> message = std::move(messages.front());
  messages.pop_front();
  waiting.fetch_sub(1);
  if (message.size() != bytes)
    return fail("rank ", sender, " sent ", message.size(), " bytes where ", bytes,
                " were expected");
  if (bytes > 0)
    std::memcpy(data, message.data(), bytes);
  empty.push_back(std::move(message));
  lock->unlock();
  changed.notify_all();
  return {};
}

LocalCommunicator::LocalCommunicator(std::shared_ptr<World> shared, int rank)
    : world(std::move(shared)) {
  rules.rank = rank;
  rules.hosts.assign(static_cast<size_t>(world->ranks), hostName());
  rules.abort = world->abort;
  rules.spin = spinTimeFor(world->ranks);
}

static std::shared_ptr<std::byte> zeroedMemory(size_t bytes) {
  constexpr size_t page = 4096;
  const size_t rounded = (bytes + page - 1) / page * page;
  auto *memory = static_cast<std::byte *>(std::aligned_alloc(page, rounded));
  std::memset(memory, 0, rounded);
  return {memory, [](std::byte *owned) { std::free(owned); }};
}

Result<std::unique_ptr<Group>> LocalCommunicator::group(std::span<const int> members,
                                                        uint64_t largestBytes) {
  auto index = checkMembers(members);
  if (!index)
    return fail(index.error());
  std::vector<int> ranksOfMembers(members.begin(), members.end());
  const std::pair key(ranksOfMembers, founded[ranksOfMembers]++);
  const std::lock_guard lock(world->mutex);
  auto found = world->foundings.find(key);
  if (found == world->foundings.end()) {
    const int count = static_cast<int>(members.size());
    const size_t capacity = WindowGroup::capacityFor(largestBytes);
    Window window(zeroedMemory(Window::bytesFor(count, capacity)), count, capacity);
    found = world->foundings.emplace(key, Founding{window, largestBytes, members.size()}).first;
  }
  Founding &founding = found->second;
  if (founding.largestBytes != largestBytes)
    return fail("group: rank ", rank(), " asks for messages of ", largestBytes,
                " bytes, another member for ", founding.largestBytes);
  auto made =
      std::make_unique<WindowGroup>(std::move(ranksOfMembers), *index, founding.window, rules);
  if (--founding.missing == 0)
    world->foundings.erase(found);
  return made;
}

Result<void> LocalCommunicator::send(int peer, const void *data, size_t bytes) {
  if (auto known = checkPeer(peer); !known)
    return known;
  Wait wait(rules, "send", peer);
  return world->mailbox(rank(), peer).put(data, bytes, wait);
}

Result<void> LocalCommunicator::take(int peer, void *data, size_t bytes, Wait::Kind kind) {
  if (auto known = checkPeer(peer); !known)
    return known;
  Wait wait(rules, "receive", peer, kind);
  return world->mailbox(peer, rank()).take(data, bytes, peer, wait);
}

Result<void> LocalCommunicator::receive(int peer, void *data, size_t bytes) {
  return take(peer, data, bytes, Wait::Kind::answer);
}

Result<void> LocalCommunicator::receiveIdle(int peer, void *data, size_t bytes) {
  return take(peer, data, bytes, Wait::Kind::idle);
}

Result<std::vector<std::unique_ptr<Communicator>>> makeLocalCommunicators(int ranks) {
  if (ranks < 1 || ranks > mostRanks)
    return fail("ranks: ", ranks, ", expected 1..", mostRanks);
  auto world = std::make_shared<World>(ranks);
  std::vector<std::unique_ptr<Communicator>> communicators;
  communicators.reserve(static_cast<size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank)
    communicators.push_back(std::make_unique<LocalCommunicator>(world, rank));
  return communicators;
}

} // namespace grok::runtime
