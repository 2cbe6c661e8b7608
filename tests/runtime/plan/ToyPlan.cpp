// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/runtime/plan/ToyPlan.h"
#include "runtime/plan/File.h"
#include "runtime/plan/Sha256.h"
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdlib.h>

namespace grok::runtime::toy {

static constexpr int numLayers = 2;
static constexpr uint64_t layerBytes = 1344; // of 16 tokens, one head of size 4
static constexpr uint64_t headerBytes = 4096;
static constexpr uint64_t tableBytes = uint64_t(vocabSize) * embeddingSize * 4;
static constexpr uint64_t arenaSlot = uint64_t(maxStepRows) * embeddingSize * 4;

float tableAt(int token, int column) {
  return static_cast<float>((token * 7 + column * 3) % 5 - 1);
}

static std::vector<uint8_t> digestOf(std::span<const std::byte> bytes) {
  Digest digest = sha256(bytes);
  return {digest.begin(), digest.end()};
}

std::vector<std::byte> weightFile() {
  std::vector<std::byte> file(headerBytes + tableBytes, std::byte(' '));
  const char text[] = "{\"toy\":0}";
  std::memcpy(file.data(), text, sizeof(text) - 1);
  for (int token = 0; token < vocabSize; ++token)
    for (int column = 0; column < embeddingSize; ++column) {
      float value = tableAt(token, column);
      std::memcpy(&file[headerBytes + static_cast<size_t>(token * embeddingSize + column) * 4],
                  &value, 4);
    }
  return file;
}

static std::unique_ptr<plan::LayoutT> makeLayout() {
  std::vector<std::byte> file = weightFile();
  std::span<const std::byte> weights = file;
  auto tensor = std::make_unique<plan::WeightTensorT>();
  tensor->name = "table";
  tensor->shape = {vocabSize, embeddingSize};
  tensor->offset = headerBytes;
  tensor->bytes = tableBytes;
  tensor->sha256 = digestOf(weights.subspan(headerBytes));
  tensor->packing = "rows";
  tensor->row_groups = 1;
  auto layout = std::make_unique<plan::LayoutT>();
  layout->name = "cpu";
  layout->file = "model-cpu-00000-of-00001.weights.safetensors";
  layout->file_bytes = file.size();
  layout->header_bytes = headerBytes;
  layout->header_sha256 = digestOf(weights.first(headerBytes));
  layout->tensors.push_back(std::move(tensor));
  return layout;
}

static std::vector<uint8_t> bytesOf(const char *path) {
  auto image = readFile(path, 1 << 20).value();
  auto *bytes = reinterpret_cast<const uint8_t *>(image.data.get());
  return {bytes, bytes + image.size};
}

static std::vector<uint8_t> imageOf(int factor) {
  return bytesOf(factor == 2 ? TOY_KERNELS_2 : TOY_KERNELS_3);
}

static std::unique_ptr<plan::CodeBlobT> makeCode(const char *level, int factor,
                                                 std::vector<std::string> features) {
  auto blob = std::make_unique<plan::CodeBlobT>();
  blob->target = "cpu";
  blob->level = level;
  blob->features = std::move(features);
  blob->image = imageOf(factor);
  blob->sha256 = digestOf(std::as_bytes(std::span(blob->image)));
  return blob;
}

static std::unique_ptr<plan::KernelT> makeKernel(const char *symbol, const char *op, int buffers,
                                                 uint64_t scratch = 0) {
  auto kernel = std::make_unique<plan::KernelT>();
  kernel->symbol = symbol;
  kernel->op = op;
  kernel->num_buffers = buffers;
  kernel->scratch_bytes = scratch;
  return kernel;
}

// For the emulator; the PTX is of the right form alone.
static std::unique_ptr<plan::GpuKernelT> makeGpuKernel(const plan::KernelT &about) {
  auto kernel = std::make_unique<plan::GpuKernelT>();
  kernel->threads = 32;
  kernel->max_blocks = 4;
  kernel->scratch_bytes = 4 * about.scratch_bytes;
  kernel->ptx = ".version 8.0\n.target sm_80\n.visible .entry " + about.symbol + "()\n";
  return kernel;
}

static std::unique_ptr<plan::GpuCodeT>
makeGpuCode(const std::vector<std::unique_ptr<plan::KernelT>> &kernels) {
  auto code = std::make_unique<plan::GpuCodeT>();
  code->chip = "sm_80";
  code->major = 8;
  code->runs_on_newer = true;
  code->emulation = bytesOf(TOY_GPU_KERNELS);
  for (const auto &each : kernels)
    code->kernels.push_back(makeGpuKernel(*each));
  const auto serve = [&](const char *symbol, const char *op, int operands) {
    auto service = std::make_unique<plan::GpuServiceT>();
    service->kernel = makeKernel(symbol, op, operands);
    service->code = makeGpuKernel(*service->kernel);
    service->code->cooperative = std::string_view(op) == "sample";
    service->code->awaits_peers = std::string_view(op) == "exchange";
    code->services.push_back(std::move(service));
  };
  serve("toy_read", "read", 3);
  serve("toy_sample", "sample", 2);
  serve("toy_exchange", "exchange", 3);
  serve("toy_merge", "merge", 3);
  return code;
}

static std::unique_ptr<plan::BufferT> makeBuffer(const char *name, plan::BufferKind kind,
                                                 uint64_t offset, uint64_t bytes,
                                                 std::vector<int64_t> rowShape = {}) {
  auto buffer = std::make_unique<plan::BufferT>();
  buffer->name = name;
  buffer->kind = kind;
  buffer->offset = offset;
  buffer->bytes = bytes;
  buffer->tensor = kind == plan::BufferKind::weight ? 0 : -1;
  buffer->per_row = !rowShape.empty();
  buffer->row_shape = std::move(rowShape);
  return buffer;
}

static std::unique_ptr<plan::LaunchT>
makeLaunch(int kernel, const char *name, int layer, plan::TileCount tiles,
           const std::vector<std::pair<int, plan::OperandAccess>> &operands) {
  auto launch = std::make_unique<plan::LaunchT>();
  launch->kernel = kernel;
  launch->name = name;
  launch->layer = layer;
  launch->tiles = std::make_unique<plan::TileCount>(tiles);
  for (auto [buffer, access] : operands) {
    auto operand = std::make_unique<plan::OperandT>();
    operand->buffer = buffer;
    operand->access = access;
    operand->range = plan::OperandRange::rows;
    launch->operands.push_back(std::move(operand));
  }
  return launch;
}

// embed; per layer append, attend, group, scale; unembed.
static void addLaunches(plan::BucketT &bucket) {
  using enum plan::OperandAccess;
  enum { table, kv, h = 3, o, groups, logits };
  int rows = bucket.max_rows;
  auto perRow = [&] { return plan::TileCount(1, 0, 0, -1, 0, rows); };
  bucket.launches.push_back(makeLaunch(0, "embed", -1, perRow(), {{table, read}, {h, write}}));
  for (int layer = 0; layer < numLayers; ++layer) {
    int cache = kv + layer;
    auto add = [&](int kernel, const char *name, plan::TileCount tiles,
                   const std::vector<std::pair<int, plan::OperandAccess>> &operands) {
      std::string full = "layer" + std::to_string(layer) + "." + name;
      bucket.launches.push_back(makeLaunch(kernel, full.c_str(), layer, tiles, operands));
    };
    add(1, "append", perRow(), {{h, read}, {cache, write}});
    add(2, "attend", perRow(), {{cache, read}, {o, write}});
    add(3, "group", plan::TileCount(0, 0, 1, -1, 0, 1), {{o, read}, {groups, write}});
    add(4, "scale", plan::TileCount(0, 0, 0, groups, 1, rows),
        {{o, read}, {groups, read}, {h, write}});
  }
  bucket.launches.push_back(makeLaunch(5, "unembed", -1, plan::TileCount(0, 0, 2, -1, 0, 2),
                                       {{h, read}, {table, read}, {logits, write}}));
}

static std::unique_ptr<plan::BucketT> makeBucket(int rows) {
  using enum plan::BufferKind;
  auto bucket = std::make_unique<plan::BucketT>();
  auto bytes = static_cast<uint64_t>(rows) * embeddingSize * 4;
  bucket->max_rows = rows;
  bucket->arena_bytes = 2 * arenaSlot + 64;
  auto add = [&](std::unique_ptr<plan::BufferT> buffer) {
    bucket->buffers.push_back(std::move(buffer));
  };
  add(makeBuffer("table", weight, 0, tableBytes));
  for (int layer = 0; layer < numLayers; ++layer)
    add(makeBuffer("kv", kv, static_cast<uint64_t>(layer) * layerBytes, layerBytes));
  add(makeBuffer("h", arena, 0, bytes, {embeddingSize}));
  add(makeBuffer("o", arena, arenaSlot, bytes, {embeddingSize}));
  auto groups = makeBuffer("groups", arena, 2 * arenaSlot, 16, {4});
  groups->dtype = plan::DType::i32;
  groups->per_row = false;
  add(std::move(groups));
  auto logitBuffer = makeBuffer("logits", logits, 0, static_cast<uint64_t>(rows) * 32 * 4, {32});
  logitBuffer->logical_row_shape = {vocabSize};
  add(std::move(logitBuffer));
  addLaunches(*bucket);
  return bucket;
}

static std::unique_ptr<plan::ModelT> makeModel() {
  auto model = std::make_unique<plan::ModelT>();
  model->name = "toy";
  model->vocab_size = vocabSize;
  model->emb_size = embeddingSize;
  model->num_layers = numLayers;
  model->num_q_heads = 2;
  model->num_kv_heads = 1;
  model->key_size = 4;
  model->ffn_size = 16;
  model->num_experts = 2;
  model->num_selected_experts = 1;
  model->sequence_len = maxContext;
  model->eos_token = 2;
  return model;
}

plan::PlanT makePlan(int factor) {
  plan::PlanT plan;
  plan.producer = "hand";
  plan.model = makeModel();
  plan.numerics = "f32";
  plan.weights = "f32";
  plan.max_context = maxContext;
  plan.max_step_rows = maxStepRows;
  plan.page = std::make_unique<plan::PageLayoutT>();
  plan.page->tokens = pageTokens;
  plan.page->layer_bytes = layerBytes;
  plan.page->bytes = numLayers * layerBytes;
  plan.tokenizer = {1, 2, 3};
  plan.layouts.push_back(makeLayout());
  auto program = std::make_unique<plan::ProgramT>();
  program->layers = numLayers;
  program->buckets.push_back(makeBucket(1));
  program->buckets.push_back(makeBucket(maxStepRows));
  plan.programs.push_back(std::move(program));
  plan.sharding = std::make_unique<plan::ShardingT>();
  plan.ranks.push_back(std::make_unique<plan::RankT>());
  plan.kernels.push_back(makeKernel("toy_embed", "embed", 2, 64));
  plan.kernels.push_back(makeKernel("toy_append", "append", 2));
  plan.kernels.push_back(makeKernel("toy_attend", "attend", 2));
  plan.kernels.push_back(makeKernel("toy_group", "group", 2));
  plan.kernels.push_back(makeKernel("toy_scale", "scale", 3));
  plan.kernels.push_back(makeKernel("toy_unembed", "unembed", 3));
  plan.code.push_back(makeCode("x86-64-v2", factor, {"sse4.2"}));
  plan.code.push_back(makeCode("future", factor, {"sse4.2", "telepathy"}));
  plan.gpu_code.push_back(makeGpuCode(plan.kernels));
  return plan;
}

std::unique_ptr<plan::LaunchT>
makeCollective(plan::Collective kind, plan::Axis over,
               const std::vector<std::pair<int, plan::OperandAccess>> &operands) {
  auto launch = makeLaunch(-1, "between ranks", -1, {}, operands);
  launch->tiles.reset();
  launch->collective = kind;
  launch->over = over;
  for (auto &operand : launch->operands)
    operand->range = plan::OperandRange::whole;
  return launch;
}

plan::PlanT makePlanWithSum(plan::Axis over, int ranks) {
  using enum plan::OperandAccess;
  plan::PlanT plan = makePlan();
  (over == plan::Axis::tp ? plan.sharding->tp : plan.sharding->ep) = ranks;
  while (static_cast<int>(plan.ranks.size()) < ranks)
    plan.ranks.push_back(std::make_unique<plan::RankT>());
  auto sum =
      makeCollective(plan::Collective::all_reduce, over, {{hBuffer, read}, {oBuffer, write}});
  sum->name = "layer 1 sum";
  plan.programs[0]->buckets[0]->launches.push_back(std::move(sum));
  return plan;
}

std::vector<std::byte> bodyOf(const plan::PlanT &plan) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(plan::CreatePlan(builder, &plan));
  auto *bytes = reinterpret_cast<const std::byte *>(builder.GetBufferPointer());
  return {bytes, bytes + builder.GetSize()};
}

