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

/// The values of quantised rows [.., bytes of a row] that stand for ones of `type`.
/// Fails if a row's sums are not those of its codes.
Result<RecordedBuffer> dequantizeRows(const RecordedBuffer &buffer, mlir::RankedTensorType type);

/// Gates and chosen experts [T, k] of a route. A choice other than the
/// reference's is right if rounding alone can decide between the two.
Result<Mismatch> compareRouting(const RecordedBuffer &gates, const RecordedBuffer &experts,
                                const Known &reference);

/// The numbers [T, k] of the chosen experts among `subset`, -1 for others.
Mismatch compareLocal(const RecordedBuffer &local, const interpreter::Indices &experts,
                      const std::vector<int64_t> &subset);

/// The buffer by which expert matmuls find their rows, for these choices among
/// `numExperts` experts; -1 is none of them.
Mismatch compareGroups(const RecordedBuffer &groups, const interpreter::Indices &experts,
                       int64_t numExperts);

/// Writes the rows of a launch that stand in the order of the groups' pairs to
/// the places of their rows and choices in `values`; other places stay as they
/// are. The groups must have been found right.
void spreadByChoice(const RecordedBuffer &buffer, const RecordedBuffer &groups, int64_t numExperts,
                    std::vector<float> &values);

/// Pairs that groups hold: rows of a launch behind them mean nothing.
int64_t countPairs(const RecordedBuffer &groups);

/// The first `pairs` of the rows [T, k, ..], as [pairs, ..].
RecordedBuffer firstPairs(const RecordedBuffer &buffer, int64_t pairs);

} // namespace grok::verification
