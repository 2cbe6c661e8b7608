// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The packed weights of one rank, mapped read-only from the file beside the
// plan. The pages belong to the page cache: several processes share them.
#pragma once

#include "runtime/Result.h"
#include "runtime/device/Memory.h"
#include "runtime/plan/plan_generated.h"
#include <cstddef>
#include <span>
#include <vector>

namespace grok::runtime {

class ThreadPool;

class WeightFile {
public:
  WeightFile(WeightFile &&other) noexcept;
  WeightFile &operator=(WeightFile &&other) = delete;
  ~WeightFile();

  /// Maps the layout's file in `directory`. Checks its size and the hash of its
  /// header, which holds the hashes of all tensors: a file of another plan is
  /// refused without reading its data.
  static Result<WeightFile> map(const std::string &directory, const plan::Layout &layout);

  /// All-zero weights of the layout's size, for timing a plan without weights.
  static Result<WeightFile> zeros(const plan::Layout &layout);

  /// Address of a tensor, 64-byte aligned.
  const std::byte *tensor(uint32_t index) const;
  uint64_t bytes() const { return size; }
  /// The whole file, header included; tensors lie at the offsets of the layout.
  std::span<const std::byte> contents() const;

  /// Hashes every tensor on all workers; the error names the first bad one.
  Result<void> checkAll(ThreadPool &pool) const;

private:
  WeightFile(const plan::Layout &layout, std::string path);

  std::vector<const plan::WeightTensor *> tensors; // the layout's, owned by the plan
  std::string path;
  const std::byte *mapping = nullptr; // of the file; null for zeros
  Memory zeroMemory;
  uint64_t size = 0;
};

} // namespace grok::runtime
