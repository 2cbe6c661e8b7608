// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/runtime/collectives/Conformance.h"
#include "runtime/collectives/TreeSum.h"
#include <cstring>
#include <numeric>

namespace grok::runtime::conformance {

using Bytes = std::vector<unsigned char>;

static std::vector<int> everyone(const Communicator &communicator) {
  std::vector<int> members(static_cast<size_t>(communicator.ranks()));
  std::iota(members.begin(), members.end(), 0);
  return members;
}

// Different for each rank, place and message.
static unsigned char byteOf(int rank, size_t place, int message) {
  return static_cast<unsigned char>(place * 31 + static_cast<size_t>(rank) * 101 +
                                    static_cast<size_t>(message) * 7 + (place >> 8));
}

// Values whose sum depends on the order of additions.
static float valueOf(int rank, int64_t place) {
  const auto mixed =
      static_cast<uint32_t>(place) * 2654435761U + static_cast<uint32_t>(rank) * 40503U + 12345U;
  const float magnitude = static_cast<float>(1u << (mixed >> 28));
  return (static_cast<float>(mixed & 0xffff) / 65536.0F - 0.5F) * magnitude;
}

static std::vector<float> valuesOf(int rank, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    values[static_cast<size_t>(i)] = valueOf(rank, i);
  return values;
}

static Result<void> checkGather(Group &group, int rank, int64_t rows, size_t rowBytes,
                                int message) {
  const auto members = static_cast<size_t>(group.members());
  const size_t bytes = static_cast<size_t>(rows) * rowBytes;
  Bytes own(bytes), all(bytes * members + 1, 0xee);
  for (size_t i = 0; i < bytes; ++i)
    own[i] = byteOf(rank, i, message);
  if (auto done = group.allGatherRows(own.data(), all.data(), rows, rowBytes); !done)
    return done;
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row)
    for (size_t member = 0; member < members; ++member)
      for (size_t i = 0; i < rowBytes; ++i)
        if (all[(row * members + member) * rowBytes + i] !=
            byteOf(group.rankOf(static_cast<int>(member)), row * rowBytes + i, message))
          return fail("all_gather of ", rows, " x ", rowBytes, ": wrong byte ", i, " of row ", row,
                      ", member ", member);
  if (all.back() != 0xee)
    return fail("all_gather of ", rows, " x ", rowBytes, " wrote past its end");
  return {};
}

static Result<void> checkReduce(Group &group, int rank, int64_t rows, int64_t columns) {
  const int64_t count = rows * columns;
  std::vector<std::vector<float>> parts;
  std::vector<const float *> pointers;
  for (int member = 0; member < group.members(); ++member) {
    parts.push_back(valuesOf(group.rankOf(member), count));
    pointers.push_back(parts.back().data());
  }
  std::vector<float> expected(static_cast<size_t>(count)), sum(static_cast<size_t>(count));
  treeSum(pointers, expected.data(), count);
  const std::vector<float> own = valuesOf(rank, count);
  if (auto done = group.allReduceRows(own.data(), sum.data(), rows, columns); !done)
    return done;
  if (count > 0 && std::memcmp(sum.data(), expected.data(), sum.size() * sizeof(float)) != 0)
    return fail("all_reduce of ", rows, " x ", columns, " differs from the tree");
  return {};
}

