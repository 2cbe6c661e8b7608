// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a calibration text shows of the inputs of a model's matrices.
#pragma once

#include "compiler/calibration/Moments.h"

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace grok::calibration {

/// A vector that enters one or more matrices of a layer.
struct InputKey {
  enum class Kind {
    attention, // of query, key and value
    output,    // of the attention's output projection
    expert,    // of an expert's gate and up; expert -1: of all tokens, weighted alike
    down       // of an expert's down projection
  };

  int64_t layer = 0;
  Kind kind = Kind::attention;
  int64_t expert = -1; // -1 for attention and output

  auto operator<=>(const InputKey &) const = default;
};

/// The input of a parameter, or nothing if it is no matrix of a layer (or a
/// router). `expert` counts within the parameter.
std::optional<InputKey> inputOf(std::string_view parameter, int64_t expert);
/// "layer3.down.expert5".
std::string nameOf(const InputKey &key);

/// Moments of every input that was asked for. A token weighs 1, in an expert's
/// input the square of its gate over the size of the experts' sum, by which the
/// norm behind them divides: what that expert's errors count in the end.
struct Statistics {
  std::map<InputKey, Moments> inputs;
  int64_t tokens = 0;

  const Moments *find(const InputKey &key) const;
  /// Names text, model and weights behind the numbers: 16 hexadecimal digits.
  std::string digest() const;
};

} // namespace grok::calibration
