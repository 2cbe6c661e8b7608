// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What every device must do alike: this CPU, the emulator, and CUDA on the fake driver.
#include "runtime/device/Choice.h"
#include "runtime/plan/PlanReader.h"
#include "runtime/session/Session.h"
#include "tests/runtime/device/cuda/FakeDriver.h"
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <numeric>

namespace grok::runtime {

using testing::Each;
using testing::ElementsAreArray;
using testing::HasSubstr;

enum ToyKernel : uint32_t { embed, append, attend, group, scale, unembed };

static constexpr int64_t rowFloats = toy::embeddingSize;
static constexpr uint64_t rowBytes = rowFloats * sizeof(float);

namespace {

class DeviceConformance : public testing::TestWithParam<DeviceKind> {
protected:
  DeviceConformance() {
    fakeDriver.set("GROK_EMULATOR_LIBRARY", EMULATOR);
    device = makeDevice(document.root(), GetParam(), {.threads = 2, .level = ""}).value();
    weights = device->place(weightBytes, "weights").value();
    h = device->allocate(toy::maxStepRows * rowBytes, "h").value();
    o = device->allocate(toy::maxStepRows * rowBytes, "o").value();
    pages = device->allocate(uint64_t(2) * 2 * 1344, "pages").value();
  }

  std::vector<float> floatsOf(const DeviceMemory &memory, size_t count) {
    std::vector<float> floats(count, NAN);
    require(device->download(std::as_writable_bytes(std::span(floats)), memory.data()));
    return floats;
  }
  /// A step of one sequence from position 0 on.
  const GrokStepInfo &stepOf(std::vector<int32_t> newTokens) {
    tokens = std::move(newTokens);
    positions.resize(tokens.size());
    std::iota(positions.begin(), positions.end(), 0);
    sequences.assign(tokens.size(), 0);
    step = {.rows = static_cast<int64_t>(tokens.size()),
            .tokens = tokens.data(),
            .positions = positions.data(),
            .sequences = sequences.data(),
            .pageTable = pageTable.data(),
            .pageTableStride = 4,
            .logitRows = 0,
            .logitRow = nullptr};
    return step;
  }
  Result<void> runEmbed() {
    const std::vector<const void *> operands = {table(), h->data()};
    return device->launch({embed, operands}, step.rows);
  }
  const std::byte *table() const { return weights->data() + 4096; }
  std::vector<float> tableRows() const {
    std::vector<float> rows;
    for (int32_t token : tokens)
      for (int column = 0; column < rowFloats; ++column)
        rows.push_back(toy::tableAt(token, column));
    return rows;
  }

