// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/Svg.h"

#include "compiler/report/NumberText.h"

namespace grok::report {

std::string escape(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '"')
      escaped += "&quot;";
    else if (c == '\'')
      escaped += "&#39;";
    else if (static_cast<unsigned char>(c) >= 0x20)
      escaped += c;
  }
  return escaped;
}

/// ` name="12.5"`.
static std::string attribute(std::string_view name, double value) {
  return " " + std::string(name) + "=\"" + fixedText(value, 1) + "\"";
}

static std::string attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + escape(value) + "\"";
}

/// The rest of a shape that has a tip.
static std::string closeWithTip(std::string_view element, std::string_view tip) {
  return "><title>" + escape(tip) + "</title></" + std::string(element) + ">\n";
}

Svg::Svg(double width, double height, std::string_view label)
    : body("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\"" + attribute("width", width) +
           attribute("height", height) +
           attribute("viewBox", "0 0 " + fixedText(width, 1) + " " + fixedText(height, 1)) +
           attribute("aria-label", label) + ">\n") {}

void Svg::box(double x, double y, double width, double height, std::string_view style,
              std::string_view tip) {
  body += "<rect" + attribute("x", x) + attribute("y", y) + attribute("width", width) +
          attribute("height", height) + attribute("class", style) + closeWithTip("rect", tip);
}

void Svg::circle(double x, double y, double radius, std::string_view style, std::string_view tip) {
  body += "<circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", radius) +
          attribute("class", style) + closeWithTip("circle", tip);
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view style) {
  body += "<line" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) +
          attribute("y2", y2) + attribute("class", style) + "/>\n";
}

void Svg::write(double x, double y, std::string_view text, std::string_view anchor) {
  body += "<text" + attribute("x", x) + attribute("y", y) + attribute("text-anchor", anchor) + ">" +
          escape(text) + "</text>\n";
}

} // namespace grok::report
