// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rounding that lets later weights make up for the errors of earlier ones.
//
// E. Frantar et al., "GPTQ" (arXiv 2210.17323), in the form of J. Chee et al.,
// "QuIP" (arXiv 2307.13304), section 3: the same codes without an inverse.
#pragma once

#include "compiler/quantization/Format.h"

#include <cstdint>
#include <span>
#include <vector>

namespace grok::calibration {

struct GptqOptions {
  double damping = 0.01; // added to the diagonal, in units of its mean; more if needed
  /// After the rounding: times that multipliers and then codes are refitted, each
  /// to the best value while the others stay.
  int sweeps = 2;
};

/// Second moments of some rows' inputs, made ready for any number of columns.
class RoundingPlan {
public:
  /// `moments` is symmetric, [rows][rows], of mean squares along the diagonal. An
  /// input that was always 0 counts like the mean and is rounded to nearest.
  RoundingPlan(std::vector<double> moments, const GptqOptions &options, int threads);

  int64_t rows() const { return static_cast<int64_t>(order.size()); }

  /// One block of 16 columns, all arrays [rows or groups][16]:
  /// the matrix in units of the int8 grid and the size of such a unit in, codes
  /// and multipliers out.
  struct Block {
    const float *grid;  // whole numbers
    const float *scale; // positive
    int8_t *codes;
    int8_t *multipliers; // [rows / groupRows]
    int64_t groupRows;
  };
  void encode(quantization::MatrixFormat::Kind kind, const Block &block) const;

private:
  bool factor(double damping, int threads);

  GptqOptions options;
  std::vector<int32_t> order;    // rows in the order in which they are rounded
  std::vector<float> moments;    // [rows][rows] in that order, damped, mean diagonal 1
  std::vector<float> feedback;   // [rows][rows], lower triangle: of an earlier row's error
  std::vector<float> importance; // diagonal in the order of the matrix, not damped
};

} // namespace grok::calibration
