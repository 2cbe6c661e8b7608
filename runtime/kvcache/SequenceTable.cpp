// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/kvcache/SequenceTable.h"
#include <algorithm>

namespace grok::runtime {

static constexpr size_t maxSequences = 1 << 16;

SequenceTable::SequenceTable(PagePool &pool, int64_t pageTokens, int64_t maxContext)
    : pool(pool), pageTokens(pageTokens), maxContext(maxContext),
      pagesPerSequence((maxContext + pageTokens - 1) / pageTokens) {}

Result<int32_t> SequenceTable::create() {
  auto unused = std::find_if(sequences.begin(), sequences.end(),
                             [](const Sequence &sequence) { return !sequence.inUse; });
  auto number = static_cast<size_t>(unused - sequences.begin());
  if (unused == sequences.end()) {
    if (number == maxSequences)
      return fail("all ", maxSequences, " sequences are in use; free one");
    sequences.emplace_back();
    pages.resize(sequences.size() * static_cast<size_t>(pagesPerSequence), 0);
    touched.reserve(sequences.size());
  }
  sequences[number] = {.inUse = true};
  return static_cast<int32_t>(number);
}

bool SequenceTable::isInUse(int32_t sequence) const {
  return sequence >= 0 && static_cast<size_t>(sequence) < sequences.size() &&
         sequences[static_cast<size_t>(sequence)].inUse;
}

int64_t SequenceTable::length(int32_t sequence) const {
  return isInUse(sequence) ? sequences[static_cast<size_t>(sequence)].length : 0;
}

Result<void> SequenceTable::free(int32_t sequence) {
  if (!isInUse(sequence))
    return fail("sequence ", sequence, " is not in use");
  Sequence &freed = sequences[static_cast<size_t>(sequence)];
  for (int64_t i = 0; i < freed.pages; ++i)
    pool.free(std::exchange(pages[static_cast<size_t>(sequence * pagesPerSequence + i)], 0));
  freed = {};
  return {};
}

Result<int32_t> SequenceTable::place(int32_t sequence) {
  if (!isInUse(sequence))
    return fail("sequence ", sequence, " is not in use; create it first");
  Sequence &placed = sequences[static_cast<size_t>(sequence)];
  int64_t position = placed.length + placed.placed;
  if (position >= maxContext)
    return fail("sequence ", sequence, " has reached the context limit of ", maxContext,
                " tokens; compile with a larger --max-context or start a new sequence");
  if (placed.placed++ == 0)
    touched.push_back(sequence);
  return static_cast<int32_t>(position);
}

Result<void> SequenceTable::takePages() {
  int64_t missing = 0;
  for (int32_t number : touched) {
    const Sequence &sequence = sequences[static_cast<size_t>(number)];
    missing += std::max<int64_t>(0, pagesFor(sequence.length + sequence.placed) - sequence.pages);
  }
  if (missing > pool.available())
    return fail("out of key/value memory: ", missing, " pages of ", pageTokens, " tokens needed, ",
                pool.available(), " of ", pool.capacity(),
                " free; give more --kv-memory or fewer sequences");
  for (int32_t number : touched) {
    Sequence &sequence = sequences[static_cast<size_t>(number)];
    for (; sequence.pages < pagesFor(sequence.length + sequence.placed); ++sequence.pages)
      pages[static_cast<size_t>(number * pagesPerSequence + sequence.pages)] = *pool.allocate();
  }
  return {};
}

void SequenceTable::finish(bool success) {
  for (int32_t number : touched) {
    Sequence &sequence = sequences[static_cast<size_t>(number)];
    sequence.length += success ? sequence.placed : 0;
    sequence.placed = 0;
  }
  touched.clear();
}

} // namespace grok::runtime
