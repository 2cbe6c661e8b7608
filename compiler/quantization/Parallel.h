// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A loop over threads that live as long as the loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace grok::quantization {

/// Runs `work(begin, end)` over [0, count) cut into at most `threads` runs, one
/// thread each.
inline void parallel(int64_t count, int threads,
                     const std::function<void(int64_t, int64_t)> &work) {
  threads = static_cast<int>(std::clamp<int64_t>(count, 1, std::max(threads, 1)));
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t)
    pool.emplace_back([&, t] { work(count * t / threads, count * (t + 1) / threads); });
  work(0, count / threads);
  for (std::thread &thread : pool)
    thread.join();
}

} // namespace grok::quantization
