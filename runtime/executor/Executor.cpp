// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Executors in their steps.
#include "runtime/executor/Executor.h"
#include <algorithm>
#include <chrono>

namespace grok::runtime {

using Clock = std::chrono::steady_clock;

DeviceLaunch Executor::deviceLaunch(const Bucket &bucket, const Launch &launch) const {
  return {launch.kernel, {bucket.addresses.data() + launch.firstAddress, launch.numAddresses}};
}

Result<int64_t> Executor::countTiles(const Launch &launch, const GrokStepInfo &step) const {
  const plan::TileCount &tiles = launch.tiles;
  if (device->countsTiles())
    return tiles.max();
  int64_t count =
      launch.tileCounter
          ? *launch.tileCounter
          : step.rows * tiles.per_row() + step.logitRows * tiles.per_logit_row() + tiles.constant();
  // Counts made by kernels are data: a broken kernel must not walk off its buffers.
  if (count < 0 || count > tiles.max())
    return fail("launch '", launch.timing.name, "': ", count, " tiles, the plan allows ",
                tiles.max(), "; report this as a bug of the compiler");
  return count;
}

Result<void> Executor::observe(Bucket &bucket, const Launch &launch, const GrokStepInfo &step,
                               int64_t tiles) {
  std::vector<BufferView> written(bucket.views.begin() + launch.firstView,
                                  bucket.views.begin() + launch.firstView + launch.numViews);
  if (auto ended = device->wait(); !ended)
    return ended;
  size_t total = 0;
  for (BufferView &view : written) {
    bool isLogits = view.data == logitMemory->data();
    view.rows = !view.perRow ? 1 : isLogits ? step.logitRows : step.rows;
    total += view.bytes();
  }
  if (!device->sharesHostMemory()) {
    seen.resize(total);
    std::span<std::byte> rest(seen);
    for (BufferView &view : written) {
      auto copied =
          device->download(rest.first(view.bytes()), static_cast<const std::byte *>(view.data));
      if (!copied)
        return copied;
      view.data = rest.data();
      rest = rest.subspan(view.bytes());
    }
  }
  observer({launch.timing.name, launch.timing.op, launch.timing.layer, tiles, &step, written});
  return {};
}

Result<int64_t> Executor::runKernel(const Bucket &bucket, const Launch &launch,
                                    const GrokStepInfo &step) {
  auto tiles = countTiles(launch, step);
  if (tiles)
    if (auto done = device->launch(deviceLaunch(bucket, launch), *tiles); !done)
      return fail("launch '", launch.timing.name, "': ", done.error());
  return tiles;
}

/// Gives the number of rows that went over.
Result<int64_t> Executor::runCollective(const Bucket &bucket, const Launch &launch,
                                        const GrokStepInfo &step) {
  // Addresses are untyped as kernels want them; the plan's check has shown which
  // operand is written.
  auto address = [&](uint32_t operand) {
    return operand < launch.numAddresses ? static_cast<std::byte *>(const_cast<void *>(
                                               bucket.addresses[launch.firstAddress + operand]))
                                         : nullptr;
  };
  const int64_t rows = launch.ofLogits ? step.logitRows : step.rows;
  if (rows == 0)
    return rows;
  const CollectiveRows what = {.kind = launch.collective,
                               .over = launch.over,
                               .source = address(0),
                               .target = address(1),
                               .rows = rows,
                               .rowBytes = launch.rowBytes,
                               .ofLogits = launch.ofLogits};
  auto done = launch.byNccl ? nccl->run(what, launch.operation) : collectives->run(what);
  return done.map([&] { return rows; });
}

Result<void> Executor::run(const GrokStepInfo &step) {
  auto bucket = std::find_if(buckets.begin(), buckets.end(),
                             [&](const Bucket &each) { return each.maxRows >= step.rows; });
  if (bucket == buckets.end())
    return fail("a step of ", step.rows, " rows, the plan takes at most ", buckets.back().maxRows);
  if (auto begun = device->begin(step); !begun)
    return begun;
  const bool together = graphs && !profiling && !observer;
  auto done = !together                     ? runLaunches(*bucket, step)
              : persistent && bucket->tasks ? bucket->tasks->run()
                                            : runParts(*bucket, step);
  tokensDrawn = {};
  if (done && step.draws)
    return drawTokens(step);
  auto ended = device->wait();
  if (!done || !ended || hostLogits.empty())
    return done ? ended : done;
  const auto wanted = static_cast<size_t>(step.logitRows * logitColumns) * sizeof(float);
  return device->download(std::span(hostLogits).first(std::min(wanted, hostLogits.size())),
                          logitMemory->data());
}

Result<int64_t> Executor::runLaunch(const Bucket &bucket, const Launch &launch,
                                    const GrokStepInfo &step) {
  if (links) // a sign of life for those who wait
    links->communicator().setOperation(launch.operation);
  return launch.isApart() ? runCollective(bucket, launch, step) : runKernel(bucket, launch, step);
}

Result<void> Executor::runParts(Bucket &bucket, const GrokStepInfo &step) {
  for (const Part &part : bucket.parts) {
    if (part.graph) {
      if (auto launched = device->launch(*part.graph); !launched)
        return launched;
      continue;
    }
    for (const Launch &launch : std::span(bucket.together).subspan(part.first, part.count))
      if (auto tiles = runLaunch(bucket, launch, step); !tiles)
        return fail(tiles.error());
  }
  return {};
}

/// Nothing else of the step comes to the host.
Result<void> Executor::drawTokens(const GrokStepInfo &step) {
  const Clock::time_point start = Clock::now();
  return draws->launch(logitMemory->data())
      .and_then([&] { return profiling ? addTime(drawTiming, start) : Result<void>(); })
      .and_then([&] { return draws->fetch(static_cast<uint64_t>(step.logitRows)); })
      .map([&](std::span<const int32_t> tokens) { tokensDrawn = tokens; });
}

Result<void> Executor::addTime(LaunchTiming &timing, Clock::time_point start, bool isLaunch) {
  if (auto ended = device->wait(); !ended)
    return ended;
  const std::chrono::duration<double> elapsed = Clock::now() - start;
  const auto ofDevice = isLaunch ? device->secondsOfLastLaunch() : std::nullopt;
  timing.seconds += ofDevice.value_or(elapsed.count());
  ++timing.calls;
  return {};
}

Result<void> Executor::runLaunches(Bucket &bucket, const GrokStepInfo &step) {
  for (Launch &launch : bucket.launches) {
    auto start = profiling ? Clock::now() : Clock::time_point();
    auto tiles = runLaunch(bucket, launch, step);
    if (!tiles)
      return fail(tiles.error());
    if (profiling)
      if (auto ended = addTime(launch.timing, start, !launch.isApart()); !ended)
        return ended;
    if (observer)
      if (auto seenByObserver = observe(bucket, launch, step, *tiles); !seenByObserver)
        return seenByObserver;
  }
  return {};
}

void Executor::setProfiling(bool on) {
  const auto restart = [&](LaunchTiming &timing) {
    if (on)
      timing.calls = 0, timing.seconds = 0;
  };
  restart(drawTiming);
  for (Bucket &bucket : buckets)
    for (Launch &launch : bucket.launches)
      restart(launch.timing);
  profiling = on;
  device->setTiming(on);
}

std::vector<LaunchTiming> Executor::timings() const {
  std::vector<LaunchTiming> all;
  for (const Bucket &bucket : buckets)
    for (const Launch &launch : bucket.launches)
      all.push_back(launch.timing);
  if (draws)
    all.push_back(drawTiming);
  return all;
}

} // namespace grok::runtime
