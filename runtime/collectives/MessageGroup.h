// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A group whose members share no memory: hosts of a network.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/collectives/Courier.h"
#include <functional>

namespace grok::runtime {

class MessageGroup : public Group {
public:
  MessageGroup(std::vector<int> members, int index, Courier &courier);

  bool sharesMemory() const override { return false; }
  Result<void> allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) override;
  Result<void> allReduceRows(const float *own, float *sum, int64_t rows, int64_t columns) override;

private:
  using Sent = std::function<std::pair<const void *, size_t>(int member)>;
  using Received = std::function<std::pair<void *, size_t>(int member)>;

  Result<void> exchangeWithAll(const char *collective, const Sent &sentTo,
                               const Received &receivedFrom);
  Result<void> reduceOneShot(const float *own, float *sum, int64_t count);
  Result<void> reduceTwoShot(const float *own, float *sum, int64_t count);
  void sumStaged(const float *own, float *sum, int64_t count);
  /// Makes room for a message of each member; what was there is lost.
  void stage(size_t bytesPerMember);
  std::byte *staged(int member, size_t bytesPerMember);

  Courier &courier;
  std::vector<std::byte> staging; // others' messages; grows to the largest
  std::vector<Courier::Exchange> exchanges;
  std::vector<const float *> parts; // [member]
};

} // namespace grok::runtime
