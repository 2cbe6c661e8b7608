// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is known of a block's tensor memory; shared by the files of TensorMemory.h.
#pragma once

#include "runtime/device/emulated/TensorMemory.h"

namespace grok::runtime::emulated {

/// What is known of one column's 32 lanes that the same warps reach.
struct TensorStrip {
  enum class Stage : uint8_t { free, empty, multiplying, storing, written };
  Stage stage = Stage::free;
  GrokEmulatorSite site = "";   // of what writes or wrote them
  const Lane *issuer = nullptr; // multiplying: who issued it
  const Warp *writer = nullptr; // of a store; null: the tensor core
  uint32_t writtenAt = 0;       // the block's time when it was complete
  const Warp *reader = nullptr; // the last one
  uint32_t releasedAt = 0;      // when the reader had waited and fenced; 0 = not yet
  GrokEmulatorSite readSite = "";
};

struct TensorProduct {
  uint64_t a = 0, b = 0; // descriptors
  uint32_t d = 0, instruction = 0;
  bool accumulates = false;
  Lane *issuer = nullptr;
  uint64_t number = 0; // of all products of the issuer
  GrokEmulatorSite site = "";
};

struct TensorColumns {
  uint32_t first, count; // columns
};

struct TensorLoad {
  uint32_t id = 0;
  TensorColumns columns{};
  bool isDone = false;
  GrokEmulatorSite site = "";
  std::vector<uint32_t> words; // [column][32]
};

struct TensorStore {
  TensorColumns columns{};
  std::vector<uint32_t> words; // [column][32]
};

/// Loads and stores of a warp.
struct TensorTransfers {
  std::deque<TensorLoad> loads;
  uint32_t loadCount = 0;
  std::vector<TensorStore> stores;
  std::vector<TensorColumns> reads; // complete, not fenced
};

struct TensorAllocation {
  TensorColumns columns{};
  GrokEmulatorSite site = "";
};

struct TensorMemory {
  static constexpr uint32_t columnCount = 512, laneCount = 128, quarterCount = 4;
  static constexpr uint32_t poisonWord = 0xffffffffu;

  std::vector<uint32_t> words = std::vector<uint32_t>(size_t(columnCount) * laneCount, poisonWord);
  std::vector<TensorStrip> strips = std::vector<TensorStrip>(size_t(columnCount) * quarterCount);
  std::vector<TensorAllocation> allocations;
  GrokEmulatorSite relinquished = nullptr;
  uint32_t clock = 0;
  std::vector<TensorProduct> products; // not complete, in the order of issue
  std::vector<TensorTransfers> warps;

  TensorStrip &strip(uint32_t column, uint32_t quarter) {
    return strips[size_t(column) * quarterCount + quarter];
  }
  uint32_t *lanesOf(uint32_t column, uint32_t quarter) {
    return &words[size_t(column) * laneCount + size_t(quarter) * 32];
  }
};

/// The block's; made when it is first used.
TensorMemory &tensorMemoryOf(Block &block);

/// Of the lanes, which 32 a warp reaches: one of TensorMemory::quarterCount.
uint32_t quarterOf(const Warp &warp);

/// Ends the launch unless what was read there is done with, before somebody writes: the
/// reader has waited for it and fenced, and so has the lane since.
void checkOverwrite(Lane &lane, const TensorStrip &strip, uint32_t column, const char *what,
                    GrokEmulatorSite site);
/// Ends the launch unless what is there is complete and ordered before.
void checkRead(Lane &lane, const TensorStrip &strip, uint32_t column, const char *what,
               GrokEmulatorSite site);

} // namespace grok::runtime::emulated
