// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The report of a small selection, in each of its three forms.
#include "compiler/report/FoldedRows.h"
#include "compiler/report/Svg.h"

#include "nlohmann/json.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace grok::report;
using grok::quantization::Selection;

/// Three layers of two experts; layer 1's down differs by expert.
static QuantizationReport makeReport() {
  QuantizationReport report;
  report.model = "tiny";
  report.encoder = "search";
  Selection &selection = report.selection;
  selection.weights = "auto";
  selection.items = {
      {"table", "table", "int8", -1, -1, 1000, 1020, 0.001},
      {"layer0.down", "down", "int4g32", 0, -1, 8000, 4250, 0.002},
      {"layer1.down.expert0", "down", "int4g32", 1, 0, 4000, 2125, 0.003},
      {"layer1.down.expert1", "down", "int3g32", 1, 1, 4000, 1625, 0.004},
      {"layer2.down", "down", "int4g32", 2, -1, 8000, 4250, 0.00007},
  };
  selection.flat = {{"int8", 26000, 8.3, 0}, {"int4g32", 14000, 4.5, 0.008}};
  selection.elements = 25000;
  selection.matrixBytes = 13270;
  selection.bytes = 13300;
  selection.budget = 13500;
  selection.loss = 0.01007;
  return report;
}

static QuantizationReport makeMeasuredReport() {
  QuantizationReport report = makeReport();
  report.selection.isMeasured = true;
  report.text = "held-out.txt";
  report.tokens = 4096;
  report.stored = Measurement{std::log(10), {}, {}, {}};
  report.chosen = {std::log(10.2), 0.001, 0.0125, 0.975};
  report.flat["int4g32"].loss = std::log(10.3);
  report.itemLosses = {{"table", 0.0015}, {"layer0.down", 0.0025}};
  report.itemErrors = {{"layer0.down", 0.0069}};
  return report;
}

TEST(FoldedRows, PutsNumbersIntoRanges) {
  EXPECT_EQ(rangesOf({}), "");
  EXPECT_EQ(rangesOf({4}), "4");
  EXPECT_EQ(rangesOf({0, 1, 2, 5, 7, 8}), "0-2, 5, 7-8");
}

TEST(FoldedRows, FoldsLayersAndNamesSingleExperts) {
  std::vector<FoldedRow> rows = foldItems(makeMeasuredReport());
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].layers, "-");
  EXPECT_EQ(rows[0].measured, 0.0015);
  EXPECT_EQ(rows[1].format, "int4g32");
  EXPECT_EQ(rows[1].layers, "0, 2, 1 (expert 0)");
  EXPECT_EQ(rows[1].bytes, 4250 + 2125 + 4250);
  EXPECT_EQ(rows[1].bits(), 8.0 * rows[1].bytes / 20000);
  // Two of its three items were not measured.
  EXPECT_EQ(rows[1].measured, std::nullopt);
  EXPECT_EQ(rows[2].layers, "1 (expert 1)");
}

TEST(FoldedRows, CountsExpertsOfManyLayers) {
  QuantizationReport report;
  for (int64_t layer = 0; layer < 6; ++layer)
    for (int64_t expert = 0; expert < 2; ++expert) {
      // Layer 5 is whole again.
      const char *format = layer < 5 && expert == 0 ? "int3g32" : "int4g32";
      report.selection.items.push_back({"", "down", format, layer, expert, 1, 1, 0});
    }
  std::vector<FoldedRow> rows = foldItems(report);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].layers, "5 experts of 5 layers");
  EXPECT_EQ(rows[1].layers, "5, 5 experts of 5 layers");
}