// Larger than the group was made for, smaller, odd, above the switch to two shots.
static Result<void> gathersAnySize(Communicator &communicator) {
  auto group = communicator.group(everyone(communicator), 24576);
  if (!group)
    return fail(group.error());
  const std::pair<int64_t, size_t> sizes[] = {{1, 1},     {1, 24576}, {3, 5},       {7, 127},
                                              {64, 1000}, {1, 65537}, {2, 100'003}, {33, 24576}};
  int message = 0;
  for (const auto &[rows, rowBytes] : sizes)
    if (auto done = checkGather(**group, communicator.rank(), rows, rowBytes, message++); !done)
      return done;
  return {};
}

static Result<void> reducesInTheTree(Communicator &communicator) {
  auto group = communicator.group(everyone(communicator), 4 << 20);
  if (!group)
    return fail(group.error());
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1},     {1, 6144},  {5, 33},        {11, 6144},
                                               {1, 65537}, {17, 6144}, {3, 1'000'003}, {200, 6144}};
  for (const auto &[rows, columns] : sizes)
    if (auto done = checkReduce(**group, communicator.rank(), rows, columns); !done)
      return done;
  return {};
}

static Result<void> reducesInPieces(Communicator &communicator) {
  auto group = communicator.group(everyone(communicator), 1);
  if (!group)
    return fail(group.error());
  return checkReduce(**group, communicator.rank(), 3, 6145);
}

static Result<void> nothingToDo(Communicator &communicator) {
  auto group = communicator.group(everyone(communicator), 64);
  if (!group)
    return fail(group.error());
  if (auto done = checkGather(**group, communicator.rank(), 0, 64, 0); !done)
    return done;
  if (auto done = checkReduce(**group, communicator.rank(), 0, 64); !done)
    return done;
  return checkGather(**group, communicator.rank(), 2, 3, 1);
}

// Back to back, so that a buffer written too early would be seen.
static Result<void> manyInARow(Communicator &communicator) {
  auto group = communicator.group(everyone(communicator), 512);
  if (!group)
    return fail(group.error());
  for (int message = 0; message < 300; ++message) {
    if (auto done = checkGather(**group, communicator.rank(), 1 + message % 3, 64, message); !done)
      return done;
    if (auto done = checkReduce(**group, communicator.rank(), 1, 16 + message % 7); !done)
      return done;
  }
  return {};
}

// Halves, pairs and alone; and orders other than by rank.
static Result<void> subgroups(Communicator &communicator) {
  const int ranks = communicator.ranks(), rank = communicator.rank();
  std::vector<int> parity;
  for (int other = rank % 2; other < ranks; other += 2)
    parity.push_back(other);
  const int half = rank < (ranks + 1) / 2 ? 0 : 1;
  std::vector<int> block;
  for (int other = ranks - 1; other >= 0; --other)
    if ((other < (ranks + 1) / 2 ? 0 : 1) == half)
      block.push_back(other);
  const std::vector<int> alone = {rank};
  std::vector<std::unique_ptr<Group>> groups;
  for (const std::vector<int> &members : {parity, block, alone}) {
    auto group = communicator.group(members, 1000);
    if (!group)
      return fail(group.error());
    groups.push_back(std::move(*group));
  }
  for (int message = 0; message < 10; ++message)
    for (const auto &group : groups) {
      if (auto done = checkGather(*group, rank, 2, 333, message); !done)
        return done;
      if (auto done = checkReduce(*group, rank, 3, 50); !done)
        return done;
    }
  return {};
}

static Result<void> severalGroupsOfTheSameRanks(Communicator &communicator) {
  auto first = communicator.group(everyone(communicator), 4096);
  auto second = communicator.group(everyone(communicator), 100);
  if (!first || !second)
    return fail(first ? second.error() : first.error());
  for (int message = 0; message < 5; ++message) {
    if (auto done = checkGather(**first, communicator.rank(), 1, 4096, message); !done)
      return done;
    if (auto done = checkGather(**second, communicator.rank(), 1, 100, message + 1); !done)
      return done;
  }
  return {};
}

static Result<void> wrongMembers(Communicator &communicator) {
  const int rank = communicator.rank();
  const std::vector<int> wrong[] = {{rank, rank}, {rank, communicator.ranks()}, {-1, rank}, {}};
  for (const std::vector<int> &members : wrong)
    if (communicator.group(members, 8))
      return fail("made a group of impossible members");
  if (communicator.send(rank, "", 0) || communicator.send(communicator.ranks(), "", 0))
    return fail("sent to an impossible rank");
  return {};
}

