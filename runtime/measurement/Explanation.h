// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where the time of a step goes, kernel by kernel, beside what the machine's
// limits would allow.
#pragma once

#include "runtime/executor/LaunchView.h"
#include "runtime/session/Model.h"

namespace grok::runtime {

/// The most that the machine does per second.
struct Roof {
  double bytes = 0;             // read from memory
  double floatMultiplyAdds = 0; // zero = unknown
  double integerMultiplyAdds = 0;
};

/// What all steps of a measured part have in common, on average.
struct StepShape {
  double rows = 1;
  double logitRows = 1;
  double sequences = 1; // whose keys and values are read
  double positions = 0; // that a row sees
};

/// One kind of kernel, per step, over all layers.
struct OpShare {
  std::string op;
  double launches = 0;
  double seconds = 0;
  double bytes = 0; // of weights, keys and values
  double multiplyAdds = 0;
  double predictedSeconds = 0; // at the roof
  bool isArithmetic = false;   // which of the limits predicts more

  double gap() const { return seconds - predictedSeconds; }
};

struct Explanation {
  double stepSeconds = 0;   // measured around the step
  std::vector<OpShare> ops; // the longest first; empty if nothing was measured
  double outsideSeconds() const;
};

/// `timings`: a profile of `steps` steps that took `seconds` together.
Explanation explainSteps(std::span<const LaunchTiming> timings, int64_t steps, double seconds,
                         const StepShape &shape, const ModelInfo &model, const Roof &roof);

/// One sentence that names the op with the most time to gain; empty if none.
std::string describeLargestGap(const Explanation &explanation);

/// How many times the weights of one row's experts a step of `rows` rows reads,
/// if they choose evenly and independently: X (1 - (1 - k/X)^rows) / k.
double expertFactor(int64_t experts, int64_t selected, double rows);

} // namespace grok::runtime
