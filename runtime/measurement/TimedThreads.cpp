// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/TimedThreads.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

namespace grok::runtime {

double timeThreads(int threads, const std::function<void(int)> &prepare,
                   const std::function<void(int)> &run) {
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> begins(static_cast<size_t>(threads)), ends(begins);
  std::barrier start(threads);
  std::vector<std::thread> pool;
  pool.reserve(begins.size());
  for (int worker = 0; worker < threads; ++worker)
    pool.emplace_back([&, worker] {
      prepare(worker);
      start.arrive_and_wait();
      begins[static_cast<size_t>(worker)] = Clock::now();
      run(worker);
      ends[static_cast<size_t>(worker)] = Clock::now();
    });
  for (std::thread &thread : pool)
    thread.join();
  const auto begin = *std::min_element(begins.begin(), begins.end());
  const auto end = *std::max_element(ends.begin(), ends.end());
  return std::chrono::duration<double>(end - begin).count();
}

} // namespace grok::runtime
