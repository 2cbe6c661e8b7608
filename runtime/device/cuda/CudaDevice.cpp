// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaDevice.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace grok::runtime {

using namespace cuda;

// Of a pinned buffer that results come through: logits of a step of one row fit.
static constexpr uint64_t downloadBytes = uint64_t(1) << 20;

// Bytes that a rank's weights take, as in its file.
static uint64_t weightBytesOf(const plan::Plan &plan) {
  const auto layout = static_cast<uint32_t>(plan.ranks()->Get(0)->layout());
  uint64_t bytes = plan.layouts()->Get(layout)->file_bytes();
  for (const plan::WeightTensor *tensor : *plan.layouts()->Get(layout)->tensors())
    bytes = std::max(bytes, tensor->offset() + tensor->bytes());
  return bytes;
}

Result<std::unique_ptr<CudaDevice>> CudaDevice::create(const plan::Plan &plan, const Gpu &gpu,
                                                       UploadSettings settings) {
  auto context = CudaContext::create(gpu);
  if (!context)
    return fail(context.error());
  const uint64_t needed = weightBytesOf(plan) + CudaKernels::scratchBytes(*gpu.code);
  if (auto fits = (*context)->checkFree(needed, "weights and scratch memory"); !fits)
    return fail(fits.error());
  auto kernels = CudaKernels::load(**context, plan);
  if (!kernels)
    return fail(kernels.error());
  auto step = CudaStep::create(**context, plan);
  if (!step)
    return fail(step.error());
  auto downloads = (*context)->pin(downloadBytes);
  if (!downloads)
    return fail(downloads.error());
  std::unique_ptr<CudaDevice> device(new CudaDevice(std::move(*context), std::move(*kernels),
                                                    std::move(*step), std::move(settings)));
  device->downloads = std::move(*downloads);
  device->levelText = gpu.code->chip()->str() + ", " + gpu.name;
  if (auto ready = device->wait(); !ready)
    return fail(ready.error());
  return device;
}

CudaDevice::CudaDevice(std::unique_ptr<CudaContext> context, CudaKernels kernels, CudaStep step,
                       UploadSettings settings)
    : context(std::move(context)), kernels(std::move(kernels)), step(std::move(step)),
      settings(std::move(settings)) {
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
  if (auto sent = upload(*context, addressOf((*memory)->data()), bytes, settings); !sent)
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
  for (uint64_t offset = 0; offset < to.size(); offset += downloadBytes) {
    const uint64_t bytes = std::min<uint64_t>(downloadBytes, to.size() - offset);
    isBusy = true;
    auto copied = check(driver().cuMemcpyDtoHAsync(downloads.data(), addressOf(from) + offset,
                                                   bytes, context->stream()),
                        "results")
                      .and_then([&] { return wait(); });
    if (!copied)
      return copied;
    std::memcpy(to.data() + offset, downloads.data(), bytes);
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
  LaunchAttribute cluster = kernel.cluster();
  const LaunchConfig config{.grid = {kernel.blocks, 1, 1},
                            .block = {kernel.threads, 1, 1},
                            .sharedBytes = kernel.sharedBytes,
                            .stream = context->stream(),
                            .attributes = &cluster,
                            .attributeCount = kernel.clusterBlocks > 1 ? 1u : 0u};
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
  isBusy = false;
  if (auto entered = context->enter(); !entered)
    return entered;
  const int status = driver().cuStreamSynchronize(context->stream());
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
  explicit OpenGraph(const Driver &driver) : driver(driver) {}
  OpenGraph(const OpenGraph &) = delete;
  OpenGraph &operator=(const OpenGraph &) = delete;
  ~OpenGraph() {
    if (graph)
      driver.cuGraphDestroy(graph);
  }
  /// Adds a node that runs after the one before.
  Result<void> append(const CudaKernel &kernel, void **parameters);

  const Driver &driver;
  Graph graph = nullptr;
  GraphNode last = nullptr;
};

} // namespace

Result<void> OpenGraph::append(const CudaKernel &kernel, void **parameters) {
  const KernelNode node{.function = kernel.function,
                        .grid = {kernel.blocks, 1, 1},
                        .block = {kernel.threads, 1, 1},
                        .sharedBytes = kernel.sharedBytes,
                        .parameters = parameters};
  GraphNode added = nullptr;
  if (auto done = driver.check(
          driver.cuGraphAddKernelNode(&added, graph, &last, last ? 1 : 0, &node), kernel.name);
      !done)
    return done;
  last = added;
  if (kernel.clusterBlocks == 1)
    return {};
  const LaunchAttribute cluster = kernel.cluster();
  // The value is a union of 64 bytes.
  return driver.check(driver.cuGraphKernelNodeSetAttribute(added, cluster.id, cluster.cluster),
                      kernel.name);
}

Result<std::unique_ptr<DeviceGraph>> CudaDevice::record(std::span<const DeviceLaunch> launches) {
  if (isBlocking || launches.empty())
    return nullptr;
  OpenGraph open(driver());
  auto recorded = std::make_unique<RecordedGraph>(*context, launches.size(),
                                                  kernels[launches.back().kernel].name);
  auto done = context->enter().and_then(
      [&] { return check(driver().cuGraphCreate(&open.graph, 0), "a CUDA graph"); });
  for (const DeviceLaunch &launch : launches)
    if (done)
      done = open.append(kernels[launch.kernel], parametersOf(launch));
  if (done)
    done =
        check(driver().cuGraphInstantiateWithFlags(&recorded->exec, open.graph, 0), "a CUDA graph");
  if (!done)
    return fail(done.error());
  return recorded;
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
  // Far more than the second-level cache of any GPU, if there is room beside the model.
  for (uint64_t bytes = uint64_t(1) << 30; bytes >= uint64_t(1) << 28; bytes >>= 1) {
    const auto from = context->allocateRaw(bytes, "a copy for timing");
    const auto to = context->allocateRaw(bytes, "a copy for timing");
    if (from && to)
      return timeCopies(addressOf((*to)->data()), addressOf((*from)->data()), bytes);
  }
  return std::nullopt;
}

Result<std::optional<double>> CudaDevice::timeCopies(Address to, Address from, uint64_t bytes) {
  constexpr int copies = 8;
  const auto copy = [&] {
    return check(driver().cuMemcpyDtoDAsync(to, from, bytes, context->stream()),
                 "a copy for timing");
  };
  const auto note = [&](Event event) {
    return check(driver().cuEventRecord(event, context->stream()), "an event");
  };
  setTiming(true);
  if (!timeBegin || !timeEnd)
    return std::nullopt;
  auto done = copy().and_then([&] { return note(timeBegin); }); // the first warms up
  for (int i = 0; done && i < copies; ++i)
    done = copy();
  done = done.and_then([&] { return note(timeEnd); }).and_then([&] { return wait(); });
  const std::optional<double> seconds = done ? secondsOfLastLaunch() : std::nullopt;
  setTiming(false);
  if (!done)
    return fail(done.error());
  if (!seconds || *seconds <= 0)
    return std::nullopt;
  return 2.0 * copies * static_cast<double>(bytes) / *seconds; // read and written
}

} // namespace grok::runtime
