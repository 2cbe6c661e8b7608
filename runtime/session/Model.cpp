// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/Model.h"
#include "runtime/collectives/LocalCommunicator.h"
#include "runtime/device/Choice.h"
#include "runtime/device/cpu/ThreadPool.h"
#include "runtime/device/cpu/Topology.h"
#include "runtime/executor/WeightTraffic.h"
#include "runtime/plan/PlanCheck.h"
#include "runtime/session/Commands.h"
#include "runtime/session/RankHardware.h"
#include <algorithm>
#include <chrono>

namespace grok::runtime {

static void describeModel(const plan::Plan &plan, ModelInfo &info) {
  const plan::Model &model = *plan.model();
  info.name = textOf(model.name());
  info.producer = textOf(plan.producer());
  info.numerics = textOf(plan.numerics());
  info.weights = textOf(plan.weights());
  info.vocabSize = model.vocab_size();
  info.embeddingSize = model.emb_size();
  info.numLayers = model.num_layers();
  info.numExperts = model.num_experts();
  info.numSelectedExperts = model.num_selected_experts();
  info.queryColumns = model.num_q_heads() * model.key_size();
  info.padToken = model.pad_token();
  info.eosToken = model.eos_token();
  info.maxContext = plan.max_context();
  info.maxStepRows = plan.max_step_rows();
  info.pageTokens = plan.page()->tokens();
  for (const plan::Program *program : *plan.programs())
    info.pageBytes = std::max(info.pageBytes, plan.page()->layer_bytes() *
                                                  static_cast<uint64_t>(program->layers()));
}

/// Program and layout of a rank.
static const plan::Program &programOf(const plan::Plan &plan, int rank) {
  const plan::Rank &entry = *plan.ranks()->Get(static_cast<uint32_t>(rank));
  return *plan.programs()->Get(static_cast<uint32_t>(entry.program()));
}
static const plan::Layout &layoutOf(const plan::Plan &plan, int rank) {
  const plan::Rank &entry = *plan.ranks()->Get(static_cast<uint32_t>(rank));
  return *plan.layouts()->Get(static_cast<uint32_t>(entry.layout()));
}

static void describeRanks(const ModelState &state, ModelInfo &info) {
  const plan::Plan &plan = state.plan();
  const plan::Sharding &sharding = state.sharding();
  info.sharding = nameOf(sharding);
  info.ranks = static_cast<int>(plan.ranks()->size());
  for (int rank = 0; rank < info.ranks / sharding.dp(); ++rank)
    info.weightBytesPerToken +=
        weightBytesPerToken(plan, layoutOf(plan, rank), programOf(plan, rank));
  for (const auto &rank : state.ranks) {
    info.weightBytes += rank->weights.bytes();
    info.threads += rank->device->threads();
  }
  for (const plan::Program *program : *plan.programs())
    for (const plan::Bucket *bucket : *program->buckets())
      info.arenaBytes = std::max(info.arenaBytes, bucket->arena_bytes());
}

static ModelInfo describe(const ModelState &state) {
  ModelInfo info;
  const RankState &first = *state.ranks.front();
  describeModel(state.plan(), info);
  describeRanks(state, info);
  info.cpuLevel = first.device->level();
  info.hasDeviceMemory = !first.device->sharesHostMemory();
  info.drawsOnDevice = first.device->service("sample").has_value();
  info.planBytes = state.document.bodyBytes();
  info.hasWeights = !textOf(first.layout.file()).empty();
  for (const plan::Bucket *bucket : *first.program.buckets())
    info.buckets.push_back(bucket->max_rows());
  return info;
}

static int64_t logitStrideOf(const plan::Plan &plan) {
  for (const plan::Program *program : *plan.programs())
    for (const plan::Buffer *buffer : *program->buckets()->Get(0)->buffers())
      if (buffer->kind() == plan::BufferKind::logits)
        return static_cast<int64_t>(elementsOf(buffer->row_shape()));
  return 0;
}

static Result<WeightFile> openWeights(const std::string &directory, const plan::Layout &layout,
                                      const LoadOptions &options) {
  bool hasFile = layout.file() && layout.file()->size() != 0;
  return options.zeroWeights && !hasFile ? WeightFile::zeros(layout)
                                         : WeightFile::map(directory, layout);
}

static Result<void> checkWeights(const WeightFile &weights, int threads) {
  auto pool = ThreadPool::create(threads);
  return pool ? weights.checkAll(**pool) : Result<void>(fail(pool.error()));
}

/// That no other rank, of this process or of the job, has the same GPU.
static Result<void> checkHardware(const ModelState &state, const Device &device, int rank,
                                  const LoadOptions &options) {
  if (options.communicator)
    return checkUnshared(*options.communicator, device.hardware());
  for (size_t other = 0; other < state.ranks.size(); ++other)
    if (auto checked =
            checkUnshared(device.hardware(), rank, state.ranks[other]->device->hardware(),
                          static_cast<int>(other));
        !checked)
      return checked;
  return {};
}

static Result<void> loadRank(ModelState &state, const std::string &directory, int rank, int threads,
                             const LoadOptions &options) {
  const plan::Plan &plan = state.plan();
  const plan::Layout &layout = layoutOf(plan, rank);
  auto weights = openWeights(directory, layout, options);
  if (!weights)
    return fail(weights.error());
  const int place = options.communicator ? placeOnHost(*options.communicator) : rank;
  auto device =
      makeDevice(plan, options.device,
                 {threads, options.cpuLevel, options.placing, static_cast<uint32_t>(rank), place});
  if (!device)
    return fail(directory, "/model.plan: ", device.error());
  if (auto checked = checkHardware(state, **device, rank, options); !checked)
    return checked;
  if (options.fullCheck)
    if (auto checked = checkWeights(*weights, threads); !checked)
      return checked;
  const bool isFiller = options.zeroWeights && textOf(layout.file()).empty();
  auto placed = isFiller && !(*device)->sharesHostMemory()
                    ? (*device)->placeFiller(weights->bytes(), "weights")
                    : (*device)->place(weights->contents(), "weights");
  if (!placed)
    return fail(directory, ": ", placed.error());
  state.ranks.push_back(std::unique_ptr<RankState>(new RankState{
      RankPlace::of(state.sharding(), rank), programOf(plan, rank), layout, std::move(*weights),
      std::move(*device), std::move(*placed), nullptr, std::nullopt, nullptr, nullptr}));
  return {};
}

static Result<void> joinRanks(ModelState &state, RankState &rank, Communicator &communicator) {
  rank.communicator = &communicator;
  auto links = RankLinks::create(state.plan(), communicator);
  if (!links)
    return fail(links.error());
  rank.links.emplace(std::move(*links));
  auto exchange = PeerExchange::create(*rank.device, *rank.links);
  if (!exchange)
    return fail(exchange.error());
  rank.exchange = std::move(*exchange);
  communicator.setInStep(false);
  auto nccl = NcclExchange::create(*rank.device, *rank.links);
  if (!nccl)
    return fail(nccl.error());
  rank.nccl = std::move(*nccl);
  return {};
}

/// Every rank but the first becomes a thread that follows it.
static Result<void> startFollowers(ModelState &state) {
  auto made = makeLocalCommunicators(static_cast<int>(state.ranks.size()));
  if (!made)
    return fail(made.error());
  state.communicators = std::move(*made);
  // Threads of one process do not get lost: only an idle wait could be too long.
  for (const auto &communicator : state.communicators)
    communicator->setDeadline(std::chrono::hours(24));
  state.ranks.front()->communicator = state.communicators.front().get();
  for (size_t i = 1; i < state.ranks.size(); ++i)
    state.followers.emplace_back([&state, i] {
      Communicator &communicator = *state.communicators[i];
      // The leader hears of an error by what it waits for.
      if (auto joined = joinRanks(state, *state.ranks[i], communicator); !joined)
        communicator.abort(joined.error());
      else
        (void)followLeader(state, *state.ranks[i]);
    });
  return joinRanks(state, *state.ranks.front(), *state.communicators.front());
}

static Result<void> checkRankCount(const plan::Plan &plan, const std::string &path,
                                   const LoadOptions &options) {
  const auto ranks = static_cast<int>(plan.ranks()->size());
  const std::string sharding = nameOf(*plan.sharding());
  if (options.ranks && options.ranks != ranks)
    return fail(path, ": is compiled for ", ranks, " ranks (", sharding, "), not for ",
                options.ranks, "; give --ranks ", ranks,
                " or compile it with --devices=", options.ranks);
  if (options.communicator && options.communicator->ranks() != ranks)
    return fail(path, ": is compiled for ", ranks, " ranks (", sharding, "), the job has ",
                options.communicator->ranks(), "; start ", ranks, " processes");
  return {};
}

static Result<std::unique_ptr<ModelState>> loadState(const std::string &directory,
                                                     const LoadOptions &options) {
  std::string path = directory + "/model.plan";
  auto document = readPlan(path);
  if (!document)
    return fail(document.error());
  auto state = std::make_unique<ModelState>(std::move(*document));
  if (auto checked = checkRankCount(state->plan(), path, options); !checked)
    return fail(checked.error());
  const int all = static_cast<int>(state->plan().ranks()->size());
  const int first = options.communicator ? options.communicator->rank() : 0;
  const int count = options.communicator ? 1 : all;
  const int threads = options.threads ? options.threads : Topology::detect().cores;
  for (int rank = first; rank < first + count; ++rank)
    if (auto loaded = loadRank(*state, directory, rank, std::max(1, threads / count), options);
        !loaded)
      return fail(loaded.error());
  state->logitStride = logitStrideOf(state->plan());
  state->info = describe(*state);
  if (options.communicator)
    if (auto joined = joinRanks(*state, *state->ranks.front(), *options.communicator); !joined)
      return fail(joined.error());
  if (count > 1)
    if (auto started = startFollowers(*state); !started)
      return fail(started.error());
  return state;
}

ModelState::~ModelState() {
  if (ranks.empty() || !ranks.front()->communicator)
    return;
  // Those who do not listen any more have ended already.
  Communicator &communicator = *ranks.front()->communicator;
  if (!ranks.front()->nccl) // the last step of joining
    communicator.abort("the leader could not join its ranks");
  else if (communicator.rank() == 0)
    (void)sendToAll(*this, {Command::Kind::quit, 0, 0});
  for (std::thread &follower : followers)
    follower.join();
}

Result<std::shared_ptr<const Model>> Model::load(const std::string &directory,
                                                 const LoadOptions &options) {
  auto start = std::chrono::steady_clock::now();
  auto state = loadState(directory, options);
  if (!state)
    return fail(state.error());
  std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  (*state)->info.loadSeconds = elapsed.count();
  return std::make_shared<const Model>(std::move(*state));
}

Model::Model(std::unique_ptr<ModelState> state) : contents(std::move(state)) {}
Model::~Model() = default;

const ModelInfo &Model::info() const { return contents->info; }

bool Model::isLeader() const {
  const Communicator *communicator = contents->ranks.front()->communicator;
  return !communicator || communicator->rank() == 0;
}

Result<void> Model::follow() const { return followLeader(*contents, *contents->ranks.front()); }

Result<std::optional<double>> Model::measureReadRate() const {
  const std::lock_guard lock(contents->running);
  return contents->ranks.front()->device->measureReadRate();
}

std::span<const std::byte> Model::tokenizer() const {
  const auto *bytes = contents->document.root().tokenizer();
  return bytes ? std::as_bytes(std::span(bytes->data(), bytes->size()))
               : std::span<const std::byte>();
}

} // namespace grok::runtime
