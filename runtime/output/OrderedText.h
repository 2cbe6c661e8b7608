// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One output for texts that grow side by side.
#pragma once

#include "runtime/Result.h"
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace grok::runtime {

/// Writes `count` texts one after the other although they are made together:
/// the first unfinished one as it is made, later ones wait for their turn.
class OrderedText {
public:
  using Write = std::function<Result<void>(std::string_view)>;

  OrderedText(size_t count, Write write) : texts(count), write(std::move(write)) {}

  Result<void> append(size_t index, std::string_view text);
  /// No more text for `index`.
  Result<void> finish(size_t index);

private:
  struct Text {
    std::string waiting;
    bool isFinished = false;
  };

  std::vector<Text> texts;
  size_t current = 0; // the text being written
  Write write;
};

} // namespace grok::runtime
