// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A picture that stands inside an HTML page.
#pragma once

#include <string>
#include <string_view>

namespace grok::report {

/// Text as HTML shows it: markup characters as entities, control characters gone.
std::string escape(std::string_view text);

/// Shapes in the order in which they are added. Lengths are in pixels from the
/// upper left corner; `style` is a CSS class.
class Svg {
public:
  /// `label` says to those who cannot see it what the picture shows.
  Svg(double width, double height, std::string_view label);

  /// A box; `tip` appears under the pointer.
  void box(double x, double y, double width, double height, std::string_view style,
           std::string_view tip);
  void circle(double x, double y, double radius, std::string_view style, std::string_view tip);
  void line(double x1, double y1, double x2, double y2, std::string_view style);
  /// `anchor` is start, middle or end.
  void write(double x, double y, std::string_view text, std::string_view anchor = "start");

  std::string take() const { return body + "</svg>\n"; }

private:
  std::string body;
};

} // namespace grok::report
