// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels written as text, lowered as generated ones are, run in the emulator.
#pragma once

#include "runtime/device/emulated/EmulatorABI.h"
#include <memory>
#include <string>
#include <vector>

namespace grok::test {

/// Global memory of a launch, as a region of its own.
struct Buffer {
  void *address;
  uint64_t bytes;
  std::string name;
  bool isWritable = true;
};

template <typename T> Buffer buffer(std::vector<T> &values, const std::string &name) {
  return {values.data(), values.size() * sizeof(T), name};
}
template <typename T> Buffer readOnly(const std::vector<T> &values, const std::string &name) {
  return {const_cast<T *>(values.data()), values.size() * sizeof(T), name, false};
}

struct Grid {
  uint32_t threads = 32;
  uint32_t blocks = 1;
  uint32_t clusterBlocks = 1;
  uint32_t sharedBytes = 0; // dynamic
  uint32_t osThreads = 1;
};

/// Loaded code with one kernel.
class EmulatedKernel {
public:
  /// `body` is what stands in `gpu.module @kernels { ... }`, in the dialects that
  /// generators use; its kernel is @kernel. Positions in messages count the lines
  /// of `body`. Fails the test on errors.
  explicit EmulatedKernel(const std::string &body);
  ~EmulatedKernel();
  EmulatedKernel(const EmulatedKernel &) = delete;
  EmulatedKernel &operator=(const EmulatedKernel &) = delete;

  /// Parameters are the addresses of `buffers`, in order. Returns the error.
  std::string launch(const Grid &grid, const std::vector<Buffer> &buffers, uint32_t schedule,
                     uint32_t seed) const;

  /// In order, three random seeds, three greedy ones: the first error of any.
  /// Buffers keep what the last run wrote; `reset` runs before each.
  template <typename Reset>
  std::string everySchedule(const Grid &grid, const std::vector<Buffer> &buffers,
                            Reset reset) const {
    for (uint32_t schedule : {grokScheduleInOrder, grokScheduleRandom, grokScheduleGreedyWarp})
      for (uint32_t seed = 1; seed <= (schedule == grokScheduleInOrder ? 1u : 3u); ++seed) {
        reset();
        if (std::string error = launch(grid, buffers, schedule, seed); !error.empty())
          return error;
      }
    return {};
  }
  std::string run(const Grid &grid, const std::vector<Buffer> &buffers) const {
    return launch(grid, buffers, grokScheduleInOrder, 1);
  }

private:
  void *library = nullptr;
  GrokEmulatedKernel entry = nullptr;
};

/// The error of translating `body`, or nothing.
std::string translationError(const std::string &body);

} // namespace grok::test
