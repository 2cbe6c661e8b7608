// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Matrices of a checkpoint, one expert at a time.
#include "compiler/quantization/Encoder.h"

namespace grok::quantization {

MatrixSource matrixOf(const checkpoint::TensorInfo &tensor, const checkpoint::TensorData &data,
                      int64_t expert) {
  const bool stacked = tensor.shape.size() == 3;
  const size_t experts = stacked ? tensor.shape.front() : 1;
  const size_t weight = data.weight().size() / experts, scales = data.scales().size() / experts;
  return {&tensor, expert, data.weight().subspan(expert * weight, weight),
          data.scales().subspan(expert * scales, scales)};
}

} // namespace grok::quantization
