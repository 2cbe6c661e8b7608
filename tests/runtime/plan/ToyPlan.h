// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A complete small plan made by hand, with real machine code: what the tests of
// the runtime load, break and run without a compiler.
#pragma once

#include "runtime/plan/PlanReader.h"
#include <string>
#include <vector>

namespace grok::runtime::toy {

constexpr int vocabSize = 20;
constexpr int embeddingSize = 16;
constexpr int maxContext = 64;
constexpr int maxStepRows = 64;
constexpr int pageTokens = 16;
constexpr int tooManyTilesToken = 19; // makes a kernel ask for a bad tile count

/// The plan, free to be changed before it is written. `factor` (2 or 3) selects
/// one of two builds of the kernels.
plan::PlanT makePlan(int factor = 2);

/// What ranks do together with buffers of the plan.
enum ToyBuffer { cacheBuffer = 1, hBuffer = 3, oBuffer = 4 };
std::unique_ptr<plan::LaunchT>
makeCollective(plan::Collective kind, plan::Axis over,
               const std::vector<std::pair<int, plan::OperandAccess>> &operands);

/// A plan for `ranks` along tp or ep. Nobody can run its program, which ends with "layer 1
/// sum" of h to o.
plan::PlanT makePlanWithSum(plan::Axis over, int ranks);

/// Bytes of the body, and of the signed file around it.
std::vector<std::byte> bodyOf(const plan::PlanT &plan);
std::vector<std::byte> seal(std::span<const std::byte> body);
std::vector<std::byte> fileOf(const plan::PlanT &plan);

/// The weight file that the plan describes.
std::vector<std::byte> weightFile();

/// Value `column` of `token` in the table.
float tableAt(int token, int column);

/// What the model computes for the last of `tokens`: [vocabSize].
std::vector<float> expectedLogits(std::span<const int32_t> tokens, int factor = 2);

void writeFile(const std::string &path, std::span<const std::byte> bytes);

/// A folder that disappears with the object.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  std::string path;
};

/// A folder with a plan and its weights.
class Artifact : public TemporaryFolder {
public:
  explicit Artifact(const plan::PlanT &plan = makePlan());
};

} // namespace grok::runtime::toy
