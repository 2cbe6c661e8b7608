// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/ShardingReport.h"

#include "compiler/planning/Explanation.h"
#include "compiler/report/NumberText.h"
#include "compiler/report/Page.h"
#include "compiler/report/ShardingPictures.h"
#include "compiler/report/Svg.h"

namespace grok::report {

using planning::SearchDocument;
using search::Plan;

static std::string planTable(const std::vector<Plan> &plans) {
  std::string table = "<table>\n" + tableRow("th",
                                             {"sharding", "weights", "layers of stages", "ranks",
                                              "a rank", "ms a token", "tokens/s", "first token, ms",
                                              "with prompts, tokens/s", "bound by"},
                                             3);
  for (const Plan &plan : plans) {
    std::string layers;
    for (int64_t count : plan.sharding.stageLayers)
      layers += (layers.empty() ? "" : " ") + std::to_string(count);
    table += tableRow(
        "td",
        {plan.sharding.text(), plan.format.name, layers, std::to_string(plan.sharding.ranks()),
         bytesText(int64_t(plan.memory.total())), fixedText(1e3 * plan.tokenSeconds, 2),
         fixedText(plan.tokensPerSecond, 1), fixedText(1e3 * plan.firstTokenSeconds, 1),
         fixedText(plan.servedPerSecond, 1), plan.boundBy()},
        3);
  }
  return table + "</table>\n";
}

static std::string frontTable(const std::vector<PlanPoint> &points) {
  std::string table =
      "<table>\n" + tableRow("th", {"sharding", "weights", "batch", "ms a token", "tokens/s"}, 2);
  for (const PlanPoint &point : points)
    if (point.isFront)
      table += tableRow("td",
                        {point.sharding, point.weights, std::to_string(point.batch),
                         fixedText(point.milliseconds, 2), fixedText(point.tokensPerSecond, 0)},
                        2);
  return table + "</table>\n";
}

static std::string flipList(const SearchDocument &document) {
  const std::vector<std::string> flips = explainFlips(document);
  if (flips.empty())
    return paragraph("No other value of one number of the machine changes the choice.");
  std::string list = "<ul>\n";
  for (const std::string &line : flips)
    list += "<li>" + escape(line) + "</li>\n";
  return list + "</ul>\n";
}

std::string htmlOf(const SearchDocument &document) {
  const std::vector<Plan> &plans = document.certificate.ranked.plans;
  const std::vector<PlanPoint> points = pointsOf(document);
  std::string body = paragraph(explainLead(document));
  body += heading("Devices") + drawDevices(document) + legendOf(legendOfMemory());
  body += heading("Plans") + planTable(plans);
  body += heading("Time of a token") + drawTimes(plans) + legendOf(legendOfTimes());
  body += heading("Latency against throughput") + drawPareto(points);
  body += paragraph("The best plans at batches of 1, 2, 4 to 256; green: no other is both sooner "
                    "and faster.");
  body += frontTable(points);
  body += heading("When another plan wins") + flipList(document);
  body += paragraph(explainProof(document));
  return pageOf(headlineOf(document), body);
}

} // namespace grok::report
