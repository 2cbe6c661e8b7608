// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sequences: how long each is and which pages hold its positions.
#pragma once

#include "runtime/kvcache/PagePool.h"
#include <vector>

namespace grok::runtime {

/// A step appends positions in three moves: `place` every row, `takePages` for
/// all of them or none, and `finish`. Until `finish(true)` no length changes.
class SequenceTable {
public:
  SequenceTable(PagePool &pool, int64_t pageTokens, int64_t maxContext);

  /// An empty sequence; the lowest number not in use.
  Result<int32_t> create();
  Result<void> free(int32_t sequence);
  bool isInUse(int32_t sequence) const;
  int64_t length(int32_t sequence) const;

  /// The position that one more row of this sequence gets in the step.
  Result<int32_t> place(int32_t sequence);
  Result<void> takePages();
  void finish(bool success);

  /// [sequences, pageTableStride()], page numbers; moves when a sequence is created.
  const int32_t *pageTable() const { return pages.data(); }
  int64_t pageTableStride() const { return pagesPerSequence; }

private:
  struct Sequence {
    bool inUse = false;
    int64_t length = 0;
    int64_t placed = 0; // rows of the step in the making
    int64_t pages = 0;  // held, from the start
  };

  int64_t pagesFor(int64_t positions) const { return (positions + pageTokens - 1) / pageTokens; }

  PagePool &pool;
  int64_t pageTokens;
  int64_t maxContext;
  int64_t pagesPerSequence;
  std::vector<Sequence> sequences;
  std::vector<int32_t> pages;   // [sequences, pagesPerSequence]
  std::vector<int32_t> touched; // sequences placed in this step
};

} // namespace grok::runtime
