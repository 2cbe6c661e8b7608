// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Large amounts of bytes from the host to a GPU.
#pragma once

#include "runtime/device/cuda/CudaContext.h"
#include <functional>
#include <span>

namespace grok::runtime::cuda {

/// Bytes that have left, of all. Called from one thread at a time.
using UploadProgress = std::function<void(uint64_t done, uint64_t all)>;

struct UploadSettings {
  int threads = 1; // that read pages of a mapped file at the same time, at most
  UploadProgress progress = nullptr;
};

/// Copies through pinned buffers, two for each thread, so that the GPU takes one while
/// the other is filled. Returns when all is there.
Result<void> upload(const CudaContext &context, Address to, std::span<const std::byte> from,
                    const UploadSettings &settings);

} // namespace grok::runtime::cuda
