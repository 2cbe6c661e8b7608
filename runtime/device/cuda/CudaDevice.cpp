// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaDevice.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace grok::runtime {

using namespace cuda;

// Of a pinned buffer that results and other ranks' rows come through: logits of a step of
// one row fit.
static constexpr uint64_t transferBytes = uint64_t(1) << 20;

// Of the service "read" (compiler/targets/nvidia/generators/GpuRead.cpp).
static constexpr uint64_t tileBytes = uint64_t(1) << 16, tileResultBytes = 32;

// Bytes that a rank's weights take, as in its file.
static uint64_t weightBytesOf(const plan::Plan &plan, uint32_t rank) {
  const auto layout = static_cast<uint32_t>(plan.ranks()->Get(rank)->layout());
  uint64_t bytes = plan.layouts()->Get(layout)->file_bytes();
  for (const plan::WeightTensor *tensor : *plan.layouts()->Get(layout)->tensors())
    bytes = std::max(bytes, tensor->offset() + tensor->bytes());
  return bytes;
}

Result<std::unique_ptr<CudaDevice>> CudaDevice::create(const plan::Plan &plan, uint32_t rank,
                                                       const Gpu &gpu, UploadSettings settings) {
  auto context = CudaContext::create(gpu);
  if (!context)
    return fail(context.error());
  const uint64_t needed = weightBytesOf(plan, rank) + CudaKernels::scratchBytes(plan, *gpu.code);
  if (auto fits = (*context)->checkFree(needed, "weights and scratch memory"); !fits)
    return fail(fits.error());
  auto kernels = CudaKernels::load(**context, plan);
  if (!kernels)
    return fail(kernels.error());
  auto step = CudaStep::create(**context, plan);
  if (!step)
    return fail(step.error());
  auto transfers = (*context)->pin(transferBytes);
  if (!transfers)
    return fail(transfers.error());
  std::unique_ptr<CudaDevice> device(new CudaDevice(std::move(*context), std::move(*kernels),
                                                    std::move(*step), std::move(settings)));
  device->transfers = std::move(*transfers);
  device->levelText = gpu.code->chip()->str() + ", " + gpu.name;
  if (auto ready = device->wait(); !ready)
    return fail(ready.error());
  return device;
}

CudaDevice::CudaDevice(std::unique_ptr<CudaContext> context, CudaKernels kernels, CudaStep step,
                       UploadSettings settings)
    : context(std::move(context)), ownPeers(*this->context), ownQueue(*this->context),
      kernels(std::move(kernels)), step(std::move(step)), settings(std::move(settings)) {
  parameters.resize(this->kernels.mostOperands() + 2);
  for (Address &parameter : parameters)
    parameterPlaces.push_back(&parameter);
  const char *blocking = std::getenv("CUDA_LAUNCH_BLOCKING");
  isBlocking = blocking && std::strcmp(blocking, "1") == 0;
}

CudaDevice::~CudaDevice() {
  // What is still queued may use memory that ends now.
  (void)wait();
  setTiming(false);
}

Result<std::unique_ptr<DeviceMemory>> CudaDevice::allocate(uint64_t bytes, std::string_view what) {
  isBusy = true;
  return context->allocate(bytes, what);
}

Result<std::unique_ptr<DeviceMemory>> CudaDevice::place(std::span<const std::byte> bytes,
                                                        std::string_view what) {
  auto memory = context->allocateRaw(bytes.size(), what);
  if (!memory)
    return memory;
  if (auto sent = cuda::upload(*context, addressOf((*memory)->data()), bytes, settings); !sent)
    return fail(what, ": ", sent.error());
  return memory;
}

