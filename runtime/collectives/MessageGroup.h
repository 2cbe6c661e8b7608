// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A group whose members share no memory: hosts of a network.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/collectives/Courier.h"

namespace grok::runtime {

class MessageGroup : public Group {
public:
  MessageGroup(std::vector<int> members, int index, Courier &courier);

  bool sharesMemory() const override { return false; }
  Result<void> allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) override;
  Result<void> allReduceRows(const float *own, float *sum, int64_t rows, int64_t columns) override;

private:
  Result<void> reduceOneShot(const float *own, float *sum, int64_t count);
  Result<void> reduceTwoShot(const float *own, float *sum, int64_t count);
  /// `staging` of that many bytes; contents are lost.
  std::byte *stage(size_t bytes);

  Courier &courier;
  std::vector<std::byte> staging; // others' messages; grows to the largest
  std::vector<Courier::Exchange> exchanges;
  std::vector<const float *> parts; // [member]
};

} // namespace grok::runtime
