// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole steps of the toy model, against the same sums written down in C++.
#include "runtime/session/Session.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <filesystem>
#include <gmock/gmock.h>
#include <numeric>
#include <thread>

namespace grok::runtime {

using testing::ElementsAreArray;
using testing::HasSubstr;

static std::vector<int32_t> tokensFrom(int first, int count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i)
    tokens[static_cast<size_t>(i)] = (first + i * 5) % 19; // 19 is the token of bad counts
  return tokens;
}

static LoadOptions withThreads(int threads) {
  LoadOptions options;
  options.threads = threads;
  return options;
}

static std::shared_ptr<const Model> loadModel(const toy::Artifact &artifact, int threads = 1) {
  return Model::load(artifact.path, withThreads(threads)).value();
}

static auto isExpectedAfter(std::span<const int32_t> tokens, int factor = 2) {
  return ElementsAreArray(toy::expectedLogits(tokens, factor));
}

TEST(Model, TellsWhatItIs) {
  toy::Artifact artifact;
  LoadOptions options = withThreads(2);
  options.fullCheck = true;
  auto model = Model::load(artifact.path, options);
  ASSERT_TRUE(model) << model.error();
  const ModelInfo &info = (*model)->info();
  EXPECT_EQ(info.name, "toy");
  EXPECT_EQ(info.cpuLevel, "x86-64-v2");
  EXPECT_EQ(info.vocabSize, 20);
  EXPECT_EQ(info.maxContext, 64);
  EXPECT_THAT(info.buckets, testing::ElementsAre(1, 64));
  EXPECT_EQ(info.threads, 2);
  EXPECT_GT(info.loadSeconds, 0);
  EXPECT_EQ((*model)->tokenizer().size(), 3u);
}

TEST(Model, NamesWhatItCannotLoad) {
  toy::TemporaryFolder empty;
  EXPECT_THAT(Model::load(empty.path).error(), HasSubstr(empty.path + "/model.plan: cannot open"));
  toy::Artifact artifact;
  LoadOptions options;
  options.ranks = 2;
  EXPECT_THAT(Model::load(artifact.path, options).error(),
              HasSubstr("is compiled for 1 ranks (tp1), not for 2; give --ranks 1"));
  options.ranks = 0;
  options.cpuLevel = "future";
  EXPECT_THAT(Model::load(artifact.path, options).error(), HasSubstr("telepathy"));
}

TEST(Model, WithoutWeightsRunsOnZerosOnly) {
  plan::PlanT plan = toy::makePlan();
  plan.layouts[0]->file.clear();
  toy::Artifact artifact(plan);
  EXPECT_THAT(Model::load(artifact.path).error(), HasSubstr("--weights-from=none"));
  LoadOptions options = withThreads(1);
  options.zeroWeights = true;
  auto model = Model::load(artifact.path, options);
  ASSERT_TRUE(model);
  auto session = Session::create(*model).value();
  int32_t sequence = session->createSequence().value();
  EXPECT_EQ(session->step(std::vector<StepRow>{{5, sequence}})->row(0)[3], 0.f);
}

// A changed and signed plan that passes all checks still loads or says why not;
// damaged code never reaches the loader.
TEST(Model, SurvivesChangedAndSignedPlans) {
  toy::Artifact artifact;
  std::vector<std::byte> body = toy::bodyOf(toy::makePlan());
  for (size_t i = 0; i < body.size(); i += 131) {
    body[i] ^= std::byte(0x04);
    toy::writeFile(artifact.path + "/model.plan", toy::seal(body));
    if (auto model = Model::load(artifact.path, withThreads(1)); !model)
      ASSERT_EQ(model.error().find('\n'), std::string::npos) << model.error();
    else
      ASSERT_TRUE(Session::create(*model, {.kvMemory = 1 << 20}));
    body[i] ^= std::byte(0x04);
  }
}

