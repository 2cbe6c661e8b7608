// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/Model.h"
#include "runtime/executor/WeightTraffic.h"
#include "runtime/plan/PlanCheck.h"
#include "runtime/session/ModelState.h"
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
  info.pageBytes = plan.page()->bytes();
}

static ModelInfo describe(const ModelState &state) {
  ModelInfo info;
  const plan::Plan &plan = state.document.root();
  describeModel(plan, info);
  info.cpuLevel = state.device->level();
  info.threads = state.device->threads();
  info.planBytes = state.document.bodyBytes();
  info.hasWeights = state.layout.file() && state.layout.file()->size() != 0;
  info.weightBytes = state.weights.bytes();
  info.weightBytesPerToken = weightBytesPerToken(plan, state.layout, state.program);
  for (const plan::Bucket *bucket : *state.program.buckets()) {
    info.buckets.push_back(bucket->max_rows());
    info.arenaBytes = std::max(info.arenaBytes, bucket->arena_bytes());
  }
  return info;
}

static Result<WeightFile> openWeights(const std::string &directory, const plan::Layout &layout,
                                      const LoadOptions &options) {
  bool hasFile = layout.file() && layout.file()->size() != 0;
  return options.zeroWeights && !hasFile ? WeightFile::zeros(layout)
                                         : WeightFile::map(directory, layout);
}

static Result<std::unique_ptr<ModelState>> loadState(const std::string &directory,
                                                     const LoadOptions &options) {
  std::string path = directory + "/model.plan";
  auto document = readPlan(path);
  if (!document)
    return fail(document.error());
  const plan::Plan &plan = document->root();
  if (plan.ranks()->size() != 1)
    return fail(path, ": a plan for ", plan.ranks()->size(), " ranks, this version runs one");
  const plan::Rank &rank = *plan.ranks()->Get(0);
  const plan::Layout &layout = *plan.layouts()->Get(static_cast<uint32_t>(rank.layout()));
  const plan::Program &program = *plan.programs()->Get(static_cast<uint32_t>(rank.program()));
  auto weights = openWeights(directory, layout, options);
  if (!weights)
    return fail(weights.error());
  auto device = CpuDevice::create(plan, options.threads, options.cpuLevel);
  if (!device)
    return fail(path, ": ", device.error());
  if (options.fullCheck)
    if (auto checked = weights->checkAll((*device)->threadPool()); !checked)
      return fail(checked.error());
  return std::unique_ptr<ModelState>(new ModelState{
      std::move(*document), program, layout, std::move(*weights), std::move(*device), {}, {}});
}

Result<std::shared_ptr<const Model>> Model::load(const std::string &directory,
                                                 const LoadOptions &options) {
  auto start = std::chrono::steady_clock::now();
  auto state = loadState(directory, options);
  if (!state)
    return fail(state.error());
  (*state)->info = describe(**state);
  std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  (*state)->info.loadSeconds = elapsed.count();
  return std::make_shared<const Model>(std::move(*state));
}

Model::Model(std::unique_ptr<ModelState> state) : contents(std::move(state)) {}
Model::~Model() = default;

const ModelInfo &Model::info() const { return contents->info; }

std::span<const std::byte> Model::tokenizer() const {
  const auto *bytes = contents->document.root().tokenizer();
  return bytes ? std::as_bytes(std::span(bytes->data(), bytes->size()))
               : std::span<const std::byte>();
}

} // namespace grok::runtime
