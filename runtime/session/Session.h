// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decoding state over one model: sequences, their key/value pages, and the step
// that turns token rows into logits.
#pragma once

#include "runtime/executor/LaunchView.h"
#include "runtime/session/Model.h"
#include <functional>

namespace grok::runtime {

struct SessionOptions {
  /// Bytes for key/value pages; 0 = enough for `sequences` full contexts.
  /// Address space only: a page takes memory when it is first written.
  uint64_t kvMemory = 0;
  int sequences = 1;
};

/// One token to feed. Its position is the next one of its sequence; rows of one
/// sequence stand in the order of their positions.
struct StepRow {
  int32_t token = 0;
  int32_t sequence = 0;
  bool wantLogits = true;
};

/// Logits of the rows that wanted them, in the order of the rows.
struct Logits {
  const float *data = nullptr; // [rows, stride], the first `vocabSize` are used
  int64_t rows = 0;
  int64_t vocabSize = 0;
  int64_t stride = 0;

  std::span<const float> row(int64_t index) const {
    return {data + index * stride, static_cast<size_t>(vocabSize)};
  }
};

enum class PrefillLogits { none, last, all };

/// Called after each chunk of a prefill: the chunk's logits, and how many of
/// the tokens are fed so far.
using ChunkCallback = std::function<void(const Logits &logits, int64_t tokensDone)>;

struct SessionState;

/// One thread at a time may use a session. Steps of several sessions of one
/// model run one after the other.
class Session {
public:
  static Result<std::unique_ptr<Session>> create(const std::shared_ptr<const Model> &model,
                                                 const SessionOptions &options = {});
  explicit Session(std::unique_ptr<SessionState> state);
  ~Session();

  /// A new, empty sequence; its number stays free for reuse after
  /// `freeSequence`, which also gives its pages back.
  Result<int32_t> createSequence();
  Result<void> freeSequence(int32_t sequence);
  /// Tokens fed so far; 0 for a number that is not in use.
  int64_t length(int32_t sequence) const;

  /// Feeds the rows through the model. The logits are valid until the next
  /// call of step or prefill. On error nothing has changed: more rows than
  /// `maxStepRows`, a bad token or sequence, a full context, or no free page.
  Result<Logits> step(std::span<const StepRow> rows);

  /// As step, but draws a token of each row that wants logits, by `draws` in their order,
  /// instead of giving them: by the rank that makes them, on its device where that can.
  /// `drawn` gets what drawToken gives (runtime/sampler/Sampler.h).
  Result<void> stepAndDraw(std::span<const StepRow> rows, std::span<const GrokDraw> draws,
                           std::span<int32_t> drawn);

  /// Feeds `tokens` in chunks of at most `chunk` rows (0 = the most a step
  /// takes). Returns the logits of the last chunk. An error names the token at
  /// which it stopped; the chunks before it stay fed.
  Result<Logits> prefill(int32_t sequence, std::span<const int32_t> tokens, int64_t chunk = 0,
                         PrefillLogits want = PrefillLogits::last,
                         const ChunkCallback &callback = {});

  uint64_t kvBytesReserved() const; // all pages of the pool
  uint64_t kvBytesInUse() const;

  /// Profiling measures each launch; it starts from zero when switched on.
  void setProfiling(bool on);
  std::vector<LaunchTiming> profile() const;
  /// Off: a GPU gets each launch by itself, to see what putting them together gains.
  void setGraphs(bool on);
  void setPersistent(bool on);
  /// Called after each launch of every step; empty switches off.
  void setObserver(LaunchObserver observer);

private:
  Result<Logits> run(std::span<const StepRow> rows, std::span<const GrokDraw> draws);

  std::unique_ptr<SessionState> contents;
};

} // namespace grok::runtime