  toy::Artifact artifact;
  FakeDriver fakeDriver{artifact.path + "/model.plan"};
  PlanDocument document = parsePlan(toy::fileOf(toy::makePlan()), "toy").value();
  std::vector<std::byte> weightBytes = toy::weightFile();
  std::unique_ptr<Device> device;
  std::unique_ptr<DeviceMemory> weights, h, o, pages;
  std::vector<int32_t> tokens, positions, sequences, pageTable = {1, 0, 0, 0};
  GrokStepInfo step = {};
};

} // namespace

TEST_P(DeviceConformance, AllocatesZeros) {
  EXPECT_THAT(floatsOf(*h, toy::maxStepRows * rowFloats), Each(0.f));
  EXPECT_EQ(device->allocate(0, "nothing").value()->size(), 0u);
}

TEST_P(DeviceConformance, NamesWhatDoesNotFit) {
  auto memory = device->allocate(uint64_t(1) << 60, "too much");
  ASSERT_FALSE(memory);
  EXPECT_THAT(memory.error(), HasSubstr("too much"));
}

TEST_P(DeviceConformance, PlacesManyBytes) {
  // Several chunks of an upload and of a download, and a rest.
  std::vector<std::byte> bytes((size_t(20) << 20) + 12);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  auto placed = device->place(bytes, "bytes").value();
  EXPECT_EQ(placed->size(), bytes.size());
  std::vector<std::byte> back(bytes.size());
  require(device->download(back, placed->data()));
  EXPECT_TRUE(back == bytes);
}

TEST_P(DeviceConformance, FillsWithFiniteNumbers) {
  auto filler = device->placeFiller(1 << 20, "filler").value();
  for (float number : floatsOf(*filler, (1 << 20) / sizeof(float)))
    ASSERT_LT(std::abs(number), 1.f);
}

TEST_P(DeviceConformance, RunsALaunchOnTheStep) {
  require(device->begin(stepOf({3, 1, 4})));
  require(runEmbed());
  require(device->wait());
  EXPECT_THAT(floatsOf(*h, 3 * rowFloats), ElementsAreArray(tableRows()));
}

TEST_P(DeviceConformance, ClearsAPartAfterTheLaunchesSoFar) {
  require(device->begin(stepOf({3, 1, 4})));
  require(runEmbed());
  require(device->wait());
  h->clear(rowBytes, rowBytes);
  std::vector<float> expected = tableRows();
  std::fill_n(expected.begin() + rowFloats, rowFloats, 0.f);
  EXPECT_THAT(floatsOf(*h, 3 * rowFloats), ElementsAreArray(expected));
}

TEST_P(DeviceConformance, LaunchesSeeWhatThoseBeforeWrote) {
  require(device->begin(stepOf({2, 7})));
  const std::vector<const void *> appended = {h->data(), pages->data()};
  const std::vector<const void *> attended = {pages->data(), o->data()};
  require(runEmbed()
              .and_then([&] { return device->launch({append, appended}, step.rows); })
              .and_then([&] { return device->launch({attend, attended}, step.rows); })
              .and_then([&] { return device->wait(); }));
  std::vector<float> expected = tableRows();
  for (size_t i = 0; i < rowFloats; ++i) // the second row: 1 * first + 2 * second
    expected[rowFloats + i] = expected[i] + 2 * expected[rowFloats + i];
  EXPECT_THAT(floatsOf(*o, 2 * rowFloats), ElementsAreArray(expected));
}

TEST_P(DeviceConformance, AGraphRunsForAnyStep) {
  const std::vector<const void *> embedded = {table(), h->data()};
  const std::vector<const void *> appended = {h->data(), pages->data()};
  const std::vector<const void *> attended = {pages->data(), o->data()};
  const std::vector<DeviceLaunch> launches = {
      {embed, embedded}, {append, appended}, {attend, attended}};
  auto graph = device->record(launches).value();
  EXPECT_EQ(graph != nullptr, GetParam() == DeviceKind::cuda);
  if (!graph) // launches one by one are what the device has
    return;
  for (const auto &prompt : {std::vector<int32_t>{5, 6, 7}, {11}, {1, 2, 3, 4, 5, 6, 7, 8}}) {
    require(device->begin(stepOf(prompt)).and_then([&] { return device->launch(*graph); }));
    require(device->wait());
    EXPECT_THAT(floatsOf(*h, prompt.size() * rowFloats), ElementsAreArray(tableRows()));
    const std::vector<float> first = floatsOf(*o, rowFloats), rows = tableRows();
    EXPECT_THAT(first, ElementsAreArray(std::span(rows).first(rowFloats)));
  }
}

TEST_P(DeviceConformance, TimesLaunchesOneByOne) {
  device->setTiming(true);
  require(device->begin(stepOf({1})).and_then([&] { return runEmbed(); }));
  require(device->wait());
  EXPECT_EQ(device->secondsOfLastLaunch().has_value(), GetParam() == DeviceKind::cuda);
  EXPECT_GE(device->secondsOfLastLaunch().value_or(0), 0);
  device->setTiming(false);
  EXPECT_FALSE(device->secondsOfLastLaunch().has_value());
}

// Prompt in one step, then tokens one by one; two sequences in turn, one of them freed and
// made again, whose pages have to be clean.
TEST_P(DeviceConformance, DecodesAWholeModel) {
  LoadOptions options;
  options.threads = 2;
  options.device = GetParam();
  auto model = Model::load(artifact.path, options).value();
  auto session = Session::create(model, {.sequences = 2}).value();
  for (int round = 0; round < 2; ++round) {
    const int32_t first = session->createSequence().value();
    const int32_t second = session->createSequence().value();
    for (int32_t sequence : {second, first}) {
      std::vector<int32_t> history = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2};
      std::vector<StepRow> rows;
      rows.reserve(history.size());
      for (int32_t token : history)
        rows.push_back({.token = token, .sequence = sequence, .wantLogits = false});
      rows.back().wantLogits = true;
      for (int32_t token = 10 + sequence; token < 13; ++token) {
        const Logits logits = session->step(rows).value();
        EXPECT_THAT(std::vector<float>(logits.row(0).begin(), logits.row(0).end()),
                    ElementsAreArray(toy::expectedLogits(history)));
        history.push_back(token);
        rows = {{.token = token, .sequence = sequence, .wantLogits = true}};
      }
    }
    require(session->freeSequence(first));
    require(session->freeSequence(second));
  }
}