// Everyone sends to everyone before anyone receives: needs buffering, of any size.
static Result<void> sendsAhead(Communicator &communicator) {
  const size_t sizes[] = {0, 1, 4097, 3'000'001};
  const int rank = communicator.rank();
  for (int peer = 0; peer < communicator.ranks(); ++peer)
    for (size_t size = 0; peer != rank && size < std::size(sizes); ++size) {
      Bytes message(sizes[size]);
      for (size_t i = 0; i < message.size(); ++i)
        message[i] = byteOf(rank, i, static_cast<int>(size) + peer);
      if (auto sent = communicator.send(peer, message.data(), message.size()); !sent)
        return sent;
    }
  for (int peer = communicator.ranks() - 1; peer >= 0; --peer)
    for (size_t size = 0; peer != rank && size < std::size(sizes); ++size) {
      Bytes message(sizes[size]);
      const bool idle = size % 2 == 1;
      auto received = idle ? communicator.receiveIdle(peer, message.data(), message.size())
                           : communicator.receive(peer, message.data(), message.size());
      if (!received)
        return received;
      for (size_t i = 0; i < message.size(); ++i)
        if (message[i] != byteOf(peer, i, static_cast<int>(size) + rank))
          return fail("message of ", sizes[size], " bytes from rank ", peer, ": wrong byte ", i);
    }
  return {};
}

// A ring of messages between collectives: neither takes the other's.
static Result<void> messagesAmongCollectives(Communicator &communicator) {
  const int ranks = communicator.ranks(), rank = communicator.rank();
  auto group = communicator.group(everyone(communicator), 4096);
  if (!group)
    return fail(group.error());
  if (ranks == 1)
    return {};
  for (int round = 0; round < 50; ++round) {
    const int sent[2] = {rank, round};
    int received[2] = {-1, -1};
    if (auto done = communicator.send((rank + 1) % ranks, sent, sizeof(sent)); !done)
      return done;
    if (auto done = checkGather(**group, rank, 3, 1024, round); !done)
      return done;
    const int before = (rank + ranks - 1) % ranks;
    if (auto done = communicator.receive(before, received, sizeof(received)); !done)
      return done;
    if (received[0] != before || received[1] != round)
      return fail("round ", round, ": got message ", received[1], " of rank ", received[0]);
  }
  return {};
}

// More than may wait for one peer: the sender is held up, and goes on.
static Result<void> aLongStream(Communicator &communicator) {
  const int ranks = communicator.ranks(), rank = communicator.rank();
  const int messages = Communicator::messagesAhead * 20;
  if (ranks == 1)
    return {};
  for (int message = 0; rank == 0 && message < messages; ++message)
    if (auto sent = communicator.send(ranks - 1, &message, sizeof(message)); !sent)
      return sent;
  for (int expected = 0; rank == ranks - 1 && expected < messages; ++expected) {
    int message = -1;
    if (auto done = communicator.receive(0, &message, sizeof(message)); !done)
      return done;
    if (message != expected)
      return fail("message ", message, " arrived as number ", expected);
  }
  return {};
}

std::span<const Case> cases() {
  static const Case all[] = {
      {"gathers_any_size", gathersAnySize},
      {"reduces_in_the_tree", reducesInTheTree},
      {"reduces_in_pieces", reducesInPieces},
      {"nothing_to_do", nothingToDo},
      {"many_in_a_row", manyInARow},
      {"subgroups", subgroups},
      {"several_groups_of_the_same_ranks", severalGroupsOfTheSameRanks},
      {"wrong_members", wrongMembers},
      {"sends_ahead", sendsAhead},
      {"messages_among_collectives", messagesAmongCollectives},
      {"a_long_stream", aLongStream},
  };
  return all;
}

} // namespace grok::runtime::conformance
