// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/Page.h"

#include "compiler/report/Svg.h"

namespace grok::report {

static constexpr std::string_view style = R"(
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
       color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; }
th, td { padding: .2em .8em .2em 0; text-align: left; border-bottom: 1px solid #ddd; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.b3 { fill: #d7642c; } .b4 { fill: #eba937; } .b8 { fill: #4a90c2; } .b16 { fill: #7a7a8c; }
.own { fill: #2b8a4b; stroke: #2b8a4b; } .other { fill: #666; stroke: #666; }
.predicted { fill: #fff; stroke-width: 2; } .axis { stroke: #888; }
.t0 { fill: #4a90c2; } .t1 { fill: #2b8a4b; } .t2 { fill: #9aa7b0; } .t3 { fill: #7a5aa8; }
.t4 { fill: #d7642c; } .t5 { fill: #b03a5b; } .t6 { fill: #eba937; } .t7 { fill: #c9c9c9; }
.device { fill: #f4f6f8; stroke: #8895a0; } .free { fill: #fff; stroke: #bbb; }
.front { fill: none; stroke: #2b8a4b; stroke-width: 2; }
.gap { stroke: #888; stroke-dasharray: 3 3; }
.key { display: inline-block; margin-right: 1.2em; }
.key svg { vertical-align: -2px; margin-right: .3em; }
)";

std::string paragraph(const std::string &text) { return "<p>" + escape(text) + "</p>\n"; }
std::string heading(const std::string &text) { return "<h2>" + escape(text) + "</h2>\n"; }

std::string tableRow(const char *cell, const std::vector<std::string> &cells, size_t texts) {
  std::string row = "<tr>";
  for (size_t column = 0; column < cells.size(); ++column)
    row += std::string("<") + cell + (column < texts ? ">" : " class=\"n\">") +
           escape(cells[column]) + "</" + cell + ">";
  return row + "</tr>\n";
}

std::string legendOf(const std::vector<std::pair<std::string, std::string>> &entries) {
  std::string legend = "<p>";
  for (const auto &[cssClass, text] : entries) {
    Svg key(12, 12, text);
    key.box(0, 0, 12, 12, cssClass, text);
    legend += "<span class=\"key\">" + key.take() + escape(text) + "</span>";
  }
  return legend + "</p>\n";
}

std::string pageOf(const std::string &title, const std::string &body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" +
         escape(title) + "</title>\n<style>" + std::string(style) +
         "</style>\n</head>\n<body>\n<h1>" + escape(title) + "</h1>\n" + body +
         "</body>\n</html>\n";
}

} // namespace grok::report