TEST(Session, ChunksAndThreadsGiveTheSameBits) {
  toy::Artifact artifact;
  std::vector<int32_t> prompt = tokensFrom(3, 50);
  for (int threads : {1, 4}) {
    auto model = loadModel(artifact, threads);
    for (int64_t chunk : {0, 1, 5, 50}) {
      auto session = Session::create(model).value();
      auto logits = session->prefill(session->createSequence().value(), prompt, chunk);
      ASSERT_TRUE(logits) << logits.error();
      ASSERT_EQ(logits->rows, 1);
      EXPECT_THAT(logits->row(0), isExpectedAfter(prompt)) << threads << " threads, " << chunk;
    }
  }
}

TEST(Session, AllLogitsOfAPrefill) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact)).value();
  std::vector<int32_t> prompt = tokensFrom(1, 23);
  int64_t seen = 0;
  auto checkChunk = [&](const Logits &logits, int64_t done) {
    for (int64_t row = 0; row < logits.rows; ++row, ++seen)
      EXPECT_THAT(logits.row(row), isExpectedAfter(std::span(prompt).first(size_t(seen) + 1)));
    EXPECT_EQ(done, seen);
  };
  ASSERT_TRUE(session->prefill(session->createSequence().value(), prompt, 7, PrefillLogits::all,
                               checkChunk));
  EXPECT_EQ(seen, 23);
}

// One step may hold chunks and single tokens of any sequences, interleaved.
TEST(Session, MixesSequencesInOneStep) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact, 2), {.sequences = 3}).value();
  std::vector<std::vector<int32_t>> prompts = {tokensFrom(0, 3), tokensFrom(1, 18),
                                               tokensFrom(2, 1)};
  std::vector<StepRow> rows;
  for (size_t i = 0; i < 18; ++i)
    for (int32_t sequence = 0; sequence < 3; ++sequence)
      if (const auto &prompt = prompts[size_t(sequence)]; i < prompt.size())
        rows.push_back({prompt[i], sequence, i + 1 == prompt.size()});
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(session->createSequence().value(), i);
  auto logits = session->step(rows);
  ASSERT_TRUE(logits) << logits.error();
  ASSERT_EQ(logits->rows, 3);
  EXPECT_THAT(logits->row(0), isExpectedAfter(prompts[2])); // in the order of the rows
  EXPECT_THAT(logits->row(1), isExpectedAfter(prompts[0]));
  EXPECT_THAT(logits->row(2), isExpectedAfter(prompts[1]));
  EXPECT_EQ(session->length(1), 18);
}

TEST(Session, ReusesFreedSequences) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact)).value(); // memory for one
  for (int round = 0; round < 3; ++round) {
    int32_t sequence = session->createSequence().value();
    std::vector<int32_t> prompt = tokensFrom(round, 64);
    EXPECT_THAT(session->prefill(sequence, prompt)->row(0), isExpectedAfter(prompt));
    EXPECT_EQ(session->kvBytesInUse(), session->kvBytesReserved());
    ASSERT_TRUE(session->freeSequence(sequence));
    EXPECT_EQ(session->kvBytesInUse(), 0u);
  }
}

TEST(Session, ErrorsChangeNothing) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact), {.sequences = 2}).value();
  int32_t sequence = session->createSequence().value();
  std::vector<int32_t> prompt = tokensFrom(4, 10);
  ASSERT_TRUE(session->prefill(sequence, prompt));
  auto errorOf = [&](std::vector<StepRow> rows) { return session->step(rows).error(); };
  EXPECT_THAT(errorOf({}), HasSubstr("0 rows"));
  EXPECT_THAT(errorOf(std::vector<StepRow>(65)), HasSubstr("65 rows, expected 1..64"));
  EXPECT_THAT(errorOf({{1, sequence}, {20, sequence}}), HasSubstr("row 1 has token 20"));
  EXPECT_THAT(errorOf({{-1, sequence}}), HasSubstr("token -1"));
  EXPECT_THAT(errorOf({{1, sequence}, {1, 7}}), HasSubstr("sequence 7 is not in use"));
  EXPECT_THAT(errorOf(std::vector<StepRow>(60, {1, sequence})), HasSubstr("context limit of 64"));
  EXPECT_THAT(errorOf({{toy::tooManyTilesToken, sequence}}),
              HasSubstr("launch 'layer0.scale': 1000000 tiles, the plan allows"));
  EXPECT_EQ(session->length(sequence), 10);
  prompt.push_back(7);
  EXPECT_THAT(session->step(std::vector<StepRow>{{7, sequence}})->row(0), isExpectedAfter(prompt));
}