std::vector<std::byte> seal(std::span<const std::byte> body) {
  flatbuffers::DetachedBuffer file = sealPlan(body);
  auto *bytes = reinterpret_cast<const std::byte *>(file.data());
  return {bytes, bytes + file.size()};
}

std::vector<std::byte> fileOf(const plan::PlanT &plan) { return seal(bodyOf(plan)); }

std::vector<float> expectedLogits(std::span<const int32_t> tokens, int factor) {
  std::vector<std::vector<float>> h;
  for (int32_t token : tokens) {
    h.emplace_back();
    for (int column = 0; column < embeddingSize; ++column)
      h.back().push_back(tableAt(token, column));
  }
  for (int layer = 0; layer < numLayers; ++layer) {
    std::vector<float> sum(embeddingSize, 0.f);
    for (size_t position = 0; position < h.size(); ++position)
      for (size_t i = 0; i < embeddingSize; ++i) {
        sum[i] += static_cast<float>(position + 1) * h[position][i];
        h[position][i] = static_cast<float>(factor) * sum[i];
      }
  }
  std::vector<float> logits(vocabSize, 0.f);
  for (int v = 0; v < vocabSize; ++v)
    for (int i = 0; i < embeddingSize; ++i)
      logits[static_cast<size_t>(v)] += h.back()[static_cast<size_t>(i)] * tableAt(v, i);
  return logits;
}

void writeFile(const std::string &path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

TemporaryFolder::TemporaryFolder()
    : path((std::filesystem::temp_directory_path() / "grok-test-XXXXXX").string()) {
  if (!mkdtemp(path.data()))
    abort();
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path); }

Artifact::Artifact(const plan::PlanT &plan) {
  writeFile(path + "/model.plan", fileOf(plan));
  writeFile(path + "/model-cpu-00000-of-00001.weights.safetensors", weightFile());
}

} // namespace grok::runtime::toy
