// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Executors before their first step: memory, addresses, the way of each collective, graphs.
#include "runtime/executor/ExchangeNorms.h"
#include "runtime/executor/Executor.h"
#include "runtime/executor/WeightTraffic.h"
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <array>

namespace grok::runtime {

static std::span<const int64_t> shapeOf(const flatbuffers::Vector<int64_t> *shape) {
  return shape ? std::span<const int64_t>(shape->data(), shape->size())
               : std::span<const int64_t>();
}

static BufferView viewOf(const plan::Buffer &buffer, const void *data) {
  BufferView view;
  view.name = textOf(buffer.name());
  view.dtype = nameOf(buffer.dtype());
  view.data = data;
  view.perRow = buffer.per_row();
  view.rowBytes = elementsOf(buffer.row_shape()) * sizeOf(buffer.dtype());
  view.shape = shapeOf(buffer.row_shape());
  view.logical = shapeOf(buffer.logical_row_shape());
  if (view.logical.empty())
    view.logical = view.shape;
  return view;
}

static bool isVisible(const plan::Buffer &buffer, const plan::Operand &operand) {
  bool isActivation =
      buffer.kind() == plan::BufferKind::arena || buffer.kind() == plan::BufferKind::logits;
  return isActivation && operand.access() != plan::OperandAccess::read;
}

Result<void> Executor::allocate(const ExecutorParts &parts) {
  uint64_t arenaBytes = 0, logitBytes = 0;
  for (const plan::Bucket *bucket : *parts.program.buckets()) {
    arenaBytes = std::max(arenaBytes, bucket->arena_bytes());
    for (const plan::Buffer *buffer : *bucket->buffers())
      if (buffer->kind() == plan::BufferKind::logits) {
        logitBytes = std::max(logitBytes, buffer->bytes());
        logitColumns = static_cast<int64_t>(elementsOf(buffer->row_shape()));
      }
  }
  auto arenaMemory = device->allocate(arenaBytes, "activations");
  if (!arenaMemory)
    return fail(arenaMemory.error());
  auto logitsOfRows = device->allocate(logitBytes, "logits");
  if (!logitsOfRows)
    return fail(logitsOfRows.error());
  arena = std::move(*arenaMemory);
  logitMemory = std::move(*logitsOfRows);
  if (!parts.givesLogits)
    return {};
  if (!device->sharesHostMemory())
    hostLogits.resize(logitBytes);
  givenLogits = device->sharesHostMemory() ? logitMemory->data() : hostLogits.data();
  const uint64_t rowBytes = static_cast<uint64_t>(logitColumns) * sizeof(float);
  return TokenDraws::create(*device, rowBytes ? logitBytes / rowBytes : 0)
      .map([&](std::unique_ptr<TokenDraws> made) { draws = std::move(made); });
}

std::byte *Executor::addressOf(const ExecutorParts &parts, const plan::Buffer &buffer) const {
  switch (buffer.kind()) {
  case plan::BufferKind::arena:
    return arena->data() + buffer.offset();
  case plan::BufferKind::weight:
    return parts.weights +
           parts.layout.tensors()->Get(static_cast<uint32_t>(buffer.tensor()))->offset();
  case plan::BufferKind::kv:
    return parts.pages + buffer.offset();
  case plan::BufferKind::logits:
    return logitMemory->data();
  }
  return nullptr;
}

Executor::Launch Executor::resolveLaunch(const ExecutorParts &parts, const plan::Bucket &bucket,
                                         const plan::Launch &launch, Bucket &resolved) {
  Launch result;
  result.kernel = static_cast<uint32_t>(launch.kernel());
  result.firstAddress = static_cast<uint32_t>(resolved.addresses.size());
  result.firstView = static_cast<uint32_t>(resolved.views.size());
  for (const plan::Operand *operand : *launch.operands()) {
    const auto &buffer = *bucket.buffers()->Get(static_cast<uint32_t>(operand->buffer()));
    std::byte *address = addressOf(parts, buffer);
    resolved.addresses.push_back(address);
    if (isVisible(buffer, *operand))
      resolved.views.push_back(viewOf(buffer, address));
  }
  result.numAddresses = static_cast<uint32_t>(resolved.addresses.size()) - result.firstAddress;
  result.numViews = static_cast<uint32_t>(resolved.views.size()) - result.firstView;
  result.timing = {.name = textOf(launch.name()),
                   .op = opOf(parts.plan, launch),
                   .layer = launch.layer(),
                   .bucketRows = bucket.max_rows()};
  result.operation = launch.name() ? launch.name()->c_str() : "";
  if (launch.collective() != plan::Collective::none)
    return resolveCollective(parts, bucket, launch, result, resolved);
  result.tiles = *launch.tiles();
  if (result.tiles.buffer() >= 0 && !device->countsTiles()) {
    const auto &counter = *bucket.buffers()->Get(static_cast<uint32_t>(result.tiles.buffer()));
    result.tileCounter =
        reinterpret_cast<const int32_t *>(addressOf(parts, counter)) + result.tiles.element();
  }
  LaunchProducts products = productsOf(parts.plan, parts.layout, bucket, launch);
  result.timing.weightBytes = weightBytesOf(parts.plan, parts.layout, bucket, launch);
  result.timing.multiplyAdds = products.multiplyAdds;
  result.timing.onIntegers = products.onIntegers;
  return result;
}

/// Its op with the way that it goes, where that is not the host's alone.
static std::string_view opByWay(plan::Collective kind, std::string_view op, bool byNccl,
                                bool onHost) {
  switch (kind) {
  case plan::Collective::all_gather:
    return byNccl ? "all_gather (NCCL)" : onHost ? "all_gather (host)" : "all_gather (exchange)";
  case plan::Collective::all_reduce:
    return byNccl ? "all_reduce (NCCL)" : onHost ? "all_reduce (host)" : "all_reduce (exchange)";
  default:
    return op;
  }
}

Executor::Launch Executor::resolveCollective(const ExecutorParts &parts, const plan::Bucket &bucket,
                                             const plan::Launch &launch, Launch resolved,
                                             Bucket &to) {
  const auto &first =
      *bucket.buffers()->Get(static_cast<uint32_t>(launch.operands()->Get(0)->buffer()));
  resolved.collective = launch.collective();
  resolved.over = launch.over();
  resolved.rowBytes = elementsOf(first.row_shape()) * sizeOf(first.dtype());
  for (const plan::Operand *operand : *launch.operands())
    resolved.ofLogits |= bucket.buffers()->Get(static_cast<uint32_t>(operand->buffer()))->kind() ==
                         plan::BufferKind::logits;
  const int64_t fewestRows = buckets.empty() || resolved.ofLogits ? 1 : buckets.back().maxRows + 1;
  const bool canNccl = nccl && nccl->serves(resolved.collective, resolved.over, resolved.rowBytes);
  const uint64_t fewestBytes = static_cast<uint64_t>(fewestRows) * resolved.rowBytes;
  const auto exchange =
      parts.exchange && !(canNccl && nccl->prefers(resolved.over, fewestBytes))
          ? parts.exchange->describe(resolved.collective, resolved.over, resolved.rowBytes,
                                     resolved.ofLogits, resolved.operation)
          : std::nullopt;
  resolved.byNccl = !exchange && canNccl;
  resolved.onHost = !exchange && !canNccl;
  if (!device->sharesHostMemory())
    resolved.timing.op =
        opByWay(resolved.collective, resolved.timing.op, resolved.byNccl, resolved.onHost);
  if (!exchange)
    return resolved;
  resolved.kernel = parts.exchange->kernel();
  to.addresses.push_back(exchangeMemory->data() + exchanges.size() * sizeof *exchange);
  ++resolved.numAddresses;
  resolved.isExchange = true;
  exchanges.push_back(*exchange);
  return resolved;
}

Executor::Bucket Executor::resolve(const ExecutorParts &parts, const plan::Bucket &bucket) {
  Bucket resolved;
  resolved.maxRows = bucket.max_rows();
  resolved.launches.reserve(bucket.launches()->size());
  for (const plan::Launch *launch : *bucket.launches())
    resolved.launches.push_back(resolveLaunch(parts, bucket, *launch, resolved));
  resolved.together = joinNorms(parts, bucket, resolved);
  return resolved;
}

/// The launches, but exchanges of few rows and the norms that read them as one.
std::vector<Executor::Launch> Executor::joinNorms(const ExecutorParts &parts,
                                                  const plan::Bucket &bucket,
                                                  Bucket &resolved) const {
  const auto kernel = parts.exchange ? parts.exchange->normKernel() : std::nullopt;
  std::vector<Launch> together;
  for (size_t i = 0; i < resolved.launches.size(); ++i) {
    const Launch &first = resolved.launches[i];
    if (!kernel || !first.isExchange ||
        !isExchangeOfNorm(parts.plan, bucket, static_cast<uint32_t>(i))) {
      together.push_back(first);
      continue;
    }
    Launch norm = resolved.launches[++i];
    const auto addressOf = [&](const Launch &launch, uint32_t operand) {
      return resolved.addresses[launch.firstAddress + operand];
    };
    // Source, residual, post scale, next scale, output, what the exchange is told.
    const std::array operands = {addressOf(first, 0), addressOf(norm, 0), addressOf(norm, 2),
                                 addressOf(norm, 3),  addressOf(norm, 4), addressOf(first, 2)};
    norm.kernel = *kernel;
    norm.firstAddress = static_cast<uint32_t>(resolved.addresses.size());
    norm.numAddresses = operands.size();
    resolved.addresses.insert(resolved.addresses.end(), operands.begin(), operands.end());
    together.push_back(std::move(norm));
  }
  return together;
}

/// Its collectives with all the rows that it is for.
Result<void> Executor::prepareNccl(const Bucket &bucket) {
  for (const Launch &launch : bucket.launches)
    if (launch.byNccl)
      if (auto prepared = nccl->prepare({.kind = launch.collective,
                                         .over = launch.over,
                                         .rows = bucket.maxRows,
                                         .rowBytes = launch.rowBytes,
                                         .ofLogits = launch.ofLogits});
          !prepared)
        return prepared;
  return {};
}

/// Room for what kernels are told of collectives.
Result<void> Executor::placeExchanges(const plan::Program &program) {
  uint64_t most = 0;
  for (const plan::Bucket *bucket : *program.buckets())
    for (const plan::Launch *launch : *bucket->launches())
      most += launch->collective() != plan::Collective::none;
  if (most == 0)
    return {};
  return device->allocate(most * sizeof(GrokExchange), "collectives")
      .map([&](std::unique_ptr<DeviceMemory> memory) { exchangeMemory = std::move(memory); });
}

Result<Executor> Executor::create(const ExecutorParts &parts) {
  Executor executor(parts.device);
  executor.links = parts.links;
  executor.nccl = parts.nccl;
  if (parts.links)
    executor.collectives.emplace(parts.device, *parts.links);
  if (auto allocated = executor.allocate(parts); !allocated)
    return fail(allocated.error());
  if (auto placed = executor.placeExchanges(parts.program); !placed)
    return fail(placed.error());
  for (const plan::Bucket *bucket : *parts.program.buckets()) {
    executor.buckets.push_back(executor.resolve(parts, *bucket));
    if (auto prepared = executor.prepareNccl(executor.buckets.back()); !prepared)
      return fail(prepared.error());
    if (auto recorded = executor.record(executor.buckets.back()); !recorded)
      return fail(recorded.error());
    if (auto listed = executor.listTasks(*bucket, executor.buckets.back()); !listed)
      return fail(listed.error());
  }
  if (auto told = executor.tellExchanges(); !told)
    return fail(told.error());
  return executor;
}

Result<void> Executor::tellExchanges() {
  if (exchanges.empty())
    return {};
  return device->upload(exchangeMemory->data(), std::as_bytes(std::span(exchanges)));
}

/// Collectives that are no kernels stand between what is put together: NCCL is told how
/// many rows there are.
Result<void> Executor::record(Bucket &bucket) {
  for (size_t i = 0; i < bucket.together.size();) {
    std::vector<DeviceLaunch> launches;
    while (i + launches.size() < bucket.together.size() &&
           !bucket.together[i + launches.size()].isApart())
      launches.push_back(deviceLaunch(bucket, bucket.together[i + launches.size()]));
    Part part{i, std::max<size_t>(launches.size(), 1), nullptr};
    if (!launches.empty()) {
      auto graph = device->record(launches);
      if (!graph)
        return fail(graph.error());
      part.graph = std::move(*graph);
    }
    i += part.count;
    bucket.parts.push_back(std::move(part));
  }
  return {};
}

/// The persistent kernel does steps of one row in which no ranks meet.
Result<void> Executor::listTasks(const plan::Bucket &planned, Bucket &bucket) {
  std::vector<DeviceLaunch> launches;
  for (const Launch &launch : bucket.launches) {
    if (bucket.maxRows != 1 || launch.collective != plan::Collective::none)
      return {};
    launches.push_back(deviceLaunch(bucket, launch));
  }
  return TaskList::create(*device, launches, taskUsesOf(planned))
      .map([&](std::unique_ptr<TaskList> tasks) { bucket.tasks = std::move(tasks); });
}

} // namespace grok::runtime