Result<std::unique_ptr<DeviceMemory>> CudaDevice::placeFiller(uint64_t bytes,
                                                              std::string_view what) {
  // Every 16 bits are a small bfloat16, +-0.0078 to +-0.0156, and a half near 1, so
  // that as weights or scales of any format they are finite.
  constexpr uint64_t runBytes = uint64_t(256) << 10;
  auto memory = context->allocateRaw(bytes, what);
  if (!memory)
    return memory;
  isBusy = true;
  uint64_t random = 1;
  const Address begin = addressOf((*memory)->data());
  for (uint64_t offset = 0; offset < bytes; offset += runBytes) {
    random = random * 6364136223846793005u + 1442695040888963407u; // Knuth's MMIX
    const auto word = static_cast<unsigned>(random >> 32 & 0x807f807fu) | 0x3c003c00u;
    const uint64_t count = std::min(runBytes, bytes - offset) / sizeof word;
    if (auto filled =
            check(driver().cuMemsetD32Async(begin + offset, word, count, context->stream()), what);
        !filled)
      return fail(filled.error());
  }
  return memory;
}

Result<void> CudaDevice::download(std::span<std::byte> to, const std::byte *from) {
  if (auto entered = context->enter(); !entered)
    return entered;
  for (uint64_t offset = 0; offset < to.size(); offset += transferBytes) {
    const uint64_t bytes = std::min<uint64_t>(transferBytes, to.size() - offset);
    isBusy = true;
    auto copied = check(driver().cuMemcpyDtoHAsync(transfers.data(), addressOf(from) + offset,
                                                   bytes, context->stream()),
                        "results")
                      .and_then([&] { return wait(); });
    if (!copied)
      return copied;
    std::memcpy(to.data() + offset, transfers.data(), bytes);
  }
  return {};
}

Result<void> CudaDevice::upload(std::byte *to, std::span<const std::byte> from) {
  if (auto entered = context->enter(); !entered)
    return entered;
  for (uint64_t offset = 0; offset < from.size(); offset += transferBytes) {
    if (auto ended = isUploading ? wait() : Result<void>(); !ended)
      return ended;
    const uint64_t bytes = std::min<uint64_t>(transferBytes, from.size() - offset);
    std::memcpy(transfers.data(), from.data() + offset, bytes);
    isBusy = isUploading = true;
    if (auto queued = check(driver().cuMemcpyHtoDAsync(addressOf(to) + offset, transfers.data(),
                                                       bytes, context->stream()),
                            "rows of other ranks");
        !queued)
      return queued;
  }
  return {};
}

Result<void> CudaDevice::begin(const GrokStepInfo &newStep) {
  // The copy of a step that nobody waited for may still be under way.
  if (auto ended = isBusy ? wait() : context->enter(); !ended)
    return ended;
  isBusy = true;
  return step.send(newStep);
}

void **CudaDevice::parametersOf(const DeviceLaunch &launch) {
  auto end = std::transform(launch.operands.begin(), launch.operands.end(), parameters.begin(),
                            [](const void *operand) { return addressOf(operand); });
  *end++ = step.address();
  *end = kernels[launch.kernel].scratch;
  return parameterPlaces.data();
}

Result<void> CudaDevice::launch(const DeviceLaunch &launch, int64_t) {
  const CudaKernel &kernel = kernels[launch.kernel];
  LaunchAttribute attribute = kernel.attribute();
  const LaunchConfig config{.grid = {kernel.blocks, 1, 1},
                            .block = {kernel.threads, 1, 1},
                            .sharedBytes = kernel.sharedBytes,
                            .stream = context->stream(),
                            .attributes = &attribute,
                            .attributeCount = kernel.attributeCount()};
  if (timeBegin && timeEnd)
    if (auto noted = check(driver().cuEventRecord(timeBegin, context->stream()), "an event");
        !noted)
      return noted;
  isBusy = true;
  ++launchesQueued;
  lastLaunch = kernel.name;
  auto launched =
      check(driver().cuLaunchKernelEx(&config, kernel.function, parametersOf(launch), nullptr),
            kernel.name);
  if (launched && timeBegin && timeEnd)
    launched = check(driver().cuEventRecord(timeEnd, context->stream()), "an event");
  return launched && isBlocking ? wait() : launched;
}