TEST(FoldedRows, WritesNumbersForPeople) {
  EXPECT_EQ(bytesText(999), "999 B");
  EXPECT_EQ(bytesText(999'949), "999.9 kB");
  EXPECT_EQ(bytesText(999'951), "1.0 MB");
  EXPECT_EQ(bytesText(314'000'000'000), "314.0 GB");
  EXPECT_EQ(lossText(0), "0");
  EXPECT_EQ(lossText(0.01234), "0.0123");
  EXPECT_EQ(lossText(5.4e-5), "5.4e-05");
}

TEST(FoldedRows, SaysHowGoodTheChoiceIs) {
  QuantizationReport report = makeReport();
  EXPECT_EQ(proofOf(report), "proved optimal for the predicted losses; losses from sensitivities "
                             "by rule, not measured on this model");
  report.selection.gap = 0.0002;
  report.selection.isMeasured = true;
  EXPECT_EQ(proofOf(report), "proved within 2.0e-04 nats of the best for the predicted losses; "
                             "losses from sensitivities measured on this model");
  report.selection.weights = "int4g32";
  EXPECT_EQ(proofOf(report), "not optimised; losses from sensitivities measured on this model");
}

TEST(ReportText, ReadsWell) {
  EXPECT_EQ(textOf(makeMeasuredReport()),
            "tiny: auto, 4.25 bits per weight, 13.3 kB of at most 13.5 kB\n"
            "codes: search\n"
            "choice: proved optimal for the predicted losses; losses from sensitivities measured "
            "on this model\n"
            "\n"
            "matrices  layers              format   bits    bytes  predicted  measured\n"
            "table     -                   int8     8.16   1.0 kB     0.0010    0.0015\n"
            "down      0, 2, 1 (expert 0)  int4g32  4.25  10.6 kB     0.0051         -\n"
            "down      1 (expert 1)        int3g32  3.25   1.6 kB     0.0040         -\n"
            "\n"
            "model    bits    bytes  predicted  perplexity      +-  divergence  same top\n"
            "chosen   4.25  13.3 kB     0.0101     10.2000  0.0102     0.01250    97.5 %\n"
            "int8     8.30  26.0 kB          0           -       -           -         -\n"
            "int4g32  4.50  14.0 kB     0.0080     10.3000       -           -         -\n"
            "\n"
            "perplexity of the choice: predicted 10.1012, measured 10.2000 on 4096 tokens of "
            "held-out.txt\n");
}

TEST(ReportText, SaysNothingOfWhatWasNotMeasured) {
  EXPECT_EQ(textOf(makeReport()).find("perplexity of"), std::string::npos);
}

TEST(ReportJson, HoldsEverything) {
  auto json = nlohmann::json::parse(jsonOf(makeMeasuredReport()));
  EXPECT_EQ(json["model"], "tiny");
  EXPECT_EQ(json["budget_bytes"], 13500);
  EXPECT_EQ(json["gap"], 0.0);
  EXPECT_EQ(json["sensitivities"], "measured");
  EXPECT_EQ(json["models"].size(), 3u);
  EXPECT_EQ(json["models"][0]["name"], "chosen");
  EXPECT_NEAR(json["models"][0]["perplexity"], 10.2, 1e-9);
  EXPECT_TRUE(json["models"][1]["measured"].is_null());
  EXPECT_EQ(json["models"][0]["measured"]["agreement"], 0.975);
  EXPECT_EQ(json["items"].size(), 5u);
  EXPECT_EQ(json["items"][1]["relative_error"], 0.0069);
  EXPECT_EQ(json["items"][2]["expert"], 0);
  EXPECT_FALSE(json["items"][0].contains("layer"));
  EXPECT_TRUE(json["items"][4]["measured_loss"].is_null());
}

TEST(ReportJson, TakesNamesOfAnyBytes) {
  QuantizationReport report = makeReport();
  report.model = "\xff\"\\";
  EXPECT_EQ(nlohmann::json::parse(jsonOf(report))["model"], "\xef\xbf\xbd\"\\");
}

/// What is wrong with the tags of a page: every element must be closed, in order,
/// and every attribute quoted. Empty if nothing is.
static std::string findFault(const std::string &page) {
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at)) {
    size_t end = page.find('>', at);
    if (end == std::string::npos)
      return "a tag without an end";
    std::string tag = page.substr(at + 1, end - at - 1);
    at = end;
    if (std::count(tag.begin(), tag.end(), '"') % 2 || tag.find('<') != std::string::npos)
      return "a broken tag: " + tag;
    std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.starts_with("!") || tag.ends_with("/") || name == "meta")
      continue;
    if (!tag.starts_with("/")) {
      open.push_back(name);
      continue;
    }
    if (open.empty() || "/" + open.back() != tag)
      return tag + " closes nothing";
    open.pop_back();
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

static int countOf(const std::string &page, const std::string &text) {
  int count = 0;
  for (size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1))
    ++count;
  return count;
}

TEST(ReportHtml, IsWellFormed) {
  EXPECT_EQ(findFault(htmlOf(makeReport())), "");
  EXPECT_EQ(findFault(htmlOf(makeMeasuredReport())), "");
  // The test's own eyes.
  EXPECT_EQ(findFault("<p><b></p>"), "/p closes nothing");
  EXPECT_EQ(findFault("<p a=\"b>"), "a broken tag: p a=\"b");
}

TEST(ReportHtml, DrawsEveryItemAndEveryAlternative) {
  std::string page = htmlOf(makeMeasuredReport());
  for (const char *item : {"table", "layer0.down", "layer1.down.expert0", "layer1.down.expert1"})
    EXPECT_EQ(countOf(page, std::string("<title>") + item + ": "), 1) << item;
  // Five cells, three bars, four keys; two of three alternatives were measured.
  EXPECT_EQ(countOf(page, "<rect"), 5 + 3 + 4);
  EXPECT_EQ(countOf(page, "<circle"), 3 + 2);
  EXPECT_EQ(countOf(page, "class=\"b3\""), 1 + 1);
  EXPECT_EQ(countOf(htmlOf(makeReport()), "<circle"), 3);
}

TEST(ReportHtml, LoadsNothingAndRunsNothing) {
  std::string page = htmlOf(makeMeasuredReport());
  EXPECT_EQ(countOf(page, "http"), countOf(page, "xmlns=\"http://www.w3.org/2000/svg\""));
  for (const char *forbidden : {"<script", "<link", "<img", "src=", "url(", "@import"})
    EXPECT_EQ(countOf(page, forbidden), 0) << forbidden;
}

TEST(ReportHtml, EscapesNames) {
  QuantizationReport report = makeMeasuredReport();
  report.model = report.text = report.encoder = "<script>&\"'\n</script>";
  report.selection.items[0].format = "<b>";
  std::string page = htmlOf(report);
  EXPECT_EQ(countOf(page, "<script"), 0);
  EXPECT_EQ(countOf(page, "<b>"), 0);
  EXPECT_EQ(findFault(page), "");
  EXPECT_EQ(escape("<script>&\"'\n"), "&lt;script&gt;&amp;&quot;&#39;");
}
