// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ranks that are processes, of one host or several.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/collectives/Transport.h"

namespace grok::runtime {

struct ProcessLayout {
  int rank;
  std::vector<std::string> hosts; // by rank
  int ranksOnHost;                // this one included
  /// Groups of one host share memory if they can; else all use messages.
  bool sharedMemory = true;
};

/// Groups whose members can map each other's memory use that, found out by
/// trying; all else goes through the transport.
class ProcessCommunicator : public Communicator {
public:
  ProcessCommunicator(std::unique_ptr<Transport> transport, const ProcessLayout &layout);
  ~ProcessCommunicator() override;

  Result<std::unique_ptr<Group>> group(std::span<const int> members,
                                       uint64_t largestBytes) override;
  Result<void> send(int peer, const void *data, size_t bytes) override;
  Result<void> receive(int peer, void *data, size_t bytes) override;
  Result<void> receiveIdle(int peer, void *data, size_t bytes) override;
  /// Collective, when no rank has anything more to say.
  Result<void> close();

private:
  bool sharesMemory;
  std::unique_ptr<class Courier> courier;
};

} // namespace grok::runtime