TEST_P(DeviceConformance, LaunchesServices) {
  const std::optional<uint32_t> read = device->service("read");
  EXPECT_FALSE(device->service("write"));
  ASSERT_EQ(read.has_value(), GetParam() != DeviceKind::cpu);
  if (!read)
    return;
  const int32_t tiles = 7;
  const auto count = device->place(std::as_bytes(std::span(&tiles, 1)), "count").value();
  const std::vector<const void *> operands = {h->data(), o->data(), count->data()};
  require(device->begin(stepOf({3})));
  require(device->launch({*read, operands}, 0));
  require(device->wait());
  int32_t result = 0;
  require(device->download(std::as_writable_bytes(std::span(&result, 1)), o->data()));
  EXPECT_EQ(result, tiles);
}

// Between the blocks of a kernel that meet, which they do in cooperative launches alone.
TEST_P(DeviceConformance, TheEmulatorLooksForRacesWhereBlocksMeet) {
  if (GetParam() == DeviceKind::cpu)
    return; // has no blocks
  plan::PlanT plan = toy::makePlan();
  plan.gpu_code[0]->services[0]->code->cooperative = true;
  const toy::Artifact meeting(plan);
  fakeDriver.set("FAKE_CUDA_PLAN", meeting.path + "/model.plan");
  const PlanDocument changed = parsePlan(toy::fileOf(plan), "toy").value();
  const auto other = makeDevice(changed.root(), GetParam(), {.threads = 2, .level = ""}).value();
  const auto target = other->allocate(sizeof(int32_t), "target").value();
  const auto count = other->allocate(sizeof(int32_t), "count").value();
  const std::vector<const void *> operands = {target->data(), target->data(), count->data()};
  require(other->begin(stepOf({3})));
  const auto done = other->launch({other->service("read").value(), operands}, 0).and_then([&] {
    return other->wait();
  });
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error(), HasSubstr("race: write at byte 0 of "));
}

// Of several rows, some of which nothing is drawn from, as each of them asks. What the host
// draws is by the logits; on the other devices a number tells that the draw has arrived.
TEST_P(DeviceConformance, DrawsTokens) {
  LoadOptions options;
  options.threads = 2;
  options.device = GetParam();
  auto session = Session::create(Model::load(artifact.path, options).value()).value();
  const int32_t sequence = session->createSequence().value();
  const std::vector<int32_t> history = {3, 1, 4, 1, 5};
  std::vector<StepRow> rows;
  for (size_t i = 0; i < history.size(); ++i)
    rows.push_back({.token = history[i], .sequence = sequence, .wantLogits = i != 1 && i != 3});
  const std::vector<float> after = toy::expectedLogits(std::span(history).first(1));
  const std::vector<float> last = toy::expectedLogits(history);
  const std::vector<GrokDraw> draws = {
      {grokDrawTop, 0, 0, 0}, {grokDrawAny, 1, 0, 17}, {grokDrawTop, 0, 0, 0}};
  std::vector<int32_t> drawn(3, -1);
  session->setProfiling(true);
  require(session->stepAndDraw(rows, draws, drawn));
  const std::vector<LaunchTiming> timings = session->profile();
  EXPECT_EQ(
      std::ranges::count_if(
          timings, [](const LaunchTiming &each) { return each.op == "sample" && each.calls; }),
      GetParam() != DeviceKind::cpu);
  session->setProfiling(false);
  EXPECT_EQ(drawn[0], std::ranges::max_element(after) - after.begin());
  if (GetParam() != DeviceKind::cpu)
    EXPECT_EQ(drawn[1], 17);
  EXPECT_EQ(drawn[2], std::ranges::max_element(last) - last.begin());
  EXPECT_FALSE(session->stepAndDraw(rows, draws, std::span(drawn).first(2)));
  // Logits are still there for who asks.
  rows = {{.token = 9, .sequence = sequence}};
  const Logits logits = session->step(rows).value();
  EXPECT_THAT(std::vector<float>(logits.row(0).begin(), logits.row(0).end()),
              ElementsAreArray(toy::expectedLogits({{3, 1, 4, 1, 5, 9}})));
}

