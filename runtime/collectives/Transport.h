// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Messages between the processes of a job, whatever carries them. Nothing here
// blocks: operations are started and tested, deadlines are the caller's.
#pragma once

#include "runtime/Result.h"
#include <cstddef>
#include <cstdint>

namespace grok::runtime {

/// One rank's end. One thread at a time. Messages between two ranks on one
/// channel arrive in order; channels do not hold each other up. After an error
/// nothing else may be asked of it; errors are what the peer did ("is lost"), to
/// be put behind its name.
class Transport {
public:
  enum class Channel : uint32_t { setup, message, collective };
  /// A started operation; its memory stays valid until test() says true.
  using Ticket = void *;

  virtual ~Transport() = default;

  virtual Result<Ticket> startSend(int peer, Channel channel, const void *data, size_t bytes) = 0;
  /// Exactly the bytes that the peer sends next.
  virtual Result<Ticket> startReceive(int peer, Channel channel, void *data, size_t bytes) = 0;
  /// Moves what can be moved. True once, when the operation is done; then the
  /// ticket is gone.
  virtual Result<bool> test(Ticket ticket) = 0;
  /// Says goodbye, after all operations of all ranks are done. Collective.
  virtual Result<void> close() = 0;
};

} // namespace grok::runtime
