// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/ShardingPictures.h"

#include "compiler/report/Axis.h"
#include "compiler/report/NumberText.h"
#include "compiler/report/Svg.h"
#include "passes/sharding/search/StageTimes.h"

#include <array>
#include <cmath>

namespace grok::report {

using planning::SearchDocument;
using search::Memory;
using search::Plan;

/// In the order of Memory's fields.
static const std::array<std::pair<const char *, const char *>, 4> memoryParts = {
    {{"t0", "weights"}, {"t1", "keys and values"}, {"t2", "activations"}, {"t3", "communicator"}}};

Legend legendOfMemory() {
  Legend legend;
  for (const auto &[style, name] : memoryParts)
    legend.emplace_back(style, name);
  legend.emplace_back("free", "free");
  return legend;
}

Legend legendOfTimes() {
  Legend legend;
  for (size_t i = 0; i < search::numTerms; ++i)
    legend.emplace_back("t" + std::to_string(i), search::nameOf(static_cast<search::Term>(i)));
  return legend;
}

/// "t1 e0 p2 d0": only the axes that are split.
static std::string placeOf(const search::Sharding &sharding, int64_t rank) {
  std::string text;
  const std::array<std::pair<const char *, int64_t>, 4> axes = {
      {{"tp", sharding.tp}, {"ep", sharding.ep}, {"pp", sharding.pp}, {"dp", sharding.dp}}};
  for (const auto &[name, size] : axes) {
    if (size > 1)
      text += (text.empty() ? "" : " ") + std::string(name) + " " + std::to_string(rank % size);
    rank /= size;
  }
  return text.empty() ? "all" : text;
}

/// A bar of the memory of one rank; free space stays white.
static void drawMemory(Svg &svg, double x, double y, double width, const Memory &memory,
                       double available) {
  const std::array<double, 4> bytes = {memory.weights, memory.cache, memory.arena,
                                       memory.communicator};
  svg.box(x, y, width, 14, "free",
          bytesText(int64_t(available - memory.total())) + " free of " +
              bytesText(int64_t(available)));
  for (size_t i = 0; i < bytes.size(); ++i) {
    const double part = width * bytes[i] / available;
    svg.box(x, y, part, 14, memoryParts[i].first,
            std::string(memoryParts[i].second) + " " + bytesText(int64_t(bytes[i])));
    x += part;
  }
}

std::string drawDevices(const SearchDocument &document) {
  static constexpr double width = 108, height = 66, gap = 8, label = 64;
  static constexpr int64_t across = 8, mostNodes = 8;
  const search::Machine &machine = document.machine;
  const Plan &plan = document.certificate.ranked.plans.front();
  const search::CostModel costs(document.model, machine, document.workload);
  const std::vector<Memory> stages =
      memoryOfStages(measureStages(costs, plan.sharding, plan.format), plan.sharding.stageLayers);

  const int64_t perNode = machine.devicesPerNode;
  const int64_t nodes = std::min(machine.nodes, mostNodes);
  const int64_t rows = (perNode + across - 1) / across;
  const double nodeHeight = double(rows) * (height + gap) + gap;
  Svg svg(label + double(std::min(across, perNode)) * (width + gap) + gap,
          double(nodes) * (nodeHeight + gap), "Devices and their memory");
  for (int64_t device = 0; device < nodes * perNode; ++device) {
    const int64_t inNode = device % perNode;
    const int64_t node = device / perNode, row = inNode / across;
    const double x = label + double(inNode % across) * (width + gap);
    const double y = double(node) * (nodeHeight + gap) + double(row) * (height + gap) + gap;
    if (inNode == 0)
      svg.write(0, y + height / 2, "node " + std::to_string(node));
    const bool isUsed = device < plan.sharding.ranks();
    svg.box(x, y, width, height, isUsed ? "device" : "free",
            isUsed ? "rank " + std::to_string(device) : "not used");
    svg.write(x + 6, y + 16, isUsed ? "rank " + std::to_string(device) : "not used");
    if (!isUsed)
      continue;
    const int64_t stage = device / (plan.sharding.tp * plan.sharding.ep) % plan.sharding.pp;
    svg.write(x + 6, y + 32, placeOf(plan.sharding, device));
    drawMemory(svg, x + 6, y + 42, width - 12, stages[size_t(stage)], plan.availableBytes);
  }
  return svg.take();
}

std::string drawTimes(const std::vector<Plan> &plans) {
  static constexpr double left = 190, rowHeight = 26, widest = 480;
  double most = 0;
  for (const Plan &plan : plans)
    most = std::max(most, plan.tokenSeconds);
  Svg svg(left + widest + 90, rowHeight * double(plans.size()) + 10, "Time of a token by term");
  for (size_t row = 0; row < plans.size(); ++row) {
    const Plan &plan = plans[row];
    const double y = rowHeight * double(row) + 4;
    double x = left;
    svg.write(left - 8, y + 14, plan.sharding.text() + ", " + plan.format.name, "end");
    for (size_t i = 0; i < search::numTerms; ++i) {
      const double part = widest * plan.token.terms[i] / most;
      if (part > 0)
        svg.box(x, y, part, rowHeight - 8, "t" + std::to_string(i),
                std::string(search::nameOf(static_cast<search::Term>(i))) + " " +
                    fixedText(1e3 * plan.token.terms[i], 3) + " ms");
      x += part;
    }
    svg.write(x + 6, y + 14, fixedText(1e3 * plan.tokenSeconds, 2) + " ms");
  }
  return svg.take();
}

std::vector<PlanPoint> pointsOf(const SearchDocument &document) {
  std::vector<PlanPoint> points;
  search::Workload workload = document.workload;
  workload.goal = search::Goal::latency;
  for (workload.batch = 1; workload.batch <= 256; workload.batch *= 2) {
    const auto ranked =
        searchShardings(document.model, document.machine, workload, document.limits);
    if (ranked)
      for (const Plan &plan : ranked->plans)
        points.push_back({plan.sharding.text(), plan.format.name, workload.batch,
                          1e3 * plan.tokenSeconds, plan.tokensPerSecond});
  }
  for (PlanPoint &point : points)
    point.isFront = std::ranges::none_of(points, [&](const PlanPoint &other) {
      return (other.milliseconds < point.milliseconds &&
              other.tokensPerSecond >= point.tokensPerSecond) ||
             (other.milliseconds <= point.milliseconds &&
              other.tokensPerSecond > point.tokensPerSecond);
    });
  return points;
}

/// Powers of ten along a logarithmic axis.
static void drawTicks(Svg &svg, const Axis &axis, double least, double most, bool isX) {
  const int first = int(std::floor(least)), last = int(std::ceil(most));
  for (int power = first; power <= last; ++power)
    for (double step : {1.0, 2.0, 5.0}) {
      const double value = power + std::log10(step);
      if (value < least || value > most)
        continue;
      const std::string text = fixedText(std::pow(10, value), value < 0 ? 1 : 0);
      if (isX)
        svg.write(axis.at(value), 338, text, "middle");
      else
        svg.write(64, axis.at(value) + 4, text, "end");
    }
}

/// Those of the front are named, on the side where no others are.
static void drawPoint(Svg &svg, const PlanPoint &point, double column, double row) {
  svg.circle(column, row, point.isFront ? 5 : 3, point.isFront ? "own" : "other",
             point.sharding + ", " + point.weights + ", batch " + std::to_string(point.batch) +
                 ": " + fixedText(point.milliseconds, 2) + " ms, " +
                 fixedText(point.tokensPerSecond, 0) + " tokens/s");
  if (!point.isFront)
    return;
  const bool isLeft = column > 220; // room for the name
  svg.write(column + (isLeft ? -8 : 4), row - (isLeft ? 2 : 8),
            point.sharding + " b" + std::to_string(point.batch), isLeft ? "end" : "start");
}

std::string drawPareto(const std::vector<PlanPoint> &points) {
  Axis x(90, 620), y(305, 30);
  double left = 1e300, right = -1e300, low = 1e300, high = -1e300;
  for (const PlanPoint &point : points) {
    const double column = std::log10(point.milliseconds), row = std::log10(point.tokensPerSecond);
    x.include(column);
    y.include(row);
    left = std::min(left, column), right = std::max(right, column);
    low = std::min(low, row), high = std::max(high, row);
  }
  Svg svg(700, 366, "Latency against throughput");
  svg.line(72, 20, 72, 320, "axis");
  svg.line(72, 320, 660, 320, "axis");
  drawTicks(svg, x, left, right, true);
  drawTicks(svg, y, low, high, false);
  svg.write(660, 358, "milliseconds from token to token", "end");
  svg.write(8, 12, "tokens per second of all sequences");
  for (bool isFront : {false, true}) // the front on top
    for (const PlanPoint &point : points)
      if (point.isFront == isFront)
        drawPoint(svg, point, x.at(std::log10(point.milliseconds)),
                  y.at(std::log10(point.tokensPerSecond)));
  return svg.take();
}

} // namespace grok::report
