// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/SocketTransport.h"
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace grok::runtime {

namespace {

// What precedes each message. All ranks have this machine's byte order: the job
// refuses others when they join.
struct Header {
  uint64_t bytes;
  uint32_t channel;
  uint32_t magic;
};
constexpr uint32_t headerMagic = 0x67726f6b;
constexpr size_t numChannels = 3;

struct Operation {
  int peer;
  bool isSend;
  Header header;
  std::byte *data;
  size_t done = 0; // bytes, a send's header included
  bool finished = false;
};

// A message that came before anybody asked for it.
using Arrival = std::vector<std::byte>;

struct Peer {
  int socket = -1;
  std::deque<Operation *> outgoing;
  std::array<std::deque<Operation *>, numChannels> posted;
  std::array<std::deque<Arrival>, numChannels> arrivals;
  // The message being received: its header, then its bytes into `target` if it
  // was asked for, else into `early`.
  Header header;
  size_t headerBytes = 0;
  size_t bodyBytes = 0;
  Operation *target = nullptr;
  Arrival early;
};

class SocketTransport : public Transport {
public:
  explicit SocketTransport(const std::vector<int> &sockets);
  ~SocketTransport() override;
  Result<Ticket> startSend(int peer, Channel channel, const void *data, size_t bytes) override;
  Result<Ticket> startReceive(int peer, Channel channel, void *data, size_t bytes) override;
  Result<bool> test(Ticket ticket) override;
  Result<void> close() override { return {}; }

private:
  Operation *begin(const Operation &operation);
  Peer &peerOf(int rank) { return peers[static_cast<size_t>(rank)]; }
  Result<void> flush(int rank);
  Result<void> drain(int rank, const Operation &wanted);
  Result<size_t> read(int rank, void *to, size_t bytes);
  Result<void> beginBody(int rank);
  Result<void> finishBody(int rank);

  std::vector<Peer> peers; // by rank
  std::deque<Operation> operations;
  std::vector<Operation *> unused; // of them
};

} // namespace

SocketTransport::SocketTransport(const std::vector<int> &sockets) : peers(sockets.size()) {
  for (size_t rank = 0; rank < sockets.size(); ++rank)
    peers[rank].socket = sockets[rank];
}

SocketTransport::~SocketTransport() {
  for (const Peer &peer : peers)
    if (peer.socket >= 0)
      ::close(peer.socket);
}

static tl::unexpected<std::string> lost(const char *why) { return fail("is lost: ", why); }

static tl::unexpected<std::string> wrongSize(size_t sent, size_t expected) {
  return fail("sent ", sent, " bytes where ", expected, " were expected");
}

Operation *SocketTransport::begin(const Operation &operation) {
  if (unused.empty()) {
    operations.push_back(operation);
    return &operations.back();
  }
  Operation *again = unused.back();
  unused.pop_back();
  *again = operation;
  return again;
}

Result<Transport::Ticket> SocketTransport::startSend(int peer, Channel channel, const void *data,
                                                     size_t bytes) {
  const Header header = {bytes, static_cast<uint32_t>(channel), headerMagic};
  // Never written to: iovec knows no const.
  auto *readOnly = static_cast<std::byte *>(const_cast<void *>(data));
  Operation *operation = begin({peer, true, header, readOnly});
  peerOf(peer).outgoing.push_back(operation);
  if (auto sent = flush(peer); !sent)
    return fail(sent.error());
  return operation;
}

Result<Transport::Ticket> SocketTransport::startReceive(int peer, Channel channel, void *data,
                                                        size_t bytes) {
  const Header header = {bytes, static_cast<uint32_t>(channel), headerMagic};
  Operation *operation = begin({peer, false, header, static_cast<std::byte *>(data)});
  const auto number = static_cast<size_t>(channel);
  std::deque<Arrival> &arrivals = peerOf(peer).arrivals[number];
  if (arrivals.empty()) {
    peerOf(peer).posted[number].push_back(operation);
    return operation;
  }
  if (arrivals.front().size() != bytes)
    return wrongSize(arrivals.front().size(), bytes);
  std::copy(arrivals.front().begin(), arrivals.front().end(), operation->data);
  arrivals.pop_front();
  operation->finished = true;
  return operation;
}

Result<bool> SocketTransport::test(Ticket ticket) {
  auto *operation = static_cast<Operation *>(ticket);
  if (!operation->finished) {
    auto moved = operation->isSend ? flush(operation->peer) : drain(operation->peer, *operation);
    if (!moved)
      return fail(moved.error());
  }
  if (!operation->finished)
    return false;
  unused.push_back(operation);
  return true;
}

Result<void> SocketTransport::flush(int rank) {
  Peer &peer = peerOf(rank);
  while (!peer.outgoing.empty()) {
    Operation &next = *peer.outgoing.front();
    const size_t headerLeft = sizeof(Header) - std::min(next.done, sizeof(Header));
    const size_t sentBody = next.done + headerLeft - sizeof(Header);
    iovec parts[2] = {
        {reinterpret_cast<std::byte *>(&next.header) + sizeof(Header) - headerLeft, headerLeft},
        {next.data + sentBody, next.header.bytes - sentBody}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = sendmsg(peer.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
      return {};
    if (sent < 0)
      return lost(std::strerror(errno));
    next.done += static_cast<size_t>(sent);
    if (next.done < sizeof(Header) + next.header.bytes)
      continue;
    next.finished = true;
    peer.outgoing.pop_front();
  }
  return {};
}

// 0: nothing there now.
Result<size_t> SocketTransport::read(int rank, void *to, size_t bytes) {
  const ssize_t got = recv(peerOf(rank).socket, to, bytes, MSG_DONTWAIT);
  if (got > 0)
    return static_cast<size_t>(got);
  if (got == 0)
    return lost("its connection was closed");
  if (errno == EAGAIN || errno == EINTR)
    return size_t{0};
  return lost(std::strerror(errno));
}

Result<void> SocketTransport::beginBody(int rank) {
  Peer &peer = peerOf(rank);
  if (peer.header.magic != headerMagic || peer.header.channel >= numChannels)
    return fail("sent what is no message");
  std::deque<Operation *> &posted = peer.posted[peer.header.channel];
  peer.bodyBytes = 0;
  peer.target = nullptr;
  if (posted.empty()) {
    peer.early.resize(peer.header.bytes);
    return {};
  }
  peer.target = posted.front();
  posted.pop_front();
  if (peer.target->header.bytes != peer.header.bytes)
    return wrongSize(peer.header.bytes, peer.target->header.bytes);
  return {};
}

// A message that somebody asked for only while it arrived is matched here.
Result<void> SocketTransport::finishBody(int rank) {
  Peer &peer = peerOf(rank);
  peer.headerBytes = 0;
  if (peer.target) {
    peer.target->finished = true;
    return {};
  }
  std::deque<Operation *> &posted = peer.posted[peer.header.channel];
  if (posted.empty()) {
    peer.arrivals[peer.header.channel].push_back(std::move(peer.early));
    peer.early = {};
    return {};
  }
  Operation &asked = *posted.front();
  posted.pop_front();
  if (asked.header.bytes != peer.early.size())
    return wrongSize(peer.early.size(), asked.header.bytes);
  std::copy(peer.early.begin(), peer.early.end(), asked.data);
  asked.finished = true;
  return {};
}

// Reads no further than `wanted`: what nobody asked for waits in the kernel's
// buffers and holds up its sender.
Result<void> SocketTransport::drain(int rank, const Operation &wanted) {
  Peer &peer = peerOf(rank);
  while (!wanted.finished) {
    const bool inHeader = peer.headerBytes < sizeof(Header);
    std::byte *body = peer.target ? peer.target->data : peer.early.data();
    const size_t left =
        inHeader ? sizeof(Header) - peer.headerBytes : peer.header.bytes - peer.bodyBytes;
    if (left > 0) {
      auto got =
          inHeader
              ? read(rank, reinterpret_cast<std::byte *>(&peer.header) + peer.headerBytes, left)
              : read(rank, body + peer.bodyBytes, left);
      if (!got)
        return fail(got.error());
      if (*got == 0)
        return {};
      (inHeader ? peer.headerBytes : peer.bodyBytes) += *got;
    }
    if (inHeader && peer.headerBytes == sizeof(Header))
      if (auto begun = beginBody(rank); !begun)
        return begun;
    if (peer.headerBytes == sizeof(Header) && peer.bodyBytes == peer.header.bytes)
      if (auto finished = finishBody(rank); !finished)
        return finished;
  }
  return {};
}

std::unique_ptr<Transport> makeSocketTransport(const std::vector<int> &sockets) {
  return std::make_unique<SocketTransport>(sockets);
}

} // namespace grok::runtime
