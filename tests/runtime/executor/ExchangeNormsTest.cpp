// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which collectives may be one launch with the norm after them.
#include "runtime/executor/ExchangeNorms.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <functional>
#include <gtest/gtest.h>

namespace grok::runtime {

enum { source, target, residual, output, scale, other };
static constexpr int64_t rowFloats = 16, bucketRows = 4;
static constexpr uint64_t bufferBytes = bucketRows * rowFloats * 4;

static std::unique_ptr<plan::BufferT> rowsAt(uint64_t offset, std::vector<int64_t> shape) {
  auto buffer = std::make_unique<plan::BufferT>();
  buffer->kind = plan::BufferKind::arena;
  buffer->offset = offset;
  buffer->bytes = bufferBytes;
  buffer->per_row = true;
  buffer->row_shape = std::move(shape);
  return buffer;
}

static std::unique_ptr<plan::LaunchT> launchOf(int kernel, const std::vector<int> &buffers) {
  auto launch = std::make_unique<plan::LaunchT>();
  launch->kernel = kernel;
  for (int buffer : buffers) {
    launch->operands.push_back(std::make_unique<plan::OperandT>());
    launch->operands.back()->buffer = buffer;
  }
  return launch;
}

// A bucket of two launches of two ranks: parts of a sum, gathered, then added and normed.
static plan::PlanT joinable() {
  plan::PlanT plan = toy::makePlan();
  plan.kernels[0]->op = "residual_norm";
  plan::BucketT &bucket = *plan.programs[0]->buckets[0];
  bucket.max_rows = bucketRows;
  bucket.buffers.clear();
  for (int buffer = source; buffer <= other; ++buffer)
    bucket.buffers.push_back(rowsAt(2 * static_cast<uint64_t>(buffer) * bufferBytes, {rowFloats}));
  bucket.buffers[target]->row_shape = {2, rowFloats};
  bucket.launches.clear();
  bucket.launches.push_back(launchOf(-1, {source, target}));
  bucket.launches[0]->collective = plan::Collective::all_gather;
  bucket.launches.push_back(launchOf(0, {residual, target, scale, scale, output}));
  return plan;
}

/// Of that plan, changed.
static bool isJoined(const std::function<void(plan::PlanT &, plan::BucketT &)> &change) {
  plan::PlanT plan = joinable();
  change(plan, *plan.programs[0]->buckets[0]);
  const std::vector<std::byte> body = toy::bodyOf(plan);
  const auto &read = *flatbuffers::GetRoot<plan::Plan>(body.data());
  return isExchangeOfNorm(read, *read.programs()->Get(0)->buckets()->Get(0), 0);
}

TEST(ExchangeNorms, joinsSumsAndPartsOfSums) {
  EXPECT_TRUE(isJoined([](auto &, auto &) {}));
  EXPECT_TRUE(isJoined([](auto &, plan::BucketT &bucket) {
    bucket.launches[0]->collective = plan::Collective::all_reduce;
    bucket.buffers[target]->row_shape = {rowFloats};
  }));
}

TEST(ExchangeNorms, leavesWhatOthersRead) {
  EXPECT_FALSE(isJoined([](auto &, plan::BucketT &bucket) {
    bucket.launches.push_back(launchOf(1, {target, other}));
  }));
  EXPECT_FALSE(isJoined(
      [](auto &, plan::BucketT &bucket) { bucket.launches[1]->operands[0]->buffer = target; }));
}

TEST(ExchangeNorms, leavesOtherLaunches) {
  EXPECT_FALSE(isJoined([](auto &, plan::BucketT &bucket) { bucket.launches.pop_back(); }));
  EXPECT_FALSE(isJoined([](plan::PlanT &plan, auto &) { plan.kernels[0]->op = "rms_norm"; }));
  EXPECT_FALSE(isJoined(
      [](auto &, plan::BucketT &bucket) { bucket.launches[1]->operands[1]->buffer = other; }));
  EXPECT_FALSE(isJoined([](auto &, plan::BucketT &bucket) {
    bucket.launches[0]->collective = plan::Collective::send;
  }));
  EXPECT_FALSE(isJoined([](auto &, plan::BucketT &bucket) {
    bucket.buffers[source]->kind = plan::BufferKind::logits;
  }));
  EXPECT_FALSE(isJoined(
      [](auto &, plan::BucketT &bucket) { bucket.buffers[source]->row_shape = {2 * rowFloats}; }));
}

// 16384 words are one piece of a message.
TEST(ExchangeNorms, takesAPiece) {
  const auto ofRows = [](int32_t rows) {
    return isJoined([&](auto &, plan::BucketT &bucket) { bucket.max_rows = rows; });
  };
  EXPECT_TRUE(ofRows(1024));
  EXPECT_FALSE(ofRows(1025));
}

// The source is read while the output is written.
TEST(ExchangeNorms, outputsTakeTheSourcesPlaceRowByRow) {
  const auto withOutputAt = [](uint64_t offset) {
    return isJoined(
        [&](auto &, plan::BucketT &bucket) { bucket.buffers[output]->offset = offset; });
  };
  EXPECT_TRUE(withOutputAt(0));
  EXPECT_FALSE(withOutputAt(bufferBytes / 2));
  EXPECT_TRUE(withOutputAt(bufferBytes));
}

} // namespace grok::runtime
