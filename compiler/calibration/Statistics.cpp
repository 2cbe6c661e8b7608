// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Names of inputs.
#include "compiler/calibration/Statistics.h"

#include "compiler/calibration/Vectors.h"

#include <charconv>
#include <cstdio>

namespace grok::calibration {

using Kind = InputKey::Kind;

static constexpr std::pair<std::string_view, Kind> matrices[] = {
    {"multi_head_attention/query/w", Kind::attention},
    {"multi_head_attention/key/w", Kind::attention},
    {"multi_head_attention/value/w", Kind::attention},
    {"multi_head_attention/linear/w", Kind::output},
    {"moe/linear/w", Kind::expert},
    {"moe/linear_v/w", Kind::expert},
    {"moe/linear_1/w", Kind::down},
};

std::optional<InputKey> inputOf(std::string_view parameter, int64_t expert) {
  constexpr std::string_view prefix = "transformer/decoder_layer_";
  if (!parameter.starts_with(prefix))
    return std::nullopt;
  parameter.remove_prefix(prefix.size());
  InputKey key;
  const size_t slash = parameter.find('/');
  const std::string number(parameter.substr(0, slash));
  const auto [rest, error] =
      std::from_chars(number.c_str(), number.c_str() + number.size(), key.layer);
  if (slash == parameter.npos || error != std::errc() || *rest != '\0')
    return std::nullopt;
  const std::string_view name = parameter.substr(slash + 1);
  for (auto [matrix, kind] : matrices)
    if (name == matrix) {
      key.kind = kind;
      key.expert = kind == Kind::expert || kind == Kind::down ? expert : -1;
      return key;
    }
  return std::nullopt;
}

std::string nameOf(const InputKey &key) {
  static constexpr const char *kinds[] = {"attention", "output", "expert", "down"};
  std::string name = "layer" + std::to_string(key.layer) + "." + kinds[static_cast<int>(key.kind)];
  return key.expert < 0 ? name : name + ".expert" + std::to_string(key.expert);
}

const Moments *Statistics::find(const InputKey &key) const {
  auto found = inputs.find(key);
  return found == inputs.end() ? nullptr : &found->second;
}

std::string Statistics::digest() const {
  uint64_t hash = hashStart;
  for (const auto &[key, moments] : inputs) {
    const std::string name = nameOf(key);
    hash = moments.hash(hashBytes(hash, std::as_bytes(std::span(name))));
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

} // namespace grok::calibration
