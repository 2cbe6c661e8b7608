// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A model whose logits tell what it was fed: the likeliest token is the sum of
// the sequence so far, modulo the vocabulary. It checks what it is asked to do.
#pragma once

#include "runtime/generation/Generation.h"
#include <map>
#include <set>

namespace grok::runtime::toy {

inline constexpr EngineLimits engineLimits = {.vocabSize = 10,
                                              .maxContext = 16,
                                              .maxStepRows = 4,
                                              .pageTokens = 4,
                                              .pages = 12,
                                              .pageBytes = 100};

class Engine : public StepEngine {
public:
  explicit Engine(EngineLimits limits = engineLimits) : limits(limits) {}

  Result<int32_t> createSequence() override {
    sequences[nextSequence] = {};
    return nextSequence++;
  }
  Result<void> freeSequence(int32_t sequence) override {
    if (sequences.erase(sequence) == 0)
      return fail("no such sequence");
    return {};
  }
  Result<Logits> step(std::span<const StepRow> rows) override;
  Result<void> stepAndDraw(std::span<const StepRow> rows, std::span<const GrokDraw> draws,
                           std::span<int32_t> drawn) override {
    numDraws += draws.size();
    return step(rows).map([&](const Logits &made) {
      std::vector<float> weights;
      for (size_t i = 0; i < draws.size(); ++i)
        drawn[i] = drawToken(made.row(static_cast<int64_t>(i)), draws[i], weights);
    });
  }

  EngineLimits limits;
  std::map<int32_t, std::vector<int32_t>> sequences; // tokens fed
  std::vector<size_t> stepRows;                      // rows of each step so far
  size_t mostSequences = 0;
  size_t numDraws = 0; // tokens drawn so far
  float badLogit = 0;  // added to the logit of token 3

private:
  int32_t nextSequence = 5;
  std::vector<float> logits;
};

inline int32_t sumOf(std::span<const int32_t> tokens) {
  int32_t sum = 0;
  for (int32_t token : tokens)
    sum += token;
  return sum % static_cast<int32_t>(engineLimits.vocabSize);
}

inline Result<Logits> Engine::step(std::span<const StepRow> rows) {
  stepRows.push_back(rows.size());
  mostSequences = std::max(mostSequences, sequences.size());
  if (rows.empty() || static_cast<int64_t>(rows.size()) > limits.maxStepRows)
    return fail("bad number of rows");
  logits.clear();
  int64_t wanted = 0;
  int64_t pages = 0;
  for (const StepRow &row : rows) {
    if (!sequences.contains(row.sequence))
      return fail("no such sequence");
    std::vector<int32_t> &fed = sequences[row.sequence];
    fed.push_back(row.token);
    if (static_cast<int64_t>(fed.size()) > limits.maxContext)
      return fail("the context is full");
    if (!row.wantLogits)
      continue;
    ++wanted;
    for (int32_t id = 0; id < limits.vocabSize; ++id)
      logits.push_back((id == sumOf(fed) ? 5.0f : 0.0f) + (id == 3 ? badLogit : 0.0f));
  }
  for (const auto &[sequence, fed] : sequences)
    pages += pagesOf(static_cast<int64_t>(fed.size()), limits.pageTokens);
  if (pages > limits.pages)
    return fail("no free page");
  return Logits{logits.data(), wanted, limits.vocabSize, limits.vocabSize};
}

} // namespace grok::runtime::toy
