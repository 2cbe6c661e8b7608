// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of a plan's meaning: the toy plan with one thing wrong, and
// the words that the message must hold.
#include "runtime/plan/PlanCheck.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <gmock/gmock.h>

namespace grok::runtime {

using plan::PlanT;
using Kind = plan::Collective;

struct Case {
  const char *name;
  void (*spoil)(PlanT &);
  const char *message;
};

static plan::BucketT &bucket(PlanT &plan, size_t i = 1) { return *plan.programs[0]->buckets[i]; }
static plan::BufferT &buffer(PlanT &plan, size_t i) { return *bucket(plan).buffers[i]; }
static plan::LaunchT &launch(PlanT &plan, size_t i) { return *bucket(plan).launches[i]; }
static plan::WeightTensorT &tensor(PlanT &plan) { return *plan.layouts[0]->tensors[0]; }

static plan::GpuCodeT &gpu(PlanT &plan) { return *plan.gpu_code[0]; }

static void setTiles(PlanT &plan, size_t i, plan::TileCount tiles) {
  launch(plan, i).tiles = std::make_unique<plan::TileCount>(tiles);
}

static void addRanks(PlanT &plan, int ranks) {
  while (std::ssize(plan.ranks) < ranks)
    plan.ranks.push_back(std::make_unique<plan::RankT>());
}

static void splitTensors(PlanT &plan) { addRanks(plan, plan.sharding->tp = 2); }

/// Inserts a collective from h to o behind the first launch.
static plan::LaunchT &addCollective(PlanT &plan, Kind kind = Kind::all_reduce) {
  using enum plan::OperandAccess;
  auto collective =
      toy::makeCollective(kind, plan::Axis::tp, {{toy::hBuffer, read}, {toy::oBuffer, write}});
  auto &launches = bucket(plan).launches;
  return **launches.insert(launches.begin() + 1, std::move(collective));
}

/// The first stage makes no logits.
static PlanT &makeTwoStages(PlanT &plan) {
  addRanks(plan, plan.sharding->pp = 2);
  plan.programs.push_back(std::make_unique<plan::ProgramT>(*plan.programs[0]));
  plan.programs[1]->stage = plan.ranks[1]->program = 1;
  for (auto &each : plan.programs[0]->buckets) {
    each->buffers.pop_back();
    each->launches.pop_back();
  }
  return plan;
}

static void copyTensor(PlanT &plan, const char *name) {
  auto copy = std::make_unique<plan::WeightTensorT>(tensor(plan));
  copy->name = name;
  plan.layouts[0]->tensors.push_back(std::move(copy));
}

// Buffers of the toy plan: table, kv, kv, h, o, groups, logits. Launches: embed,
// append, attend, group, scale, ..., unembed.
static constexpr Case cases[] = {
    {"VocabZero", [](PlanT &p) { p.model->vocab_size = 0; }, "vocab_size is 0"},
    {"VocabHuge", [](PlanT &p) { p.model->vocab_size = INT64_MAX; }, "vocab_size"},
    {"NegativeSize", [](PlanT &p) { p.model->ffn_size = -1; }, "ffn_size is -1"},
    {"MoreSelected", [](PlanT &p) { p.model->num_selected_experts = 3; }, "selected"},
    {"HeadsUneven", [](PlanT &p) { p.model->num_q_heads = 3, p.model->num_kv_heads = 2; },
     "not a multiple"},
    {"EosOutside", [](PlanT &p) { p.model->eos_token = 20; }, "eos_token is 20"},
    {"NoContext", [](PlanT &p) { p.max_context = 0; }, "max_context"},
    {"TooManyRows", [](PlanT &p) { p.max_step_rows = 1 << 30; }, "max_step_rows"},
    {"UnprintableName", [](PlanT &p) { p.model->name = "a\nb"; }, "not printable"},

    {"PageTokensOdd", [](PlanT &p) { p.page->tokens = 24; }, "power of two"},
    {"PageTokensZero", [](PlanT &p) { p.page->tokens = 0; }, "power of two"},
    {"PageOtherModel", [](PlanT &p) { p.model->key_size = 8; }, "heads need"},
    {"PageType", [](PlanT &p) { p.page->dtype = plan::DType::i32; }, "element type i32"},
    {"PageScales", [](PlanT &p) { p.page->dtype = plan::DType::i8; }, "heads need"},
    {"PageBytes", [](PlanT &p) { p.page->bytes += 64; }, "layers need"},

    {"NoLayouts", [](PlanT &p) { p.layouts.clear(); }, "no layouts"},
    {"FileElsewhere", [](PlanT &p) { p.layouts[0]->file = "../x"; }, "bad weight file name"},
    {"FileIsFolder", [](PlanT &p) { p.layouts[0]->file = ".."; }, "bad weight file name"},
    {"HeaderSize", [](PlanT &p) { p.layouts[0]->header_bytes = 100; }, "header_bytes is 100"},
    {"HeaderHash", [](PlanT &p) { p.layouts[0]->header_sha256.pop_back(); }, "no SHA-256"},
    {"TensorHash", [](PlanT &p) { tensor(p).sha256.clear(); }, "no SHA-256"},
    {"TensorTwice", [](PlanT &p) { copyTensor(p, "table"); }, "there twice"},
    {"TensorsOverlap", [](PlanT &p) { copyTensor(p, "copy"); }, "the bytes before it end at"},
    {"TensorHole", [](PlanT &p) { tensor(p).offset += 64; }, "offset 4160"},
    {"TensorUnaligned", [](PlanT &p) { tensor(p).offset += 4; }, "multiple of 64"},
    {"TensorPastEnd", [](PlanT &p) { p.layouts[0]->file_bytes -= 64; }, "the file at"},
    {"TensorOffsetWraps", [](PlanT &p) { tensor(p).offset = UINT64_MAX - 63; }, "table"},
    {"TensorSmallerThanShape", [](PlanT &p) { tensor(p).shape[0] = 21; }, "do not hold its shape"},
    {"TensorShapeOverflows", [](PlanT &p) { tensor(p).shape = {1ll << 40, 1ll << 40}; },
     "do not hold its shape"},
    {"TensorDimensionNegative", [](PlanT &p) { tensor(p).shape = {-20, -16}; },
     "do not hold its shape"},
    {"TensorNoShape", [](PlanT &p) { tensor(p).shape.clear(); }, "do not hold its shape"},
    {"TensorType", [](PlanT &p) { tensor(p).dtype = plan::DType(9); }, "unknown element type"},
    {"TensorGroups", [](PlanT &p) { tensor(p).row_groups = 0; }, "row_groups"},

    {"KernelTwice", [](PlanT &p) { p.kernels[1]->symbol = "toy_embed"; }, "there twice"},
    {"KernelSymbol", [](PlanT &p) { p.kernels[1]->symbol = "a b"; }, "not an identifier"},
    {"KernelBuffers", [](PlanT &p) { p.kernels[1]->num_buffers = -1; }, "-1 buffers"},
    {"KernelScratch", [](PlanT &p) { p.kernels[1]->scratch_bytes = UINT64_MAX; }, "scratch"},
    {"CodeTwice", [](PlanT &p) { p.code[1]->level = "x86-64-v2"; }, "there twice"},
    {"CodeNotElf", [](PlanT &p) { p.code[0]->image[1] = 'X'; }, "not an x86-64 shared object"},
    {"CodeOtherMachine", [](PlanT &p) { p.code[0]->image[18] = 183; }, "not an x86-64"},
    {"CodeTruncated", [](PlanT &p) { p.code[0]->image.resize(10); }, "not an x86-64"},
    {"CodeHash", [](PlanT &p) { p.code[0]->sha256.resize(5); }, "no SHA-256"},
    {"GpuCodeTwice",
     [](PlanT &p) { p.gpu_code.push_back(std::make_unique<plan::GpuCodeT>(gpu(p))); },
     "GPU code 1 'sm_80': there twice"},
    {"GpuChip", [](PlanT &p) { gpu(p).chip = "sm\n80"; }, "not printable"},
    {"GpuCapability", [](PlanT &p) { gpu(p).minor = -1; }, "compute capability 8.-1"},
    {"GpuKernelMissing", [](PlanT &p) { gpu(p).kernels.pop_back(); }, "5 kernels of 6"},
    {"GpuThreads", [](PlanT &p) { gpu(p).kernels[0]->threads = 48; }, "blocks of 48 threads"},
    {"GpuBlocks", [](PlanT &p) { gpu(p).kernels[0]->max_blocks = 0; }, "0 blocks"},
    {"GpuCluster", [](PlanT &p) { gpu(p).kernels[0]->cluster_blocks = 32; }, "clusters of 32"},
    {"GpuCooperativeClusters",
     [](PlanT &p) {
       gpu(p).kernels[0]->cooperative = true;
       gpu(p).kernels[0]->cluster_blocks = 2;
     },
     "wait for each other, in clusters of 2"},
    {"GpuShared", [](PlanT &p) { gpu(p).kernels[0]->shared_bytes = 1 << 20; }, "shared memory"},
    {"GpuScratch", [](PlanT &p) { gpu(p).kernels[0]->scratch_bytes = UINT64_MAX; }, "scratch"},
    {"GpuNoPtx", [](PlanT &p) { gpu(p).kernels[2]->ptx.clear(); }, "'toy_attend': no PTX"},
    {"GpuServiceTwice",
     [](PlanT &p) {
       gpu(p).services.push_back(std::make_unique<plan::GpuServiceT>(*gpu(p).services[0]));
       gpu(p).services.back()->kernel->symbol = "toy_read_again";
     },
     "'read' is there twice"},
    {"GpuServiceSymbol", [](PlanT &p) { gpu(p).services[0]->kernel->symbol = "toy_embed"; },
     "service 0: the symbol is not an identifier or there twice"},
    {"GpuServiceCode", [](PlanT &p) { gpu(p).services[0]->code->threads = 48; },
     "service 0: blocks of 48 threads"},
    {"GpuEmulation", [](PlanT &p) { gpu(p).emulation = {1, 2, 3}; }, "the emulation is not"},

    {"NoPrograms", [](PlanT &p) { p.programs.clear(); }, "no programs"},
    {"BucketsDescend",
     [](PlanT &p) { std::swap(p.programs[0]->buckets[0], p.programs[0]->buckets[1]); },
     "ascending"},
    {"BucketMissing", [](PlanT &p) { p.programs[0]->buckets.pop_back(); },
     "the largest bucket has 1 rows"},
    {"BucketZero", [](PlanT &p) { bucket(p, 0).max_rows = 0; }, "a bucket of 0 rows"},
    {"ArenaHuge", [](PlanT &p) { bucket(p).arena_bytes = UINT64_MAX; }, "arena of"},
    {"BufferPastArena", [](PlanT &p) { buffer(p, 5).offset += 64; }, "exceed the arena"},
    {"BufferOffsetWraps", [](PlanT &p) { buffer(p, 5).offset = UINT64_MAX - 63; },
     "exceed the arena"},
    {"BufferUnaligned", [](PlanT &p) { buffer(p, 4).offset += 4; }, "multiple of 64"},
    {"BufferTooSmall", [](PlanT &p) { buffer(p, 4).bytes -= 64; }, "rows need"},
    {"BufferShape", [](PlanT &p) { buffer(p, 4).row_shape = {17}; }, "rows need"},
    {"BufferShapeOverflows", [](PlanT &p) { buffer(p, 4).row_shape = {1ll << 62, 8}; },
     "a shape is out of range"},
    {"BufferLogical", [](PlanT &p) { buffer(p, 4).logical_row_shape = {17}; }, "larger than"},
    {"BufferType", [](PlanT &p) { buffer(p, 4).dtype = plan::DType(77); }, "rows need"},
    {"BufferKind", [](PlanT &p) { buffer(p, 4).kind = plan::BufferKind(9); }, "unknown kind"},
    {"WeightIndex", [](PlanT &p) { buffer(p, 0).tensor = 1; }, "tensor 1 of 1"},
    {"WeightNone", [](PlanT &p) { buffer(p, 0).tensor = -1; }, "tensor -1 of 1"},
    {"WeightBytes", [](PlanT &p) { buffer(p, 0).bytes += 64; }, "its tensor"},
    {"WeightOffset", [](PlanT &p) { buffer(p, 0).offset = 64; }, "no offset"},
    {"KvBeyondPage", [](PlanT &p) { buffer(p, 1).offset = p.page->bytes; }, "one layer"},
    {"KvBetweenLayers", [](PlanT &p) { buffer(p, 1).offset = 64; }, "one layer"},
    {"LogitsNarrow", [](PlanT &p) { buffer(p, 6).row_shape = {16}; }, "vocabulary"},
    {"LogitsMissing", [](PlanT &p) { bucket(p).launches.pop_back(); },
     "no launch writes the logits"},
    {"LogitsTwice",
     [](PlanT &p) { bucket(p).buffers.push_back(std::make_unique<plan::BufferT>(buffer(p, 6))); },
     "2 logits buffers"},

    {"LaunchKernel", [](PlanT &p) { launch(p, 0).kernel = 6; }, "kernel 6 of 6"},
    {"LaunchKernelNegative", [](PlanT &p) { launch(p, 0).kernel = -1; }, "kernel -1"},
    {"LaunchOperands", [](PlanT &p) { launch(p, 0).operands.pop_back(); }, "1 operands"},
    {"LaunchLayer", [](PlanT &p) { launch(p, 1).layer = 2; }, "layer 2 of 2"},
    {"OperandBuffer", [](PlanT &p) { launch(p, 0).operands[0]->buffer = 7; }, "buffer 7 of 7"},
    {"OperandNegative", [](PlanT &p) { launch(p, 0).operands[0]->buffer = -1; }, "buffer -1"},
    {"OperandAccess", [](PlanT &p) { launch(p, 0).operands[0]->access = plan::OperandAccess(0); },
     "unknown access"},
    {"OperandRange", [](PlanT &p) { launch(p, 0).operands[0]->range = plan::OperandRange(9); },
     "unknown range"},
    {"WeightWritten",
     [](PlanT &p) { launch(p, 0).operands[0]->access = plan::OperandAccess::read_write; },
     "a weight is written"},
    {"ReadBeforeWritten", [](PlanT &p) { launch(p, 1).operands[0]->buffer = 4; },
     "'o' is read before it is written"},
    {"ReadWriteTwice", [](PlanT &p) { launch(p, 4).operands[2]->buffer = 4; },
     "one of them writes"},
    {"BuffersOverlap", [](PlanT &p) { buffer(p, 4).offset = 64; },
     "'o' and 'h' overlap in the arena at launch 2"},
    {"BuffersEqual", [](PlanT &p) { buffer(p, 4).offset = 0; }, "overlap in the arena"},

    {"TilesMissing", [](PlanT &p) { launch(p, 0).tiles.reset(); }, "no tile count"},
    {"TilesNone", [](PlanT &p) { setTiles(p, 0, {0, 0, 0, -1, 0, 64}); }, "0 tiles"},
    {"TilesNegative", [](PlanT &p) { setTiles(p, 0, {-1, 0, 80, -1, 0, 64}); }, "a part of -1"},
    {"TilesAboveLimit", [](PlanT &p) { setTiles(p, 0, {2, 0, 0, -1, 0, 64}); },
     "128 tiles at most"},
    {"TilesLimitHuge", [](PlanT &p) { setTiles(p, 0, {1, 0, 0, -1, 0, INT64_MAX}); }, "tile limit"},
    {"TilesForBuffer", [](PlanT &p) { setTiles(p, 0, {1, 0, 0, -1, 0, 5000}); }, "5000 tiles for"},
    {"TilesBuffer", [](PlanT &p) { setTiles(p, 4, {0, 0, 0, 99, 1, 64}); }, "from buffer 99"},
    {"TilesBufferType", [](PlanT &p) { setTiles(p, 4, {0, 0, 0, 3, 1, 64}); }, "i32 arena buffer"},
    {"TilesBufferLater", [](PlanT &p) { setTiles(p, 0, {0, 0, 0, 5, 1, 64}); }, "written before"},
    {"TilesBufferNegative", [](PlanT &p) { setTiles(p, 4, {0, 0, 0, -2, 1, 64}); }, "buffer -2"},
    {"TilesElement", [](PlanT &p) { setTiles(p, 4, {0, 0, 0, 5, 4, 64}); }, "beyond its buffer"},
    {"TilesBoth", [](PlanT &p) { setTiles(p, 4, {1, 0, 0, 5, 1, 64}); }, "both read and computed"},

    {"NoRanks", [](PlanT &p) { p.ranks.clear(); }, "a table of 0 ranks"},
    {"RanksMissing", [](PlanT &p) { p.sharding->dp = 2; }, "dp2 and a table of 1 ranks"},
    {"AxisZero", [](PlanT &p) { p.sharding->tp = 0; }, "an axis of 0 ranks"},
    {"AxesOverflow", [](PlanT &p) { p.sharding->tp = p.sharding->ep = 4000; }, "at most 4096"},
    {"StagesWithoutLayers", [](PlanT &p) { addRanks(p, p.sharding->pp = 3); },
     "3 stages for 2 layers"},
    {"StageOutside", [](PlanT &p) { p.programs[0]->stage = 1; }, "stage 1 of 1"},
    {"StageOfAnother", [](PlanT &p) { makeTwoStages(p).ranks[1]->program = 0; },
     "rank 1: belongs to stage 1"},
    {"LayersNone", [](PlanT &p) { p.programs[0]->layers = 0; }, "0 layers of 2"},
    {"PageOfFewerLayers", [](PlanT &p) { p.programs[0]->layers = 1; }, "one layer of the page"},
    {"CollectiveOfOneRank", [](PlanT &p) { addCollective(p); }, "its group of 1 ranks"},
    {"CollectiveKernel", [](PlanT &p) { splitTensors(p), addCollective(p).kernel = 0; },
     "one with a kernel"},
    {"CollectiveOperands", [](PlanT &p) { splitTensors(p), addCollective(p).operands.pop_back(); },
     "1 operands"},
    {"CollectiveWide", [](PlanT &p) { splitTensors(p), addCollective(p, Kind::all_gather); },
     "do not fit each other"},
    {"CollectiveOverStages",
     [](PlanT &p) { splitTensors(p), addCollective(p).over |= plan::Axis::pp; },
     "do not fit each other"},
    {"SendNowhere", [](PlanT &p) { addCollective(p, Kind::send).operands.pop_back(); },
     "where there is no stage"},
    {"RankProgram", [](PlanT &p) { p.ranks[0]->program = 1; }, "program 1 of 1"},
    {"RankLayout", [](PlanT &p) { p.ranks[0]->layout = -1; }, "layout -1 of 1"},
};

class PlanCheck : public testing::TestWithParam<Case> {};

TEST_P(PlanCheck, RefusesAndNamesIt) {
  PlanT plan = toy::makePlan();
  GetParam().spoil(plan);
  auto checked = parsePlan(toy::fileOf(plan), "toy.plan");
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error(), testing::StartsWith("toy.plan: "));
  EXPECT_THAT(checked.error(), testing::HasSubstr(GetParam().message));
  EXPECT_THAT(checked.error(), testing::Not(testing::HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(Rules, PlanCheck, testing::ValuesIn(cases),
                         [](const auto &info) { return info.param.name; });

static std::string errorOf(const PlanT &plan) {
  auto checked = parsePlan(toy::fileOf(plan), "toy.plan");
  return checked ? "" : checked.error();
}

// Gives the second layer's scale a buffer of its own, `next`, at `offset`; the
// first layer's h is then dead after its append (launch 5).
static PlanT planWithNext(uint64_t offset) {
  PlanT plan = toy::makePlan();
  auto next = std::make_unique<plan::BufferT>(buffer(plan, 3));
  next->name = "next";
  next->offset = offset;
  bucket(plan).buffers.push_back(std::move(next));
  launch(plan, 8).operands[2]->buffer = 7;
  launch(plan, 9).operands[0]->buffer = 7;
  return plan;
}

TEST(PlanCheckAccepts, ReuseOfDeadBuffers) {
  EXPECT_EQ(errorOf(planWithNext(0)), "") << "in the place of h";
  EXPECT_THAT(errorOf(planWithNext(64)), testing::HasSubstr("'next' and 'o' overlap"));
}

// Launch 8 reads o for the last time and writes next: by rows, in one place.
TEST(PlanCheckAccepts, TakingOverRowByRow) {
  PlanT toy = toy::makePlan();
  uint64_t placeOfO = buffer(toy, 4).offset;
  EXPECT_EQ(errorOf(planWithNext(placeOfO)), "");

  using testing::HasSubstr;
  EXPECT_THAT(errorOf(planWithNext(placeOfO - 64)), HasSubstr("'next' and 'o' overlap"));
  for (int operand : {0, 2}) {
    PlanT plan = planWithNext(placeOfO);
    launch(plan, 8).operands[operand]->range = plan::OperandRange::whole;
    EXPECT_THAT(errorOf(plan), HasSubstr("'next' and 'o' overlap")) << operand;
  }
  PlanT readLater = planWithNext(placeOfO);
  launch(readLater, 9).operands[1]->buffer = 4;
  EXPECT_THAT(errorOf(readLater), HasSubstr("'next' and 'o' overlap"));
  PlanT otherSize = planWithNext(placeOfO);
  buffer(otherSize, 7).row_shape = {8};
  buffer(otherSize, 7).bytes /= 2;
  EXPECT_THAT(errorOf(otherSize), HasSubstr("'next' and 'o' overlap"));
}

TEST(PlanCheckAccepts, NoWeightFile) {
  PlanT plan = toy::makePlan();
  plan.layouts[0]->file.clear();
  plan.layouts[0]->header_bytes = 0;
  plan.layouts[0]->file_bytes = tensor(plan).bytes;
  tensor(plan).offset = 0;
  tensor(plan).sha256.clear();
  auto checked = parsePlan(toy::fileOf(plan), "toy.plan");
  EXPECT_TRUE(checked) << checked.error();
}

TEST(Saturation, NeverWraps) {
  EXPECT_EQ(saturatingMultiply(uint64_t(1) << 33, uint64_t(1) << 33), UINT64_MAX);
  EXPECT_EQ(saturatingAdd(UINT64_MAX, 1), UINT64_MAX);
  EXPECT_EQ(roundUp(UINT64_MAX - 3, 64), UINT64_MAX);
  EXPECT_EQ(roundUp(65, 64), 128u);
}

TEST(PlanCheckOfRanks, AcceptsStagesAndCollectives) {
  PlanT stages = toy::makePlan();
  makeTwoStages(stages);
  auto &send = addCollective(stages, Kind::send);
  send.operands.pop_back();
  send.over = plan::Axis::pp;
  std::vector<std::byte> body = toy::bodyOf(stages);
  Result<void> checked = checkPlan(*flatbuffers::GetRoot<plan::Plan>(body.data()));
  EXPECT_TRUE(checked) << checked.error();
  PlanT split = toy::makePlan();
  splitTensors(split);
  addCollective(split);
  body = toy::bodyOf(split);
  checked = checkPlan(*flatbuffers::GetRoot<plan::Plan>(body.data()));
  EXPECT_TRUE(checked) << checked.error();
}

} // namespace grok::runtime
