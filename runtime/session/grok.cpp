// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The C interface over sessions. No exception leaves it.
#include "runtime/grok.h"
#include "runtime/session/Session.h"
#include <algorithm>
#include <cstring>
#include <exception>
#include <optional>

using namespace grok::runtime;

struct GrokModel {
  std::shared_ptr<const Model> model;
};

struct GrokSession {
  std::unique_ptr<Session> session;
  std::vector<StepRow> rows; // of a step, kept so that steps do not allocate
};

static thread_local std::string lastError;

static std::nullopt_t failed(std::string message) {
  lastError = std::move(message);
  return std::nullopt;
}

// Runs the action, which gives a Result; an exception (there is one source:
// memory) becomes a failure too.
template <typename Action>
static auto guarded(Action action) -> std::optional<std::decay_t<decltype(*action())>> {
  try {
    auto result = action();
    if (result)
      return std::move(*result);
    return failed(std::move(result.error()));
  } catch (const std::exception &exception) {
    return failed(std::string("out of memory: ") + exception.what());
  }
}

template <typename Action> static int statusOf(Action action) {
  return guarded([&] { return action().map([] { return true; }); }) ? 0 : 1;
}

// Callers compiled against an older header give a smaller struct.
template <typename Options> static Options copyOptions(const Options *given) {
  Options options = {};
  if (given)
    std::memcpy(&options, given, std::min(given->size, sizeof(Options)));
  return options;
}

static void store(const Logits &from, GrokLogits *to) {
  if (to)
    *to = {from.data, from.rows, from.vocabSize, from.stride};
}

const char *grokVersion(void) { return GROKC_VERSION; }
const char *grokLastError(void) { return lastError.c_str(); }

GrokModel *grokModelLoad(const char *directory, const GrokLoadOptions *given) {
  auto model = guarded([&]() -> Result<GrokModel *> {
    GrokLoadOptions c = copyOptions(given);
    LoadOptions options;
    options.threads = c.threads;
    options.fullCheck = c.fullCheck != 0;
    options.cpuLevel = c.cpuLevel ? c.cpuLevel : "";
    if (!directory)
      return fail("grokModelLoad: no directory given");
    auto loaded = Model::load(directory, options);
    if (!loaded)
      return fail(loaded.error());
    return new GrokModel{std::move(*loaded)};
  });
  return model.value_or(nullptr);
}

void grokModelFree(GrokModel *model) { delete model; }

int grokModelInfo(const GrokModel *model, GrokModelInfo *info) {
  if (!model || !info || info->size < sizeof(size_t)) {
    lastError = "grokModelInfo: no model, or info->size is not set";
    return 1;
  }
  const ModelInfo &from = model->model->info();
  GrokModelInfo full = {};
  full.size = info->size;
  full.vocabSize = from.vocabSize;
  full.maxContext = from.maxContext;
  full.maxStepRows = from.maxStepRows;
  full.padToken = from.padToken;
  full.eosToken = from.eosToken;
  full.threads = from.threads;
  full.numLayers = static_cast<int32_t>(from.numLayers);
  full.pageBytes = from.pageBytes;
  full.weightBytes = from.weightBytes;
  full.weightBytesPerToken = from.weightBytesPerToken;
  full.loadSeconds = from.loadSeconds;
  full.cpuLevel = from.cpuLevel.c_str();
  std::memcpy(info, &full, std::min(info->size, sizeof(full)));
  return 0;
}

const void *grokModelTokenizer(const GrokModel *model, size_t *size) {
  std::span<const std::byte> bytes;
  if (model)
    bytes = model->model->tokenizer();
  if (size)
    *size = bytes.size();
  return bytes.empty() ? nullptr : bytes.data();
}

GrokSession *grokSessionCreate(GrokModel *model, const GrokSessionOptions *given) {
  auto session = guarded([&]() -> Result<GrokSession *> {
    if (!model)
      return fail("grokSessionCreate: no model given");
    GrokSessionOptions c = copyOptions(given);
    auto created = Session::create(model->model, {c.kvMemory, c.sequences ? c.sequences : 1});
    if (!created)
      return fail(created.error());
    auto rows = static_cast<size_t>(model->model->info().maxStepRows);
    return new GrokSession{std::move(*created), std::vector<StepRow>(rows)};
  });
  return session.value_or(nullptr);
}

void grokSessionFree(GrokSession *session) { delete session; }

int32_t grokSequenceCreate(GrokSession *session) {
  return guarded([&] { return session->session->createSequence(); }).value_or(-1);
}

int grokSequenceFree(GrokSession *session, int32_t sequence) {
  return statusOf([&] { return session->session->freeSequence(sequence); });
}

int64_t grokSequenceLength(const GrokSession *session, int32_t sequence) {
  return session->session->length(sequence);
}

int grokStep(GrokSession *session, const GrokStepRow *rows, size_t count, GrokLogits *logits) {
  return statusOf([&]() -> Result<void> {
    if (count > session->rows.size())
      return fail("step: ", count, " rows, expected 1..", session->rows.size(),
                  "; feed longer input in chunks");
    for (size_t i = 0; i < count; ++i)
      session->rows[i] = {rows[i].token, rows[i].sequence, rows[i].wantLogits != 0};
    return session->session->step({session->rows.data(), count}).map([&](const Logits &result) {
      store(result, logits);
    });
  });
}

int grokPrefill(GrokSession *session, int32_t sequence, const int32_t *tokens, size_t count,
                int64_t chunk, GrokLogits *logits) {
  return statusOf([&]() -> Result<void> {
    return session->session->prefill(sequence, {tokens, count}, chunk)
        .map([&](const Logits &result) { store(result, logits); });
  });
}

// The plan's own strings, which end with a zero.
static const char *toC(std::string_view text) { return text.empty() ? "" : text.data(); }

static GrokBufferView toC(const BufferView &view) {
  return {.name = toC(view.name),
          .dtype = toC(view.dtype),
          .data = view.data,
          .perRow = view.perRow,
          .rows = view.rows,
          .rowBytes = view.rowBytes,
          .shape = view.shape.data(),
          .rank = view.shape.size(),
          .logicalShape = view.logical.data(),
          .logicalRank = view.logical.size()};
}

void grokSessionObserve(GrokSession *session, GrokObserver observer, void *user) {
  if (!observer)
    return session->session->setObserver({});
  session->session->setObserver([=](const LaunchView &launch) {
    std::vector<GrokBufferView> written;
    for (const BufferView &buffer : launch.written)
      written.push_back(toC(buffer));
    GrokLaunchView view = {.name = toC(launch.name),
                           .op = toC(launch.op),
                           .layer = launch.layer,
                           .tiles = launch.tiles,
                           .stepRows = launch.step->rows,
                           .stepLogitRows = launch.step->logitRows,
                           .written = written.data(),
                           .numWritten = written.size()};
    observer(&view, user);
  });
}
