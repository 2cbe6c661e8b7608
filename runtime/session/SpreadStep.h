// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A step whose rows several replicas, or the stages of a pipeline, share.
#pragma once

#include "runtime/session/RankSession.h"

namespace grok::runtime {

/// Numbers of sequences, which replicas get in turn.
struct SequenceNumbers {
  size_t replicas = 1;

  size_t replicaOf(int32_t sequence) const { return static_cast<size_t>(sequence) % replicas; }
  /// The replica's own number of it.
  int32_t localOf(int32_t sequence) const { return sequence / static_cast<int32_t>(replicas); }
  int32_t sequenceOf(size_t replica, int32_t local) const {
    return local * static_cast<int32_t>(replicas) + static_cast<int32_t>(replica);
  }
};

class SpreadStep {
public:
  /// `replicas` of session `number`: the first one runs here, of the others only the
  /// tables. The model and they outlive it.
  SpreadStep(ModelState &model, int32_t number,
             std::span<const std::unique_ptr<RankSession>> replicas)
      : model(model), number(number), replicas(replicas), numbers{replicas.size()},
        shares(replicas.size()) {}

  /// As RankSession::step, in the order of the rows.
  Result<Logits> run(std::span<const StepRow> rows, std::span<const GrokDraw> draws);
  /// What the last step drew, if it did, likewise.
  std::span<const int32_t> drawn() const { return tokens; }

private:
  /// What a replica gets of a step, and what comes of it.
  struct Share {
    std::vector<StepRow> rows;
    std::vector<GrokDraw> draws;
    std::vector<float> logits;
    std::vector<int32_t> tokens;
  };
  /// Rows that a replica takes at a time.
  struct Part {
    size_t replica;
    std::span<const StepRow> rows;
    std::span<const GrokDraw> draws; // of those that want logits, or none
    size_t wanted;                   // rows that want logits
  };

  Result<void> share(std::span<const StepRow> rows, std::span<const GrokDraw> draws);
  Part partOf(size_t replica, size_t part, size_t parts) const;
  Result<void> forParts(Result<void> (SpreadStep::*action)(const Part &));
  Result<void> start(const Part &part);
  Result<void> receive(const Part &part);
  template <typename Item>
  std::span<const Item> merge(std::span<const StepRow> rows, std::vector<Item> Share::*items,
                              size_t stride, std::vector<Item> &merged);

  ModelState &model;
  int32_t number;
  std::span<const std::unique_ptr<RankSession>> replicas;
  SequenceNumbers numbers;
  std::vector<Share> shares;
  std::vector<float> mergedLogits;
  std::vector<int32_t> mergedTokens;
  std::span<const int32_t> tokens;
};

} // namespace grok::runtime