TEST(Session, PrefillErrors) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact)).value();
  int32_t sequence = session->createSequence().value();
  auto errorOf = [&](std::vector<int32_t> tokens, int64_t chunk = 0) {
    return session->prefill(sequence, tokens, chunk).error();
  };
  EXPECT_THAT(errorOf({}), HasSubstr("no tokens"));
  EXPECT_THAT(errorOf({1, 2, 99}), HasSubstr("token 2 is 99"));
  EXPECT_THAT(errorOf(tokensFrom(0, 65)), HasSubstr("exceed the context limit of 64"));
  EXPECT_THAT(errorOf({1}, 65), HasSubstr("chunks of 65"));
  EXPECT_THAT(session->prefill(3, tokensFrom(0, 2)).error(), HasSubstr("sequence 3"));
  EXPECT_EQ(session->length(sequence), 0);
}

TEST(Session, OutOfKeyValueMemory) {
  toy::Artifact artifact;
  auto model = loadModel(artifact);
  auto session = Session::create(model, {.kvMemory = 2 * model->info().pageBytes}).value();
  int32_t first = session->createSequence().value(), second = session->createSequence().value();
  ASSERT_TRUE(session->prefill(first, tokensFrom(0, 16)));
  EXPECT_THAT(session->prefill(second, tokensFrom(0, 17)).error(),
              HasSubstr("out of key/value memory"));
  EXPECT_EQ(session->length(second), 0);
  EXPECT_TRUE(session->prefill(second, tokensFrom(0, 16)));
  EXPECT_THAT(Session::create(model, {.kvMemory = 100}).error(), HasSubstr("hold no page"));
  EXPECT_THAT(Session::create(model, {.sequences = 0}).error(), HasSubstr("at least 1"));
}

