// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Encoders that look at one group of rows at a time.
#pragma once

#include "compiler/quantization/Encoder.h"

#include <functional>

namespace grok::quantization {

/// How much each row of a matrix matters, [rows] (the mean square of its input),
/// or empty if unknown. Must stay valid while the matrix is encoded.
using Importance = std::function<std::span<const float>(const MatrixSource &source)>;

/// Int8 as `encodeInt8` does; four and three bits by one decision per group.
class GroupEncoder final : public MatrixEncoder {
public:
  enum class Method {
    nearest, // the largest weight decides
    search   // the least squared error decides
  };

  GroupEncoder(Method method, int threads) : method(method), threads(threads) {}
  /// Searches by weighted error; `name` stands for the weights in `identity`.
  GroupEncoder(Importance importance, std::string name, int threads)
      : method(Method::search), threads(threads), importance(std::move(importance)),
        importanceName(std::move(name)) {}

  Result<EncodedMatrix> encode(const MatrixSource &source,
                               const MatrixFormat &target) const override;
  std::string identity() const override;

private:
  Method method;
  int threads;
  Importance importance;
  std::string importanceName;
};

} // namespace grok::quantization
