// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/WeightTraffic.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <gtest/gtest.h>

namespace grok::runtime {

static uint64_t bytesWhenOpIs(const char *op, const char *packing = "rows") {
  plan::PlanT plan = toy::makePlan();
  plan.kernels[5]->op = op;
  plan.kernels[0]->op = "other";
  plan.layouts[0]->tensors[0]->packing = packing;
  PlanDocument document = parsePlan(toy::fileOf(plan), "toy.plan").value();
  const plan::Plan &root = document.root();
  const plan::Bucket &bucket = *root.programs()->Get(0)->buckets()->Get(0);
  return weightBytesOf(root, *root.layouts()->Get(0), bucket,
                       *bucket.launches()->Get(bucket.launches()->size() - 1));
}

// The table has 20 * 16 floats.
TEST(WeightTraffic, WhatOneRowReads) {
  EXPECT_EQ(bytesWhenOpIs("unembed"), 1280u);
  EXPECT_EQ(bytesWhenOpIs("embed"), 64u) << "one of 20 rows";
  EXPECT_EQ(bytesWhenOpIs("gate_up"), 640u) << "one of 2 experts";
  EXPECT_EQ(bytesWhenOpIs("down_combine"), 640u);
  EXPECT_EQ(bytesWhenOpIs("qkv", "rope"), 20u) << "one of 64 positions";
}

TEST(WeightTraffic, ProductsOfOneRow) {
  auto products = [](const char *op, const char *numerics) {
    plan::PlanT plan = toy::makePlan();
    plan.numerics = numerics;
    plan.kernels[5]->op = op;
    plan.layouts[0]->tensors[0]->packing = "panel16.k4";
    plan.layouts[0]->tensors[0]->logical_shape = {20, 15};
    PlanDocument document = parsePlan(toy::fileOf(plan), "toy.plan").value();
    const plan::Plan &root = document.root();
    const plan::Bucket &bucket = *root.programs()->Get(0)->buckets()->Get(0);
    return productsOf(root, *root.layouts()->Get(0), bucket,
                      *bucket.launches()->Get(bucket.launches()->size() - 1));
  };
  EXPECT_EQ(products("unembed", "f32").multiplyAdds, 300u);
  EXPECT_EQ(products("gate_up", "f32").multiplyAdds, 150u) << "one of 2 experts";
  EXPECT_EQ(products("embed", "f32").multiplyAdds, 0u);
  EXPECT_FALSE(products("unembed", "fast").onIntegers) << "the table is float32";
}

TEST(WeightTraffic, WholeProgram) {
  PlanDocument document = parsePlan(toy::fileOf(toy::makePlan()), "toy.plan").value();
  const plan::Plan &root = document.root();
  EXPECT_EQ(weightBytesPerToken(root, *root.layouts()->Get(0), *root.programs()->Get(0)),
            64u + 1280u);
}

} // namespace grok::runtime
