// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/ProcessCommunicator.h"
#include "runtime/collectives/Courier.h"
#include "runtime/collectives/HostInfo.h"
#include "runtime/collectives/MessageGroup.h"
#include "runtime/collectives/SharedMemory.h"
#include "runtime/collectives/WindowGroup.h"

namespace grok::runtime {

using Channel = Transport::Channel;

namespace {

// What the first member sends the others when a group is made.
struct Invitation {
  uint64_t largestBytes;
  SharedMemoryOffer memory;
};

// What they answer, and what it concludes: all of them, or none.
enum class Mapped : uint8_t { no, yes, otherSize };

} // namespace

ProcessCommunicator::ProcessCommunicator(std::unique_ptr<Transport> transport,
                                         const ProcessLayout &layout)
    : sharesMemory(layout.sharedMemory) {
  rules.rank = layout.rank;
  rules.hosts = layout.hosts;
  rules.spin = spinTimeFor(layout.ranksOnHost);
  courier = std::make_unique<Courier>(std::move(transport), rules);
}

ProcessCommunicator::~ProcessCommunicator() = default;

// Offers memory to the other members; none unless all could map it.
static Result<std::shared_ptr<std::byte>> found(Courier &courier, std::span<const int> members,
                                                uint64_t largestBytes, size_t windowBytes,
                                                bool sharesMemory) {
  auto memory = sharesMemory ? SharedMemory::create(windowBytes) : fail("switched off");
  const Invitation invitation = {largestBytes, memory ? memory->offer() : noSharedMemory()};
  for (const int member : members.subspan(1))
    if (auto sent = courier.send(member, Channel::setup, &invitation, sizeof(invitation)); !sent)
      return fail(sent.error());
  Mapped all = memory ? Mapped::yes : Mapped::no;
  for (const int member : members.subspan(1)) {
    auto answer = Mapped::no;
    if (auto got = courier.receive(member, Channel::setup, &answer, sizeof(answer)); !got)
      return fail(got.error());
    if (answer == Mapped::otherSize || all == Mapped::otherSize)
      all = Mapped::otherSize;
    else if (answer == Mapped::no)
      all = Mapped::no;
  }
  for (const int member : members.subspan(1))
    if (auto sent = courier.send(member, Channel::setup, &all, sizeof(all)); !sent)
      return fail(sent.error());
  if (all == Mapped::otherSize)
    return fail("group: its members ask for messages of different sizes");
  return all == Mapped::yes ? memory->memory() : nullptr;
}

static Result<std::shared_ptr<std::byte>> join(Courier &courier, int founder, uint64_t largestBytes,
                                               bool sharesMemory) {
  Invitation invitation;
  if (auto got = courier.receive(founder, Channel::setup, &invitation, sizeof(invitation)); !got)
    return fail(got.error());
  auto memory = sharesMemory ? SharedMemory::map(invitation.memory) : fail("switched off");
  Mapped mapped = memory ? Mapped::yes : Mapped::no;
  if (invitation.largestBytes != largestBytes)
    mapped = Mapped::otherSize;
  if (auto sent = courier.send(founder, Channel::setup, &mapped, sizeof(mapped)); !sent)
    return fail(sent.error());
  if (auto got = courier.receive(founder, Channel::setup, &mapped, sizeof(mapped)); !got)
    return fail(got.error());
  if (mapped == Mapped::otherSize)
    return fail("group: its members ask for messages of different sizes");
  return mapped == Mapped::yes ? memory->memory() : nullptr;
}

Result<std::unique_ptr<Group>> ProcessCommunicator::group(std::span<const int> members,
                                                          uint64_t largestBytes) {
  auto index = checkMembers(members);
  if (!index)
    return fail(index.error());
  const int count = static_cast<int>(members.size());
  const size_t capacity = WindowGroup::capacityFor(largestBytes);
  const size_t windowBytes = Window::bytesFor(count, capacity);
  auto memory = *index == 0 ? found(*courier, members, largestBytes, windowBytes, sharesMemory)
                            : join(*courier, members[0], largestBytes, sharesMemory);
  if (!memory)
    return fail(memory.error());
  std::vector<int> ranksOfMembers(members.begin(), members.end());
  if (!*memory)
    return std::make_unique<MessageGroup>(std::move(ranksOfMembers), *index, *courier);
  return std::make_unique<WindowGroup>(std::move(ranksOfMembers), *index,
                                       Window(*memory, count, capacity), rules);
}

Result<void> ProcessCommunicator::send(int peer, const void *data, size_t bytes) {
  if (auto known = checkPeer(peer); !known)
    return known;
  return courier->send(peer, Channel::message, data, bytes);
}

Result<void> ProcessCommunicator::receive(int peer, void *data, size_t bytes) {
  if (auto known = checkPeer(peer); !known)
    return known;
  return courier->receive(peer, Channel::message, data, bytes);
}

Result<void> ProcessCommunicator::receiveIdle(int peer, void *data, size_t bytes) {
  if (auto known = checkPeer(peer); !known)
    return known;
  return courier->receive(peer, Channel::message, data, bytes, Wait::Kind::idle);
}

Result<void> ProcessCommunicator::close() { return courier->close(); }

} // namespace grok::runtime
