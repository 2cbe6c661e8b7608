// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// TCP connections between the ranks of a job, each call with a deadline.
#pragma once

#include "runtime/Result.h"
#include <chrono>
#include <vector>

namespace grok::runtime {

using Clock = std::chrono::steady_clock;

/// An owned socket, non-blocking.
class Stream {
public:
  Stream() = default;
  explicit Stream(int socket) : descriptor(socket) {}
  Stream(Stream &&other) noexcept : descriptor(other.release()) {}
  Stream &operator=(Stream &&other) noexcept;
  ~Stream();

  /// To host:port, whichever of its addresses answers.
  static Result<Stream> connect(const std::string &host, int port, Clock::time_point end);

  explicit operator bool() const { return descriptor >= 0; }
  int socket() const { return descriptor; }
  /// Gives the socket away.
  int release();
  /// The peer's address, in numbers.
  std::string peerAddress() const;

  Result<void> send(const void *data, size_t bytes, Clock::time_point end) const;
  Result<void> receive(void *data, size_t bytes, Clock::time_point end) const;

private:
  int descriptor = -1;
};

class Listener {
public:
  /// On all addresses of this host; port 0: any that is free.
  static Result<Listener> open(int port);

  int port() const;
  /// The next connection; none by `end` is an empty stream.
  Result<Stream> accept(Clock::time_point end) const;

private:
  Stream listening;
};

/// The addresses by which others may reach this host, its loopback last.
std::vector<std::string> ownAddresses();

} // namespace grok::runtime
