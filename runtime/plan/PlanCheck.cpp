// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <limits>

namespace grok::runtime {

// Bounds the work per table: many tables may refer to one vector.
static constexpr uint32_t maxShapeRank = 8;
static constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();

uint64_t saturatingMultiply(uint64_t left, uint64_t right) {
  uint64_t product;
  return __builtin_mul_overflow(left, right, &product) ? largest : product;
}

uint64_t saturatingAdd(uint64_t left, uint64_t right) {
  uint64_t sum;
  return __builtin_add_overflow(left, right, &sum) ? largest : sum;
}

uint64_t roundUp(uint64_t value, uint64_t multiple) {
  uint64_t sum = saturatingAdd(value, multiple - 1);
  return sum == largest ? largest : sum / multiple * multiple;
}

// FlatBuffers 2 verifies where a vector starts for its 4-byte length only.
static bool isAligned(const flatbuffers::Vector<int64_t> &numbers) {
  return reinterpret_cast<uintptr_t>(numbers.Data()) % alignof(int64_t) == 0;
}

uint64_t elementsOf(const flatbuffers::Vector<int64_t> *shape) {
  uint64_t elements = 1;
  if (shape && (shape->size() > maxShapeRank || !isAligned(*shape)))
    return largest;
  for (size_t i = 0; shape && i < shape->size(); ++i) {
    int64_t dimension = shape->Get(i);
    elements =
        dimension < 1 ? largest : saturatingMultiply(elements, static_cast<uint64_t>(dimension));
  }
  return elements;
}

uint64_t sizeOf(plan::DType dtype) {
  switch (dtype) {
  case plan::DType::f32:
  case plan::DType::i32:
    return 4;
  case plan::DType::bf16:
    return 2;
  case plan::DType::i8:
  case plan::DType::e4m3:
    return 1;
  }
  return 0;
}

std::string_view nameOf(plan::DType dtype) {
  return sizeOf(dtype) ? plan::EnumNameDType(dtype) : "unknown";
}

bool isDigest(const flatbuffers::Vector<uint8_t> *bytes) {
  constexpr uint32_t digestBytes = 32;
  return bytes && bytes->size() == digestBytes;
}

std::string_view textOf(const flatbuffers::String *name) {
  return name ? name->string_view() : std::string_view();
}

std::string nameOf(const plan::Sharding &sharding) {
  std::string text;
  const std::pair<const char *, int32_t> axes[] = {
      {"tp", sharding.tp()}, {"ep", sharding.ep()}, {"pp", sharding.pp()}, {"dp", sharding.dp()}};
  for (auto [name, size] : axes)
    if (size > 1)
      text += (text.empty() ? "" : ".") + (name + std::to_string(size));
  return text.empty() ? "tp1" : text;
}

bool includes(plan::Axis axes, plan::Axis axis) { return (axes & axis) != plan::Axis::NONE; }

std::string_view opOf(const plan::Plan &plan, const plan::Launch &launch) {
  if (launch.collective() != plan::Collective::none)
    return plan::EnumNameCollective(launch.collective());
  return textOf(plan.kernels()->Get(static_cast<uint32_t>(launch.kernel()))->op());
}

bool isCleanName(const flatbuffers::String *name, bool mayBeEmpty) {
  constexpr size_t longest = 512;
  std::string_view text = textOf(name);
  if (text.empty() || text.size() > longest)
    return mayBeEmpty && text.empty();
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

namespace {

struct Bound {
  const char *name;
  int64_t value;
  int64_t low;
  int64_t high;
};

} // namespace

// Far above any Grok, and low enough that a product of two fits 64 bits.
static constexpr int64_t maxDimension = int64_t(1) << 24;
static constexpr int64_t maxLayers = 1 << 16;
static constexpr int64_t maxExperts = 1 << 16;
static constexpr int64_t maxStepRows = 1 << 16;
static constexpr int32_t maxRanks = 4096;

Result<void> checkModel(const plan::Plan &plan) {
  const plan::Model &model = *plan.model();
  const Bound bounds[] = {
      {"vocab_size", model.vocab_size(), 1, maxDimension},
      {"emb_size", model.emb_size(), 1, maxDimension},
      {"num_layers", model.num_layers(), 1, maxLayers},
      {"num_q_heads", model.num_q_heads(), 1, maxDimension},
      {"num_kv_heads", model.num_kv_heads(), 1, model.num_q_heads()},
      {"key_size", model.key_size(), 1, maxDimension},
      {"ffn_size", model.ffn_size(), 1, maxDimension},
      {"num_experts", model.num_experts(), 1, maxExperts},
      {"num_selected_experts", model.num_selected_experts(), 1, model.num_experts()},
      {"sequence_len", model.sequence_len(), 1, maxDimension},
      {"pad_token", model.pad_token(), 0, model.vocab_size() - 1},
      {"eos_token", model.eos_token(), 0, model.vocab_size() - 1},
      {"max_context", plan.max_context(), 1, maxDimension},
      {"max_step_rows", plan.max_step_rows(), 1, maxStepRows},
  };
  for (const Bound &bound : bounds)
    if (bound.value < bound.low || bound.value > bound.high)
      return fail("model: ", bound.name, " is ", bound.value, ", expected ", bound.low, "..",
                  bound.high);
  if (model.num_q_heads() % model.num_kv_heads() != 0)
    return fail("model: num_q_heads ", model.num_q_heads(), " is not a multiple of num_kv_heads ",
                model.num_kv_heads());
  const flatbuffers::String *texts[] = {model.name(), plan.producer(), plan.numerics(),
                                        plan.weights()};
  for (const flatbuffers::String *text : texts)
    if (!isCleanName(text, true))
      return fail("model: a name is too long or not printable");
  return {};
}

Result<void> checkSharding(const plan::Plan &plan) {
  const plan::Sharding &sharding = *plan.sharding();
  int64_t ranks = 1;
  for (int32_t size : {sharding.tp(), sharding.ep(), sharding.pp(), sharding.dp()}) {
    if (size < 1 || size > maxRanks)
      return fail("sharding: an axis of ", size, " ranks, expected 1..", maxRanks);
    ranks = std::min<int64_t>(ranks * size, maxRanks + 1);
  }
  if (ranks != plan.ranks()->size())
    return fail("sharding: tp", sharding.tp(), ".ep", sharding.ep(), ".pp", sharding.pp(), ".dp",
                sharding.dp(), " and a table of ", plan.ranks()->size(), " ranks, at most ",
                maxRanks);
  if (sharding.pp() > plan.model()->num_layers())
    return fail("sharding: ", sharding.pp(), " stages for ", plan.model()->num_layers(), " layers");
  return {};
}

// Ranks in excess of the heads share them.
static uint64_t headsOfRank(const plan::Plan &plan) {
  int64_t heads = plan.model()->num_kv_heads() / plan.sharding()->tp();
  return static_cast<uint64_t>(std::max<int64_t>(heads, 1));
}

// The layout that the attention kernels assume: keys, values, scales of
// both if they are codes, visibility.
static uint64_t layerBytesOf(const plan::Plan &plan, uint64_t tokens, plan::DType dtype) {
  const plan::Model &model = *plan.model();
  uint64_t heads = headsOfRank(plan);
  auto size = static_cast<uint64_t>(model.key_size());
  uint64_t perElement = saturatingMultiply(heads * tokens, sizeOf(dtype));
  uint64_t keys = roundUp(saturatingMultiply(perElement, size), 64);
  uint64_t values = roundUp(saturatingMultiply(perElement, roundUp(size, 16)), 64);
  uint64_t scales = sizeOf(dtype) == 1 ? 2 * roundUp(heads * tokens * 4, 64) : 0;
  uint64_t keep = roundUp(tokens * 4, 64);
  return saturatingAdd(saturatingAdd(keys, values), scales + keep);
}

Result<void> checkPage(const plan::Plan &plan) {
  const plan::PageLayout &page = *plan.page();
  int32_t tokens = page.tokens();
  if (tokens < 16 || tokens > 256 || (tokens & (tokens - 1)) != 0)
    return fail("page: ", tokens, " tokens, expected a power of two in 16..256");
  if (page.dtype() != plan::DType::f32 && page.dtype() != plan::DType::bf16 &&
      page.dtype() != plan::DType::i8 && page.dtype() != plan::DType::e4m3)
    return fail("page: element type ", nameOf(page.dtype()), ", expected f32, bf16, i8 or e4m3");
  uint64_t layerBytes = layerBytesOf(plan, static_cast<uint64_t>(tokens), page.dtype());
  if (page.layer_bytes() != layerBytes)
    return fail("page: layer_bytes is ", page.layer_bytes(), ", the model's heads need ",
                layerBytes);
  uint64_t bytes =
      saturatingMultiply(layerBytes, static_cast<uint64_t>(plan.model()->num_layers()));
  if (page.bytes() != bytes || bytes > largest / maxDimension)
    return fail("page: bytes is ", page.bytes(), ", the model's layers need ", bytes);
  if (!isCleanName(page.description(), true))
    return fail("page: the description is too long or not printable");
  return {};
}

// A weight buffer gives the tensor's bytes again, so that a program cannot be
// paired with the layout of another rank.
static Result<void> checkWeightBuffers(const plan::Program &program, const plan::Layout &layout,
                                       const std::string &where) {
  for (const plan::Bucket *bucket : *program.buckets())
    for (const plan::Buffer *buffer : *bucket->buffers()) {
      if (buffer->kind() != plan::BufferKind::weight)
        continue;
      auto tensor = static_cast<uint32_t>(buffer->tensor());
      if (buffer->tensor() < 0 || tensor >= layout.tensors()->size())
        return fail(where, ": weight buffer '", textOf(buffer->name()), "' names tensor ",
                    buffer->tensor(), " of ", layout.tensors()->size());
      if (buffer->bytes() != layout.tensors()->Get(tensor)->bytes())
        return fail(where, ": weight buffer '", textOf(buffer->name()), "' has ", buffer->bytes(),
                    " bytes, its tensor ", layout.tensors()->Get(tensor)->bytes());
    }
  return {};
}

Result<void> checkRanks(const plan::Plan &plan) {
  auto stages = static_cast<uint32_t>(plan.sharding()->pp());
  uint32_t ranksOfStage =
      plan.ranks()->size() / stages / static_cast<uint32_t>(plan.sharding()->dp());
  for (uint32_t i = 0; i < plan.ranks()->size(); ++i) {
    const plan::Rank &rank = *plan.ranks()->Get(i);
    std::string where = "rank " + std::to_string(i);
    if (rank.program() < 0 || static_cast<uint32_t>(rank.program()) >= plan.programs()->size())
      return fail(where, ": program ", rank.program(), " of ", plan.programs()->size());
    if (rank.layout() < 0 || static_cast<uint32_t>(rank.layout()) >= plan.layouts()->size())
      return fail(where, ": layout ", rank.layout(), " of ", plan.layouts()->size());
    auto stage = static_cast<int32_t>(i / ranksOfStage % stages);
    int32_t found = plan.programs()->Get(static_cast<uint32_t>(rank.program()))->stage();
    if (found != stage)
      return fail(where, ": belongs to stage ", stage, ", its program to stage ", found);
    auto checked =
        checkWeightBuffers(*plan.programs()->Get(static_cast<uint32_t>(rank.program())),
                           *plan.layouts()->Get(static_cast<uint32_t>(rank.layout())), where);
    if (!checked)
      return checked;
  }
  return {};
}

template <typename Item, typename Check>
static Result<void> checkAll(const flatbuffers::Vector<flatbuffers::Offset<Item>> &items,
                             const char *what, Check check) {
  if (items.size() == 0)
    return fail("the plan has no ", what);
  for (const Item *item : items)
    if (auto checked = check(*item); !checked)
      return checked;
  return {};
}

Result<void> checkPlan(const plan::Plan &plan) {
  auto checkOneProgram = [&](const plan::Program &program) { return checkProgram(plan, program); };
  return checkModel(plan)
      .and_then([&] { return checkSharding(plan); })
      .and_then([&] { return checkPage(plan); })
      .and_then([&] { return checkAll(*plan.layouts(), "layouts", checkLayout); })
      .and_then([&] { return checkKernels(plan); })
      .and_then([&] { return checkCode(plan); })
      .and_then([&] { return checkAll(*plan.programs(), "programs", checkOneProgram); })
      .and_then([&] { return checkRanks(plan); });
}

} // namespace grok::runtime
