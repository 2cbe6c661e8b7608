// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How well an artifact predicts a text, alone or beside another one.
#pragma once

#include "compiler/calibration/TextRun.h"

namespace grok::calibration {

/// A text scored by one artifact.
struct Perplexity {
  int64_t tokens = 0;
  double meanNll = 0; // nats of a token

  double perplexity() const;
};

/// A text scored by an artifact and a reference, token by token.
struct Comparison {
  Perplexity chosen, reference;
  double nllDifference = 0;    // chosen less reference, nats of a token
  double nllStandardError = 0; // of the difference, from one value per window
  double divergence = 0;       // mean KL divergence from the reference, nats
  double agreement = 0;        // share of tokens with the same most likely next token
};

/// All targets of the slice count.
Result<Perplexity> measurePerplexity(const std::string &artifact, const TextSlice &slice,
                                     int threads);

/// Both artifacts run side by side, so that no logits are kept.
Result<Comparison> compareArtifacts(const std::string &artifact, const std::string &reference,
                                    const TextSlice &slice, int threads);

} // namespace grok::calibration
