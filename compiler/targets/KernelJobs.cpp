// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/KernelJobs.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace grok::compiler {

tl::expected<void, std::string> runKernelJobs(size_t count, unsigned threads,
                                              const std::function<KernelJob()> &makeWorker) {
  std::atomic<size_t> next = 0, failedJob = count;
  std::mutex lock;
  std::string error;
  auto work = [&] {
    KernelJob run = makeWorker();
    for (size_t job = next++; job < count && failedJob == count; job = next++) {
      auto done = run(job);
      if (done)
        continue;
      std::lock_guard<std::mutex> guard(lock);
      if (job < failedJob) {
        failedJob = job;
        error = done.error();
      }
    }
  };
  size_t wanted = threads ? threads : std::thread::hardware_concurrency();
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < std::min(std::max<size_t>(wanted, 1), count); ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
  if (failedJob < count)
    return tl::unexpected(error);
  return {};
}

} // namespace grok::compiler
