// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The encoder that knows what enters each matrix.
#pragma once

#include "compiler/calibration/Gptq.h"
#include "compiler/calibration/Statistics.h"
#include "compiler/quantization/GroupEncoder.h"

namespace grok::calibration {

struct GptqEncoderOptions {
  GptqOptions rounding;
  /// An expert's own moments count as its tokens, those of all tokens of its
  /// layer as this many.
  double sharedTokens = 1024;
  int threads = 1;
};

/// Four and three bits by GPTQ where there are full moments, by importance where
/// there are mean squares, else by search.
class GptqEncoder final : public quantization::MatrixEncoder {
public:
  /// `statistics` must outlive the encoder.
  GptqEncoder(const Statistics &statistics, const GptqEncoderOptions &options);

  quantization::Result<quantization::EncodedMatrix>
  encode(const quantization::MatrixSource &source,
         const quantization::MatrixFormat &target) const override;
  std::string identity() const override;

private:
  std::vector<double> momentsOf(const InputKey &key, const Moments &own, int64_t block) const;

  const Statistics &statistics;
  GptqEncoderOptions options;
};

/// What an encoding loses on the inputs of the statistics: tr(E^T H E) of its
/// errors, and the same of the weights themselves.
struct Loss {
  double error = 0, whole = 0;

  double relative() const { return whole > 0 ? error / whole : 0; }
};

/// Mean squares alone count inputs as independent of one another; without
/// statistics all inputs count alike.
quantization::Result<Loss> lossOf(const quantization::MatrixSource &source,
                                  const quantization::EncodedMatrix &encoded,
                                  const Statistics &statistics, int threads);

} // namespace grok::calibration