TEST(Session, ObserverSeesEveryLaunch) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact)).value();
  int32_t sequence = session->createSequence().value();
  std::vector<std::string> names;
  session->setObserver([&](const LaunchView &launch) {
    names.emplace_back(launch.name);
    if (launch.name == "embed") {
      ASSERT_EQ(launch.written.size(), 1u);
      const BufferView &h = launch.written[0];
      EXPECT_EQ(h.name, "h");
      EXPECT_EQ(h.rows, 3);
      EXPECT_EQ(h.rowBytes, 64u);
      EXPECT_EQ(static_cast<const float *>(h.data)[2 * 16 + 1], toy::tableAt(7, 1));
    }
    if (launch.name == "layer1.group")
      EXPECT_FALSE(launch.written[0].perRow);
    if (launch.name == "unembed") {
      EXPECT_EQ(launch.written[0].rows, 1) << "one row wants logits";
      EXPECT_THAT(launch.written[0].logical, testing::ElementsAre(20));
    }
  });
  ASSERT_TRUE(session->prefill(sequence, std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(names.size(), 10u);
  EXPECT_EQ(names[5], "layer1.append");
  session->setObserver({});
  ASSERT_TRUE(session->prefill(sequence, std::vector<int32_t>{5}));
  EXPECT_EQ(names.size(), 10u);
}

TEST(Session, ProfilesLaunchesOfTheBucketsInUse) {
  toy::Artifact artifact;
  auto session = Session::create(loadModel(artifact)).value();
  int32_t sequence = session->createSequence().value();
  session->setProfiling(true);
  ASSERT_TRUE(session->prefill(sequence, tokensFrom(0, 12), 5)); // 5, 5, 2 rows
  ASSERT_TRUE(session->prefill(sequence, tokensFrom(0, 1)));     // the bucket of one row
  for (const LaunchTiming &timing : session->profile()) {
    EXPECT_EQ(timing.calls, timing.bucketRows == 1 ? 1u : 3u) << timing.name;
    EXPECT_GT(timing.seconds, 0);
  }
}

TEST(Session, TwoPlansAtOnce) {
  toy::Artifact two(toy::makePlan(2)), three(toy::makePlan(3));
  auto sessionOfTwo = Session::create(loadModel(two, 2)).value();
  auto sessionOfThree = Session::create(loadModel(three, 2)).value();
  std::vector<int32_t> prompt = tokensFrom(2, 20);
  auto run = [&](Session &session, int factor) {
    auto logits = session.prefill(session.createSequence().value(), prompt, 4);
    EXPECT_THAT(logits->row(0), isExpectedAfter(prompt, factor));
  };
  std::thread other([&] { run(*sessionOfThree, 3); });
  run(*sessionOfTwo, 2);
  other.join();
}

TEST(Session, SessionsOfOneModelInParallelThreads) {
  toy::Artifact artifact;
  auto model = loadModel(artifact, 2);
  auto work = [&](int first) {
    auto session = Session::create(model).value();
    std::vector<int32_t> prompt = tokensFrom(first, 40);
    auto logits = session->prefill(session->createSequence().value(), prompt, 3);
    EXPECT_THAT(logits->row(0), isExpectedAfter(prompt));
  };
  std::thread other(work, 1);
  work(2);
  other.join();
}

TEST(Model, LivesAsLongAsItsSessions) {
  toy::Artifact artifact;
  auto model = loadModel(artifact);
  auto session = Session::create(model).value();
  model.reset();
  std::filesystem::remove_all(artifact.path);
  std::vector<int32_t> prompt = tokensFrom(0, 4);
  auto logits = session->prefill(session->createSequence().value(), prompt);
  EXPECT_THAT(logits->row(0), isExpectedAfter(prompt));
}

// Replicas are ranks of their own: threads that follow this one.
TEST(Session, SharesSequencesOutToReplicas) {
  plan::PlanT plan = toy::makePlan();
  plan.sharding->dp = 3;
  plan.ranks.push_back(std::make_unique<plan::RankT>());
  plan.ranks.push_back(std::make_unique<plan::RankT>());
  toy::Artifact artifact(plan);
  auto model = Model::load(artifact.path, withThreads(3));
  ASSERT_TRUE(model) << model.error();
  EXPECT_EQ((*model)->info().sharding, "dp3");
  EXPECT_EQ((*model)->info().ranks, 3);
  EXPECT_EQ((*model)->info().threads, 3);
  auto session = Session::create(*model, {.sequences = 4}).value();
  const std::vector<std::vector<int32_t>> texts = {{3, 4, 5}, {6, 1}, {7, 7, 2}, {9}};
  std::vector<int32_t> sequences;
  for (size_t i = 0; i < texts.size(); ++i)
    sequences.push_back(session->createSequence().value());
  EXPECT_THAT(sequences, testing::ElementsAre(0, 1, 2, 3));
  std::vector<StepRow> rows;
  for (size_t position = 0; position < 3; ++position)
    for (size_t i = texts.size(); i-- > 0;) // as mixed as can be
      if (position < texts[i].size())
        rows.push_back({texts[i][position], sequences[i], position + 1 == texts[i].size()});
  auto logits = session->step(rows);
  ASSERT_TRUE(logits) << logits.error();
  ASSERT_EQ(logits->rows, 4);
  int64_t next = 0;
  for (size_t i : {3, 1, 2, 0}) // in the order of the rows that wanted them
    EXPECT_THAT(logits->row(next++), isExpectedAfter(texts[i]));
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(session->length(sequences[i]), std::ssize(texts[i]));
  // What is refused changes nothing on any replica.
  const StepRow bad[] = {{3, sequences[0]}, {99, sequences[1]}};
  EXPECT_FALSE(session->step(bad));
  EXPECT_EQ(session->length(sequences[0]), 3);
  ASSERT_TRUE(session->freeSequence(sequences[1]));
  EXPECT_EQ(session->createSequence().value(), sequences[1]);
}

} // namespace grok::runtime
