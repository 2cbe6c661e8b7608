// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ends streamed text at the first of some texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace grok::runtime {

/// Passes text through up to the first stop text, which is left out. Holds back
/// what may be the beginning of one, so that no part of it is ever shown.
class StopText {
public:
  /// `stops` are not empty strings; none at all passes everything.
  explicit StopText(std::vector<std::string> stops) : stops(std::move(stops)) {}

  /// What can be shown after `text` has come. Nothing once a stop is found.
  std::string push(std::string_view text);
  /// What was held back, at the end of the text.
  std::string finish();
  bool isFound() const { return found; }

private:
  std::vector<std::string> stops;
  std::string held;
  bool found = false;
};

} // namespace grok::runtime
