// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The page of a sharding search: complete, well formed, nothing to load.
#include "compiler/report/ShardingReport.h"
#include "compiler/report/ShardingPictures.h"
#include "tests/passes/sharding/search/Grok1.h"

#include <gmock/gmock.h>
#include <regex>

using namespace grok;
using testing::HasSubstr;
using testing::Not;

namespace {

planning::SearchDocument searched(int64_t nodes, int64_t perNode) {
  planning::SearchDocument document;
  document.model = search::grok1();
  document.model.name = "grok <1>"; // names come from files
  document.devices = "two";
  document.machine = search::bareMachine(perNode, 3.35e12);
  document.machine.nodes = nodes;
  document.machine.memoryBytes = 85e9;
  document.machine.inside = document.machine.across = {.seconds = 5e-6, .bandwidth = 1e11};
  document.workload.batch = 4;
  document.limits.formats = {*search::weightFormatNamed("int8")};
  document.certificate =
      *search::certify(document.model, document.machine, document.workload, document.limits);
  return document;
}

size_t countOf(const std::string &text, const std::string &part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

/// The first tag that closes another one than was open, or stays open.
std::string firstUnbalanced(const std::string &page) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z0-9]+)([^<>]*)>");
  for (std::sregex_iterator at(page.begin(), page.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2], rest = (*at)[3];
    if (name == "meta" || rest.ends_with("/"))
      continue;
    if ((*at)[1].length() == 0) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return name;
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back();
}

} // namespace

TEST(ShardingReport, IsOneWellFormedPage) {
  const std::string page = report::htmlOf(searched(2, 8));
  EXPECT_EQ(firstUnbalanced(page), "");
  EXPECT_THAT(page, HasSubstr("<title>grok &lt;1&gt; on two for latency: batch 4"));
  for (const char *title : {"Devices", "Plans", "Time of a token", "Latency against throughput",
                            "When another plan wins"})
    EXPECT_THAT(page, HasSubstr("<h2>" + std::string(title) + "</h2>"));
  for (const char *loaded : {"<script", "src=", "href=", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(loaded)));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("inf\"")));
}

TEST(ShardingReport, DrawsEveryDeviceWithItsMemory) {
  const planning::SearchDocument document = searched(2, 8);
  const std::string picture = report::drawDevices(document);
  const int64_t ranks = document.certificate.ranked.plans.front().sharding.ranks();
  EXPECT_EQ(countOf(picture, "class=\"device\""), size_t(ranks));
  EXPECT_EQ(countOf(picture, "<title>weights "), size_t(ranks));
  EXPECT_EQ(countOf(picture, ">not used</text>"), size_t(16 - ranks));
  EXPECT_THAT(picture, HasSubstr(">node 1</text>"));
}

TEST(ShardingReport, LargeMachinesAreCutToNodesThatCanBeSeen) {
  const std::string picture = report::drawDevices(searched(64, 8));
  EXPECT_EQ(countOf(picture, ">node "), 8U);
}

TEST(ShardingReport, TimesAddUp) {
  const planning::SearchDocument document = searched(1, 8);
  const std::vector<search::Plan> &plans = document.certificate.ranked.plans;
  const std::string picture = report::drawTimes(plans);
  // The widths of a row's parts are in proportion to its terms: the slowest is 480.
  const std::regex box("<rect x=\"([0-9.]+)\" y=\"([0-9.]+)\" width=\"([0-9.]+)\"");
  std::map<double, double> widths; // by row
  for (std::sregex_iterator at(picture.begin(), picture.end(), box), end; at != end; ++at)
    widths[std::stod((*at)[2])] += std::stod((*at)[3]);
  ASSERT_EQ(widths.size(), plans.size());
  double widest = 0;
  for (const auto &[row, width] : widths)
    widest = std::max(widest, width);
  EXPECT_NEAR(widest, 480, 0.05 * search::numTerms) << "one digit after the point each";
}

TEST(ShardingReport, TheFrontHoldsWhatNothingBeats) {
  const std::vector<report::PlanPoint> points = report::pointsOf(searched(1, 8));
  size_t front = 0;
  for (const report::PlanPoint &point : points) {
    front += point.isFront ? 1 : 0;
    const bool isBeaten = std::ranges::any_of(points, [&](const report::PlanPoint &other) {
      return other.milliseconds < point.milliseconds &&
             other.tokensPerSecond > point.tokensPerSecond;
    });
    EXPECT_FALSE(isBeaten && point.isFront) << point.sharding << " b" << point.batch;
  }
  EXPECT_GT(front, 3U) << "larger batches are slower and more";
}
