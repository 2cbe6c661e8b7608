// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Carries a rank's messages over a transport: sends run ahead of their
// receivers, waits have deadlines.
#pragma once

#include "runtime/collectives/Transport.h"
#include "runtime/collectives/Waiting.h"
#include <condition_variable>
#include <deque>
#include <memory>
#include <span>
#include <thread>

namespace grok::runtime {

class Courier {
public:
  using Channel = Transport::Channel;

  Courier(std::unique_ptr<Transport> transport, WaitRules &rules);
  /// Gives what was sent a second to leave.
  ~Courier();
  Courier(const Courier &) = delete;
  Courier &operator=(const Courier &) = delete;

  /// Copies the message and lets it go; waits only while the peer has as many
  /// messages before it as may run ahead.
  Result<void> send(int peer, Channel channel, const void *data, size_t bytes);
  Result<void> receive(int peer, Channel channel, void *data, size_t bytes,
                       Wait::Kind kind = Wait::Kind::answer);

  /// One message each way of an exchange; nothing moves if there are no bytes.
  struct Exchange {
    int peer;
    const void *sent;
    size_t sentBytes;
    void *received;
    size_t receivedBytes;
  };
  /// All of them at once.
  Result<void> exchange(const char *collective, std::span<const Exchange> exchanges);

  /// Collective: after everything that was sent has been received.
  Result<void> close();

private:
  struct Sent {
    std::vector<std::byte> message;
    Transport::Ticket ticket;
  };
  struct Started {
    int peer;
    Transport::Ticket ticket;
  };

  Result<void> wait(std::vector<Started> operations, const char *collective, Wait::Kind kind);
  Result<void> testAll(std::vector<Started> &operations, const char *collective);
  bool letAllLeave();
  Result<void> retire();
  void keepMoving();
  tl::unexpected<std::string> named(int peer, const char *collective, const std::string &error);

  std::unique_ptr<Transport> transport;
  WaitRules &rules;
  std::mutex mutex;                    // for all below, and the transport
  std::vector<std::deque<Sent>> ahead; // by peer: sent and not gone yet
  size_t numAhead = 0;
  std::vector<std::vector<std::byte>> empty; // buffers to use again
  std::condition_variable changed;
  bool stopping = false;
  std::thread mover; // a large message leaves while its sender computes
};

} // namespace grok::runtime
