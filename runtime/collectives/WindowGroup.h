// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A group whose members share memory: threads, or processes of one host.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/collectives/Window.h"

namespace grok::runtime {

class WindowGroup : public Group {
public:
  WindowGroup(std::vector<int> members, int index, Window window, WaitRules &rules);

  /// Bytes per message of a window for messages of up to `largestBytes`.
  static size_t capacityFor(uint64_t largestBytes);

  bool sharesMemory() const override { return true; }
  Result<void> allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) override;
  Result<void> allReduceRows(const float *own, float *sum, int64_t rows, int64_t columns) override;

private:
  struct Piece; // what fits into the window of an all-gather

  Result<void> gatherPiece(const Piece &piece);
  Result<void> reduceOneShot(const float *own, float *sum, int64_t count);
  Result<void> reduceTwoShot(const float *own, float *sum, int64_t count);
  std::byte *ownBuffer() const { return window.buffer(index(), turn); }
  void publish();
  Result<void> awaitAll(const char *collective);

  Window window;
  WaitRules &rules;
  uint32_t number = 0;              // last published
  uint32_t turn = 0;                // pieces done: which buffer is next
  std::vector<const float *> parts; // [member]
};

} // namespace grok::runtime
