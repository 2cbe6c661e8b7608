// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// First, worst and verdict.
#include "compiler/verification/Report.h"

#include "gtest/gtest.h"

#include <limits>

using namespace grok::verification;

static Finding finding(const std::string &launch, double share) {
  return {0, launch, "linear", 0, "there", share};
}

TEST(Report, PassesWithoutATrueDifference) {
  Report report;
  report.add(finding("layer0.linear", 0), 8);
  EXPECT_FALSE(report.worst);
  report.add(finding("layer0.linear", 0.9), 8);
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(report.worst->share, 0.9);
}

TEST(Report, KeepsTheFirstAndTheWorst) {
  Report report;
  report.add(finding("a", 0.5), 8);
  report.add(finding("b", 2), 8);
  report.add(finding("c", std::numeric_limits<double>::infinity()), 8);
  report.add(finding("d", 3), 8);
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(report.first->launch, "b");
  EXPECT_EQ(report.worst->launch, "c");
  EXPECT_EQ(report.launches, 4);
  EXPECT_EQ(report.values, 32);
}

TEST(Report, ReadsWell) {
  Report report;
  report.steps = 1;
  report.rows = 2;
  report.add({0, "embed", "embed", -1, "", 0}, 192);
  report.add({0, "layer0.qkv", "qkv", 0, "layer0.q row 1, element 3: compiled 2, reference 1", 4},
             192);
  EXPECT_EQ(textOf(report), "op             launches     values  worst/allowed\n"
                            "embed                 1        192              -\n"
                            "qkv                   1        192        4.0e+00\n"
                            "first difference: layer0.qkv (qkv, layer 0, step 0): layer0.q row 1, "
                            "element 3: compiled 2, reference 1\n"
                            "worst difference: layer0.qkv (qkv, layer 0, step 0): layer0.q row 1, "
                            "element 3: compiled 2, reference 1\n"
                            "not verified: 384 values of 2 launches in 1 steps of 2 rows\n");
}
