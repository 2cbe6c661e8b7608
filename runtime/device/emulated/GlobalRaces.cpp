// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/GlobalRaces.h"
#include <algorithm>

namespace grok::runtime::emulated {

static constexpr uint64_t wordBytes = 4, pageBytes = 4096, pageWords = pageBytes / wordBytes;
static constexpr uint64_t noPage = 1; // no page's address

GlobalRaces::GlobalRaces(uint32_t blocks)
    : blocks(blocks), clocks(blocks, Clock(blocks)), acquired(blocks),
      lastPages(blocks, {noPage, nullptr}) {
  for (uint32_t block = 0; block < blocks; ++block)
    clocks[block][block] = 1; // nobody else has seen anything of it
}

void GlobalRaces::join(Clock &clock, const Clock &other) {
  for (uint32_t i = 0; i < blocks; ++i)
    clock[i] = std::max(clock[i], other[i]);
}

GlobalRaces::Page &GlobalRaces::pageOf(uint32_t block, uint64_t address) {
  const uint64_t start = address / pageBytes * pageBytes;
  auto &[lastStart, last] = lastPages[block];
  if (lastStart == start)
    return *last;
  std::unique_ptr<Page> &page = pages[start];
  if (!page) {
    page = std::make_unique<Page>();
    page->writer.resize(pageWords);
    page->written.resize(pageWords);
    page->read.resize(pageWords * blocks);
  }
  lastStart = start;
  last = page.get();
  return *page;
}

void GlobalRaces::lookAgain(uint32_t block) {
  for (uint64_t word : acquired[block])
    if (auto found = released.find(word); found != released.end())
      join(clocks[block], found->second);
  acquired[block].clear();
}

std::optional<GlobalRaces::Rival> GlobalRaces::note(uint32_t block, uint64_t address,
                                                    uint64_t bytes, bool writes) {
  const std::lock_guard guard(lock);
  lookAgain(block);
  const Clock &clock = clocks[block];
  const uint64_t first = (address + wordBytes - 1) / wordBytes * wordBytes;
  for (uint64_t at = first; at + wordBytes <= address + bytes; at += wordBytes) {
    Page &page = pageOf(block, at);
    const uint64_t word = at % pageBytes / wordBytes;
    const uint32_t writer = page.writer[word];
    if (writer && page.written[word] > clock[writer - 1])
      return Rival{writer - 1, at, true};
    uint32_t *read = &page.read[word * blocks];
    if (!writes) {
      read[block] = clock[block];
      continue;
    }
    for (uint32_t other = 0; other < blocks; ++other)
      if (other != block && read[other] > clock[other])
        return Rival{other, at, false};
    page.writer[word] = block + 1;
    page.written[word] = clock[block];
  }
  return std::nullopt;
}

void GlobalRaces::synchronize(uint32_t block, uint64_t word, bool acquires, bool releases) {
  const std::lock_guard guard(lock);
  if (acquires) {
    if (auto found = released.find(word); found != released.end())
      join(clocks[block], found->second);
    std::vector<uint64_t> &words = acquired[block];
    if (std::find(words.begin(), words.end(), word) == words.end())
      words.push_back(word);
  }
  if (!releases)
    return;
  lookAgain(block);
  Clock &known = released.try_emplace(word, Clock(blocks)).first->second;
  join(known, clocks[block]);
  ++clocks[block][block];
}

} // namespace grok::runtime::emulated
