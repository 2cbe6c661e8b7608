// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Recorded buffers against reference values and their bounds.
#pragma once

#include "compiler/verification/ErrorAnalysis.h"
#include "compiler/verification/Recording.h"

namespace grok::verification {

/// The largest difference in a launch, as a share of what is allowed.
struct Mismatch {
  double share = 0;
  std::string what; // empty if the share is 0

  void raise(double newShare, const std::string &text);
};

/// Fails if the buffer has not the reference's shape.
Result<Mismatch> compareNumbers(const RecordedBuffer &buffer, const Known &reference);

/// The values of quantised rows [.., bytes of a row] with groups of `unit` out of
/// `inputs` values. Fails if a row's sums are not those of its codes.
Result<RecordedBuffer> dequantizeRows(const RecordedBuffer &buffer, int64_t inputs, int64_t unit);

/// Gates and chosen experts [T, k] of a route. A choice other than the
/// reference's is right if rounding alone can decide between the two.
Result<Mismatch> compareRouting(const RecordedBuffer &gates, const RecordedBuffer &experts,
                                const Known &reference);

/// The buffer by which expert matmuls find their rows, for these choices.
Mismatch compareGroups(const RecordedBuffer &groups, const interpreter::Indices &experts,
                       int64_t numExperts);

/// Rows of a gate_up launch, which stand in the order of the groups' pairs, in
/// the order of rows and choices. The groups must have been found right.
RecordedBuffer sortByChoice(const RecordedBuffer &buffer, const RecordedBuffer &groups,
                            int64_t numExperts);

} // namespace grok::verification
