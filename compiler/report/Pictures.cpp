// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/Pictures.h"

#include "compiler/report/Axis.h"
#include "compiler/report/FoldedRows.h"
#include "compiler/report/Svg.h"

#include <algorithm>
#include <array>

namespace grok::report {

using quantization::SelectedItem;

namespace {
/// A colour for what is stored in at most so many bits per weight.
struct BitsClass {
  double most;
  const char *style, *text;
};
} // namespace

/// Between the formats: int3 needs 3.0 to 3.5 bits, int4 4.0 to 4.5, int8 8.0 to
/// 8.5, depending on groups and scales.
static constexpr BitsClass bitsClasses[] = {{3.75, "b3", "3 bits"},
                                            {6, "b4", "4 bits"},
                                            {12, "b8", "8 bits"},
                                            {1e9, "b16", "16 bits and more"}};

static double bitsOf(const SelectedItem &item) {
  return item.elements ? 8.0 * static_cast<double>(item.bytes) / static_cast<double>(item.elements)
                       : 0;
}

static const char *styleOf(double bits) {
  return std::find_if(std::begin(bitsClasses), std::end(bitsClasses) - 1,
                      [&](const BitsClass &next) { return bits <= next.most; })
      ->style;
}

std::vector<std::pair<std::string, std::string>> formatLegend() {
  std::vector<std::pair<std::string, std::string>> legend;
  for (const BitsClass &next : bitsClasses)
    legend.emplace_back(next.style, next.text);
  return legend;
}

static std::string tipOf(const SelectedItem &item) {
  return item.name + ": " + item.format + ", " + fixedText(bitsOf(item), 2) + " bits, " +
         bytesText(item.bytes) + ", predicted loss " + lossText(item.loss);
}

std::string drawFormats(const QuantizationReport &report) {
  static constexpr double left = 84, top = 22, rowHeight = 34, widest = 640;
  static constexpr std::array kinds = {"table", "attention", "gate_up", "down"};
  int64_t layers = 1;
  std::map<std::pair<int64_t, std::string>, std::vector<const SelectedItem *>> cells;
  for (const SelectedItem &item : report.selection.items) {
    layers = std::max(layers, item.layer + 1);
    cells[{item.layer, item.kind}].push_back(&item);
  }
  const double width = std::min(28.0, widest / static_cast<double>(layers));
  Svg svg(left + width * static_cast<double>(layers) + 10, top + rowHeight * kinds.size() + 10,
          "Bits by layer and kind");
  for (int64_t layer = 0; layer < layers; layer += std::max<int64_t>(1, layers / 16))
    svg.write(left + width * (static_cast<double>(layer) + 0.5), top - 7, std::to_string(layer),
              "middle");
  for (size_t row = 0; row < kinds.size(); ++row) {
    double y = top + rowHeight * static_cast<double>(row);
    svg.write(left - 8, y + rowHeight / 2 + 4, kinds[row], "end");
    for (const auto &[key, items] : cells) {
      if (key.second != kinds[row])
        continue;
      double x = left + width * static_cast<double>(std::max<int64_t>(0, key.first));
      double stripe = (rowHeight - 4) / static_cast<double>(items.size());
      for (size_t at = 0; at < items.size(); ++at)
        svg.box(x, y + stripe * static_cast<double>(at), std::max(1.0, width - 1), stripe,
                styleOf(bitsOf(*items[at])), tipOf(*items[at]));
    }
  }
  return svg.take();
}

std::string drawBytes(const QuantizationReport &report) {
  static constexpr double left = 84, rowHeight = 26, widest = 520;
  const std::vector<Alternative> all = alternativesOf(report);
  int64_t most = 1;
  for (const Alternative &other : all)
    most = std::max(most, other.bytes);
  Svg svg(left + widest + 150, rowHeight * static_cast<double>(all.size()) + 10,
          "Bytes of the choice and of flat formats");
  for (size_t row = 0; row < all.size(); ++row) {
    const Alternative &other = all[row];
    double y = rowHeight * static_cast<double>(row) + 4;
    double width = widest * static_cast<double>(other.bytes) / static_cast<double>(most);
    std::string text = bytesText(other.bytes) + ", " + fixedText(other.bits, 2) + " bits";
    svg.write(left - 8, y + 14, other.name, "end");
    svg.box(left, y, width, rowHeight - 8, row == 0 ? "own" : styleOf(other.bits), text);
    svg.write(left + width + 6, y + 14, text);
  }
  return svg.take();
}

static void drawAxes(Svg &svg, const Axis &x, const Axis &y, std::string_view name) {
  svg.line(60, 20, 60, 300, "axis");
  svg.line(60, 300, 640, 300, "axis");
  for (int tick = 0; tick <= 4; ++tick) {
    svg.write(x.at(x.tick(tick)), 318, fixedText(x.tick(tick), 1), "middle");
    svg.write(54, y.at(y.tick(tick)) + 4, fixedText(y.tick(tick), 3), "end");
  }
  svg.write(640, 336, "bits per weight", "end");
  svg.write(8, 12, name);
}

std::string drawQuality(const QuantizationReport &report) {
  const std::vector<Alternative> all = alternativesOf(report);
  const bool hasPerplexity = report.stored.has_value();
  auto predictedOf = [&](const Alternative &other) {
    return hasPerplexity ? *other.predictedPerplexity : other.loss;
  };
  Axis x(80, 620), y(290, 30);
  for (const Alternative &other : all) {
    x.include(other.bits);
    y.include(predictedOf(other));
    if (hasPerplexity && other.perplexity)
      y.include(*other.perplexity);
  }
  const char *name = hasPerplexity ? "perplexity" : "predicted loss, nats";
  Svg svg(660, 344, std::string("Bits against ") + name);
  drawAxes(svg, x, y, name);
  for (const Alternative &other : all) {
    double column = x.at(other.bits), row = y.at(predictedOf(other));
    const char *style = other.name == "chosen" ? "own" : "other";
    const bool isMeasured = hasPerplexity && other.perplexity;
    if (isMeasured)
      svg.line(column, row, column, y.at(*other.perplexity), "gap");
    svg.circle(column, row, 5, std::string(style) + " predicted",
               other.name + ": predicted " + fixedText(predictedOf(other), 4));
    if (isMeasured) // smaller, so that both show where they agree
      svg.circle(column, y.at(*other.perplexity), 3.5, style,
                 other.name + ": measured " + fixedText(*other.perplexity, 4));
    bool isRight = column > x.at(x.tick(2));
    svg.write(column + (isRight ? -8 : 8), row - 6, other.name, isRight ? "end" : "start");
  }
  return svg.take();
}

} // namespace grok::report