Result<void> CudaDevice::wait() {
  const uint64_t count = std::exchange(launchesQueued, 0);
  isBusy = isUploading = false;
  if (auto entered = context->enter(); !entered)
    return entered;
  const Result<int> ended = ownPeers.isWatched() || ownQueue.watch()
                                ? ownPeers.await(context->stream(), ownQueue.watch())
                                : driver().cuStreamSynchronize(context->stream());
  if (!ended)
    return fail(ended.error());
  const int status = *ended;
  if (status == success)
    return {};
  const std::string what = driver().errorText(status);
  if (count == 0)
    return fail("the GPU: ", what);
  if (count == 1)
    return fail("the GPU: ", what, " in kernel ", lastLaunch);
  return fail("the GPU: ", what, " in one of ", count, " launches, the last of kernel ", lastLaunch,
              "; set CUDA_LAUNCH_BLOCKING=1 to see which");
}

/// A chain of kernels, instantiated.
class CudaDevice::RecordedGraph final : public DeviceGraph {
public:
  RecordedGraph(const CudaContext &context, uint64_t launches, std::string lastKernel)
      : context(context), launches(launches), lastKernel(std::move(lastKernel)) {}
  ~RecordedGraph() override {
    if (exec && context.enter())
      context.driver().cuGraphExecDestroy(exec);
  }

  const CudaContext &context;
  uint64_t launches;
  std::string lastKernel;
  GraphExec exec = nullptr;
};

namespace {

/// A graph while it is built.
struct OpenGraph {
  OpenGraph(const Driver &driver, bool mayStartEarly)
      : driver(driver), mayStartEarly(mayStartEarly && driver.cuGraphAddDependencies) {}
  OpenGraph(const OpenGraph &) = delete;
  OpenGraph &operator=(const OpenGraph &) = delete;
  ~OpenGraph() {
    if (graph)
      driver.cuGraphDestroy(graph);
  }
  /// Adds a node that runs after the one before, or starts while that one ends.
  Result<void> append(const CudaKernel &kernel, void **parameters);
  int linkEarly(GraphNode added) const;

  const Driver &driver;
  const bool mayStartEarly;
  Graph graph = nullptr;
  GraphNode last = nullptr;
};

} // namespace

// The kernel waits itself for those before. A driver that refuses gets an edge as others.
int OpenGraph::linkEarly(GraphNode added) const {
  constexpr GraphEdge ordinary;
  if (driver.cuGraphAddDependencies(graph, &last, &added, &programmaticEdge, 1) == success)
    return success;
  return driver.cuGraphAddDependencies(graph, &last, &added, &ordinary, 1);
}

Result<void> OpenGraph::append(const CudaKernel &kernel, void **parameters) {
  const KernelNode node{.function = kernel.function,
                        .grid = {kernel.blocks, 1, 1},
                        .block = {kernel.threads, 1, 1},
                        .sharedBytes = kernel.sharedBytes,
                        .parameters = parameters};
  GraphNode added = nullptr;
  // Blocks that must all run at a time do not share the GPU with the launch before.
  const bool isEarly = last && kernel.startsEarly && mayStartEarly && !kernel.isCooperative;
  int status = driver.cuGraphAddKernelNode(&added, graph, &last, last && !isEarly ? 1 : 0, &node);
  if (status == success && isEarly)
    status = linkEarly(added);
  if (auto done = driver.check(status, kernel.name); !done)
    return done;
  last = added;
  if (kernel.attributeCount() == 0)
    return {};
  const LaunchAttribute attribute = kernel.attribute();
  // The value is a union of 64 bytes.
  return driver.check(driver.cuGraphKernelNodeSetAttribute(added, attribute.id, attribute.cluster),
                      kernel.name);
}

Result<std::unique_ptr<DeviceGraph>> CudaDevice::record(std::span<const DeviceLaunch> launches) {
  if (isBlocking || launches.empty())
    return nullptr;
  auto recorded = std::make_unique<RecordedGraph>(*context, launches.size(),
                                                  kernels[launches.back().kernel].name);
  auto exec = instantiate(launches, /*mayStartEarly=*/true);
  if (!exec) // an old driver may take such edges and then no such graph
    exec = instantiate(launches, /*mayStartEarly=*/false);
  if (!exec)
    return fail(exec.error());
  recorded->exec = *exec;
  return recorded;
}

