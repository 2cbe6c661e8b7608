// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether blocks that share memory have let each other know: what one has written, another
// one may touch after it has acquired a word that the writer has released since.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace grok::runtime::emulated {

/// Of one launch, by vector clocks of blocks (Flanagan and Freund, "FastTrack", PLDI 2009).
/// Threads of a block are taken to have met; words of four bytes count, smaller accesses
/// are not looked at. May be called by any operating system thread.
class GlobalRaces {
public:
  explicit GlobalRaces(uint32_t blocks);

  struct Rival {
    uint32_t block;
    uint64_t address;
    bool wrote; // or has read what is now written
  };
  /// Notes an ordinary access; another block's that nothing orders before it, if any.
  std::optional<Rival> note(uint32_t block, uint64_t address, uint64_t bytes, bool writes);

  /// An atomic access of `word`, before it happens.
  void synchronize(uint32_t block, uint64_t word, bool acquires, bool releases);

private:
  using Clock = std::vector<uint32_t>; // of each block, how often it had released
  struct Page {
    std::vector<uint32_t> writer, written; // of each word: block + 1, and when by its clock
    std::vector<uint32_t> read;            // [word][block]: when
  };
  Page &pageOf(uint32_t block, uint64_t address);
  void join(Clock &clock, const Clock &other);
  void lookAgain(uint32_t block);

  const uint32_t blocks;
  std::mutex lock;
  std::vector<Clock> clocks;
  // By each block since it was last looked at, and looked at once more: others may have
  // released between the note and the access.
  std::vector<std::vector<uint64_t>> acquired;
  std::unordered_map<uint64_t, Clock> released; // by words
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages;
  std::vector<std::pair<uint64_t, Page *>> lastPages; // of each block
};

} // namespace grok::runtime::emulated