TEST_P(DeviceConformance, TheHostDrawsWithoutAService) {
  plan::PlanT plan = toy::makePlan();
  std::erase_if(plan.gpu_code[0]->services,
                [](const auto &service) { return service->kernel->op == "sample"; });
  const toy::Artifact artifact(plan);
  fakeDriver.set("FAKE_CUDA_PLAN", artifact.path + "/model.plan");
  LoadOptions options;
  options.threads = 2;
  options.device = GetParam();
  const auto model = Model::load(artifact.path, options).value();
  EXPECT_FALSE(model->info().drawsOnDevice);
  auto session = Session::create(model).value();
  const std::vector<StepRow> rows = {{.token = 3, .sequence = session->createSequence().value()}};
  const std::vector<float> logits = toy::expectedLogits({{3}});
  int32_t drawn = -1;
  require(session->stepAndDraw(rows, {{{grokDrawTop, 0, 0, 0}}}, {&drawn, 1}));
  EXPECT_EQ(drawn, std::ranges::max_element(logits) - logits.begin());
}

// ---- several ranks, threads of this process with a device each

using toy::hBuffer, toy::oBuffer, toy::makeCollective;

/// The last logits of a prompt and two tokens, divided by `factor`.
static std::vector<float> logitsOf(const plan::PlanT &plan, DeviceKind kind, FakeDriver &driver,
                                   std::span<const int32_t> history, float factor) {
  const toy::Artifact artifact(plan);
  driver.set("FAKE_CUDA_PLAN", artifact.path + "/model.plan").set("FAKE_CUDA_DEVICES", "2");
  LoadOptions options;
  options.threads = 2;
  options.device = kind;
  auto session = Session::create(Model::load(artifact.path, options).value()).value();
  const int32_t sequence = session->createSequence().value();
  const size_t prompt = history.size() - 2;
  std::vector<float> logits;
  for (size_t fed = 0; fed < history.size(); fed += fed ? 1 : prompt) {
    const auto part = history.subspan(fed, fed ? 1 : prompt);
    const auto last = session->prefill(sequence, part).value().row(0);
    logits.assign(last.begin(), last.end());
  }
  for (float &each : logits)
    each /= factor;
  return logits;
}

// Two that compute the same and add it up: the logits are twice those of one.
TEST_P(DeviceConformance, RanksAddUpTheirRows) {
  using enum plan::OperandAccess;
  plan::PlanT plan = toy::makePlan();
  plan.sharding->tp = 2;
  plan.ranks.push_back(std::make_unique<plan::RankT>());
  for (auto &bucket : plan.programs[0]->buckets) {
    bucket->launches.back()->operands[0]->buffer = oBuffer;
    bucket->launches.insert(bucket->launches.end() - 1,
                            makeCollective(plan::Collective::all_reduce, plan::Axis::tp,
                                           {{hBuffer, read}, {oBuffer, write}}));
  }
  const std::vector<int32_t> history = {3, 1, 4, 1, 5};
  EXPECT_THAT(logitsOf(plan, GetParam(), fakeDriver, history, 2),
              ElementsAreArray(toy::expectedLogits(history)));
}