Result<GraphExec> CudaDevice::instantiate(std::span<const DeviceLaunch> launches,
                                          bool mayStartEarly) {
  OpenGraph open(driver(), mayStartEarly);
  GraphExec exec = nullptr;
  auto done = context->enter().and_then(
      [&] { return check(driver().cuGraphCreate(&open.graph, 0), "a CUDA graph"); });
  for (const DeviceLaunch &launch : launches)
    if (done)
      done = open.append(kernels[launch.kernel], parametersOf(launch));
  if (done)
    done = check(driver().cuGraphInstantiateWithFlags(&exec, open.graph, 0), "a CUDA graph");
  if (!done)
    return fail(done.error());
  return exec;
}

Result<void> CudaDevice::launch(DeviceGraph &graph) {
  auto &recorded = static_cast<RecordedGraph &>(graph);
  isBusy = true;
  launchesQueued += recorded.launches;
  lastLaunch = recorded.lastKernel;
  return check(driver().cuGraphLaunch(recorded.exec, context->stream()), "a CUDA graph");
}

void CudaDevice::setTiming(bool on) {
  if (!context->enter())
    return;
  for (Event *event : {&timeBegin, &timeEnd}) {
    if (*event)
      driver().cuEventDestroy(std::exchange(*event, nullptr));
    // Without events the host's clock does.
    if (on && driver().cuEventCreate(event, 0) != success)
      *event = nullptr;
  }
}

std::optional<double> CudaDevice::secondsOfLastLaunch() {
  float milliseconds = 0;
  if (!timeBegin || !timeEnd ||
      driver().cuEventElapsedTime(&milliseconds, timeBegin, timeEnd) != success)
    return std::nullopt;
  return 1e-3 * static_cast<double>(milliseconds);
}

Result<std::optional<double>> CudaDevice::measureReadRate() {
  const std::optional<uint32_t> kernel = service("read");
  // Far more than the second-level cache of any GPU, if there is room beside the model.
  for (uint64_t bytes = uint64_t(1) << 32; kernel && bytes >= uint64_t(1) << 28; bytes >>= 1)
    if (context->checkFree(bytes + bytes / tileBytes * tileResultBytes, "memory to read"))
      return measureReadRate(bytes, *kernel);
  return std::nullopt;
}

Result<std::optional<double>> CudaDevice::measureReadRate(uint64_t bytes, uint32_t kernel) {
  const auto tiles = static_cast<int32_t>(bytes / tileBytes);
  const auto from = placeFiller(bytes, "memory to read");
  if (!from)
    return fail(from.error());
  const auto results = allocate(static_cast<uint64_t>(tiles) * tileResultBytes, "sums of it");
  if (!results)
    return fail(results.error());
  const auto count = place(std::as_bytes(std::span(&tiles, 1)), "its size");
  if (!count)
    return fail(count.error());
  const std::vector<const void *> operands = {(*from)->data(), (*results)->data(),
                                              (*count)->data()};
  const auto seconds = timeReads({kernel, operands});
  if (!seconds)
    return fail(seconds.error());
  return seconds->has_value() && **seconds > 0
             ? std::optional(static_cast<double>(bytes) / **seconds)
             : std::nullopt;
}

/// Of one launch, the best of several.
Result<std::optional<double>> CudaDevice::timeReads(const DeviceLaunch &launch) {
  constexpr int launches = 10; // the first warms up
  std::optional<double> best;
  setTiming(true);
  Result<void> done;
  for (int i = 0; done && i < launches; ++i) {
    done = this->launch(launch, 0).and_then([&] { return wait(); });
    const std::optional<double> seconds = done ? secondsOfLastLaunch() : std::nullopt;
    if (i > 0 && seconds)
      best = std::min(best.value_or(*seconds), *seconds);
  }
  setTiming(false);
  if (!done)
    return fail(done.error());
  return best;
}

} // namespace grok::runtime
