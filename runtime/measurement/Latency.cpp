// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/Latency.h"

#include "runtime/collectives/LocalCommunicator.h"
#include "runtime/device/cpu/ThreadPool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <numeric>
#include <thread>

namespace grok::runtime {

using Clock = std::chrono::steady_clock;

static double medianOf(std::vector<double> &times) {
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

static double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Other programs disturb some rounds: the least of their medians.
static constexpr int rounds = 5;

namespace {
/// A loop that no thread leaves before all have come.
struct Meeting {
  std::atomic<int> arrived = 0;
  int expected = 0;

  static void attend(void *context, int64_t, int64_t, int) {
    auto *meeting = static_cast<Meeting *>(context);
    ++meeting->arrived;
    while (meeting->arrived.load() < meeting->expected)
      std::this_thread::yield();
  }
};
} // namespace

Result<double> measureEmptyLoop(int threads) {
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(threads);
  if (!pool)
    return fail(pool.error());
  Meeting meeting;
  meeting.expected = threads;
  const ParallelLoop loop = {Meeting::attend, &meeting, threads, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> times;
    for (int i = 0; i < 500; ++i) {
      meeting.arrived = 0;
      const Clock::time_point start = Clock::now();
      (*pool)->run(loop);
      times.push_back(secondsSince(start));
    }
    least = std::min(least, medianOf(times));
  }
  return least;
}

/// Fewer repetitions of the long ones.
static int repetitionsOf(int64_t bytes) {
  return static_cast<int>(std::clamp<int64_t>((int64_t(8) << 20) / bytes, 8, 300));
}

/// One rank's side of all measurements.
static Result<std::vector<double>> reduceAll(Communicator &communicator,
                                             std::span<const int64_t> bytes) {
  std::vector<int> members(static_cast<size_t>(communicator.ranks()));
  std::iota(members.begin(), members.end(), 0);
  auto group = communicator.group(members, uint64_t(4) << 20);
  if (!group)
    return fail(group.error());
  std::vector<double> medians(bytes.size(), std::numeric_limits<double>::infinity());
  for (size_t next = 0; next < rounds * bytes.size(); ++next) {
    const int64_t size = bytes[next % bytes.size()];
    const int64_t columns = size / int64_t(sizeof(float));
    std::vector<float> own(static_cast<size_t>(columns), 1.0F), sum(own.size());
    std::vector<double> times;
    for (int i = 0; i < repetitionsOf(size); ++i) {
      const Clock::time_point start = Clock::now();
      if (Result<void> done = (*group)->allReduceRows(own.data(), sum.data(), 1, columns); !done)
        return fail(done.error());
      times.push_back(secondsSince(start));
    }
    double &median = medians[next % bytes.size()];
    median = std::min(median, medianOf(times));
  }
  return medians;
}

Result<std::vector<double>> measureAllReduce(int ranks, std::span<const int64_t> bytes) {
  auto communicators = makeLocalCommunicators(ranks);
  if (!communicators)
    return fail(communicators.error());
  std::vector<Result<std::vector<double>>> results(communicators->size());
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (size_t rank = 0; rank < results.size(); ++rank)
    threads.emplace_back([&, rank] { results[rank] = reduceAll(*(*communicators)[rank], bytes); });
  for (std::thread &thread : threads)
    thread.join();
  for (const Result<std::vector<double>> &result : results)
    if (!result)
      return result;
  return results[0];
}

} // namespace grok::runtime