// Two stages of a layer each.
static plan::PlanT makePipeline() {
  using enum plan::OperandAccess;
  plan::PlanT plan = toy::makePlan();
  plan.sharding->pp = 2;
  plan.ranks.push_back(std::make_unique<plan::RankT>());
  plan.ranks[1]->program = 1;
  plan.programs.push_back(std::make_unique<plan::ProgramT>(*plan.programs[0]));
  for (size_t stage = 0; stage < 2; ++stage) {
    plan::ProgramT &program = *plan.programs[stage];
    program.stage = static_cast<int32_t>(stage);
    program.layers = 1;
    for (auto &bucket : program.buckets) {
      auto &launches = bucket->launches; // embed, four of each layer, unembed
      bucket->buffers[toy::cacheBuffer + 1]->offset = 0;
      if (stage == 0) {
        bucket->buffers.pop_back(); // of logits
        launches.resize(5);
        launches.push_back(
            makeCollective(plan::Collective::send, plan::Axis::pp, {{hBuffer, read}}));
      } else {
        launches.erase(launches.begin(), launches.begin() + 5);
        launches.insert(launches.begin(), makeCollective(plan::Collective::receive, plan::Axis::pp,
                                                         {{hBuffer, write}}));
      }
    }
  }
  return plan;
}

TEST_P(DeviceConformance, StagesHandOnTheirRows) {
  const std::vector<int32_t> history = {3, 1, 4, 1, 5};
  EXPECT_THAT(logitsOf(makePipeline(), GetParam(), fakeDriver, history, 1),
              ElementsAreArray(toy::expectedLogits(history)));
}

// Of two replicas of a pipeline the last stages; the tokens come in the order of the rows.
TEST_P(DeviceConformance, RanksWithLogitsDraw) {
  plan::PlanT plan = makePipeline();
  plan.sharding->dp = 2;
  for (size_t rank = 0; rank < 2; ++rank)
    plan.ranks.push_back(std::make_unique<plan::RankT>(*plan.ranks[rank]));
  const toy::Artifact artifact(plan);
  fakeDriver.set("FAKE_CUDA_PLAN", artifact.path + "/model.plan").set("FAKE_CUDA_DEVICES", "4");
  LoadOptions options;
  options.threads = 4;
  options.device = GetParam();
  auto session =
      Session::create(Model::load(artifact.path, options).value(), {.sequences = 2}).value();
  const std::vector<std::vector<int32_t>> texts = {{3, 1, 4, 1}, {2, 7, 1, 8}};
  std::vector<StepRow> rows;
  std::vector<GrokDraw> draws;
  std::vector<int32_t> expected;
  for (const auto &text : texts)
    ASSERT_EQ(session->createSequence().value(), &text - texts.data());
  for (size_t position = 0; position < 4; ++position)
    for (size_t text = 2; text-- > 0;) { // a token of every other row
      const bool isWanted = position % 2 == text;
      rows.push_back({texts[text][position], static_cast<int32_t>(text), isWanted});
      if (!isWanted)
        continue;
      const auto logits = toy::expectedLogits(std::span(texts[text]).first(position + 1));
      const auto likeliest = std::ranges::max_element(logits) - logits.begin();
      const bool byNumber = position == 1 && GetParam() != DeviceKind::cpu;
      draws.push_back({byNumber ? grokDrawAny : grokDrawTop, 1, 0, 17});
      expected.push_back(byNumber ? 17 : static_cast<int32_t>(likeliest));
    }
  std::vector<int32_t> drawn(draws.size(), -1);
  require(session->stepAndDraw(rows, draws, drawn));
  EXPECT_EQ(drawn, expected);
  // Logits are still there for who asks.
  const Logits logits = session->step(std::vector<StepRow>{{5, 1}}).value();
  EXPECT_THAT(std::vector<float>(logits.row(0).begin(), logits.row(0).end()),
              ElementsAreArray(toy::expectedLogits({{2, 7, 1, 8, 5}})));
}

TEST_P(DeviceConformance, MeasuresItsOwnMemory) {
  const std::optional<double> rate = device->measureReadRate().value();
  EXPECT_EQ(rate.has_value(), GetParam() == DeviceKind::cuda);
  EXPECT_GT(rate.value_or(1), 0);
}

TEST_P(DeviceConformance, SaysWhatItIs) {
  EXPECT_FALSE(device->level().empty());
  EXPECT_GE(device->threads(), 1);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformance,
                         testing::Values(DeviceKind::cpu, DeviceKind::emulated, DeviceKind::cuda),
                         [](const auto &each) { return std::string(nameOf(each.param)); });

} // namespace grok::runtime
