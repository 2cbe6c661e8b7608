// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs a plan's program: the launches of one bucket, in order, on one device.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/TaskList.h"
#include "runtime/executor/DeviceCollectives.h"
#include "runtime/executor/LaunchView.h"
#include "runtime/executor/NcclExchange.h"
#include "runtime/executor/PeerExchange.h"
#include "runtime/executor/TokenDraws.h"
#include "runtime/plan/plan_generated.h"
#include <chrono>
#include <vector>

namespace grok::runtime {

/// What an executor is made of. All of it outlives the executor.
struct ExecutorParts {
  const plan::Plan &plan;
  const plan::Program &program;
  const plan::Layout &layout;
  Device &device;
  std::byte *weights;               // the layout's file, in the device's memory
  std::byte *pages;                 // base of the key/value page pool, likewise
  const RankLinks *links = nullptr; // of a plan for several ranks
  PeerExchange *exchange = nullptr; // likewise
  NcclExchange *nccl = nullptr;     // likewise
  bool givesLogits = true;          // whether logits() and draws are asked for
};

/// Owns the activations and logits of one session. All addresses are resolved
/// when it is made; running allocates nothing.
class Executor {
public:
  static Result<Executor> create(const ExecutorParts &parts);

  /// Runs the smallest bucket that takes step.rows rows (1..max step rows).
  Result<void> run(const GrokStepInfo &step);

  /// Null in a stage that is not the last, and if nobody asks for them.
  const float *logits() const { return reinterpret_cast<const float *>(givenLogits); }
  /// Whether steps may ask for draws. Then logits() is not made.
  bool canDraw() const { return draws != nullptr; }
  /// What the device drew from each row of logits in the last step, if that asked for it.
  std::span<const int32_t> drawn() const { return tokensDrawn; }
  /// Floats from one row of logits to the next.
  int64_t logitStride() const { return logitColumns; }

  void setObserver(LaunchObserver newObserver) { observer = std::move(newObserver); }
  /// Starts from zero when switched on.
  void setProfiling(bool on);
  std::vector<LaunchTiming> timings() const;
  /// Whether launches that the device has put together run so, where it can (the default).
  void setGraphs(bool on) { graphs = on; }
  /// Whether steps of one row are one launch of the plan's persistent kernel, where it
  /// has one (the default).
  void setPersistent(bool on) { persistent = on; }

private:
  struct Launch {
    uint32_t kernel = 0;
    uint32_t firstAddress = 0; // in Bucket::addresses
    uint32_t firstView = 0;    // in Bucket::views
    uint32_t numAddresses = 0, numViews = 0;
    plan::TileCount tiles;
    const int32_t *tileCounter = nullptr; // for counts made by kernels
    plan::Collective collective = plan::Collective::none;
    const char *operation = ""; // the launch's name
    plan::Axis over = plan::Axis::NONE;
    uint64_t rowBytes = 0;   // of what a collective reads, or receives
    bool ofLogits = false;   // a collective's rows are logit rows
    bool isExchange = false; // a collective that a kernel does
    bool byNccl = false;     // a collective that NCCL does on the device
    bool onHost = false;     // one that the device cannot do
    LaunchTiming timing;

    bool isApart() const { return byNccl || onHost; } // no kernel of the device's
  };
  /// Launches that the device has put together, or a collective, alone.
  struct Part {
    size_t first = 0, count = 0;
    std::unique_ptr<DeviceGraph> graph; // null: they are made one by one
  };
  struct Bucket {
    int64_t maxRows = 0;
    std::vector<Launch> launches;
    std::vector<Launch> together; // where nobody looks at single ones: norms with their exchange
    std::vector<const void *> addresses;
    std::vector<BufferView> views;
    std::vector<Part> parts;
    std::unique_ptr<TaskList> tasks; // all launches, for the persistent kernel; or null
  };

  explicit Executor(Device &device) : device(&device) {}
  Result<void> allocate(const ExecutorParts &parts);
  std::byte *addressOf(const ExecutorParts &parts, const plan::Buffer &buffer) const;
  Bucket resolve(const ExecutorParts &parts, const plan::Bucket &bucket);
  Launch resolveLaunch(const ExecutorParts &parts, const plan::Bucket &bucket,
                       const plan::Launch &launch, Bucket &resolved);
  Launch resolveCollective(const ExecutorParts &parts, const plan::Bucket &bucket,
                           const plan::Launch &launch, Launch resolved, Bucket &to);
  Result<void> prepareNccl(const Bucket &bucket);
  std::vector<Launch> joinNorms(const ExecutorParts &parts, const plan::Bucket &bucket,
                                Bucket &resolved) const;
  Result<void> placeExchanges(const plan::Program &program);
  Result<void> tellExchanges();
  Result<void> record(Bucket &bucket);
  Result<void> listTasks(const plan::Bucket &planned, Bucket &bucket);
  Result<void> runParts(Bucket &bucket, const GrokStepInfo &step);
  DeviceLaunch deviceLaunch(const Bucket &bucket, const Launch &launch) const;
  Result<void> drawTokens(const GrokStepInfo &step);
  Result<void> addTime(LaunchTiming &timing, std::chrono::steady_clock::time_point start,
                       bool isLaunch = true);
  Result<void> runLaunches(Bucket &bucket, const GrokStepInfo &step);
  Result<int64_t> runLaunch(const Bucket &bucket, const Launch &launch, const GrokStepInfo &step);
  Result<int64_t> runKernel(const Bucket &bucket, const Launch &launch, const GrokStepInfo &step);
  Result<int64_t> runCollective(const Bucket &bucket, const Launch &launch,
                                const GrokStepInfo &step);
  Result<int64_t> countTiles(const Launch &launch, const GrokStepInfo &step) const;
  Result<void> observe(Bucket &bucket, const Launch &launch, const GrokStepInfo &step,
                       int64_t tiles);

  Device *device;
  const RankLinks *links = nullptr;
  std::optional<DeviceCollectives> collectives; // likewise
  NcclExchange *nccl = nullptr;                 // likewise
  std::unique_ptr<DeviceMemory> exchangeMemory; // [exchanges]
  std::vector<GrokExchange> exchanges;          // of collectives that the device does
  std::unique_ptr<DeviceMemory> arena;
  std::unique_ptr<DeviceMemory> logitMemory; // [logit rows, logitColumns]
  std::vector<std::byte> hostLogits;         // where the device has memory of its own
  const std::byte *givenLogits = nullptr;    // where the host reads them
  std::unique_ptr<TokenDraws> draws;         // null: by the host
  std::span<const int32_t> tokensDrawn;
  LaunchTiming drawTiming = {.name = "sample", .op = "sample"};
  std::vector<std::byte> seen; // buffers for the observer, likewise
  int64_t logitColumns = 0;
  std::vector<Bucket> buckets;
  LaunchObserver observer;
  bool profiling = false;
  bool graphs = true;
  bool persistent = true;
};

} // namespace grok::runtime
