// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One axis of a plot.
#pragma once

#include <algorithm>

namespace grok::report {

/// A range of numbers along one axis of a plot.
class Axis {
public:
  Axis(double from, double to) : from(from), to(to) {}
  void include(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
  double at(double value) const {
    double span = most > least ? most - least : 1;
    return from + (to - from) * (value - least) / span;
  }
  /// Five values from end to end.
  double tick(int index) const { return least + (most - least) * index / 4; }

private:
  double from, to, least = 1e300, most = -1e300;
};

} // namespace grok::report
