// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Buckets, buffers and launches of a program.
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <string>
#include <vector>

namespace grok::runtime {

static constexpr uint64_t maxArenaBytes = uint64_t(1) << 40;

static Result<void> checkShape(const plan::Buffer &buffer, uint64_t maxRows,
                               const std::string &where) {
  uint64_t rows = buffer.per_row() ? maxRows : 1;
  uint64_t bytes = saturatingMultiply(saturatingMultiply(elementsOf(buffer.row_shape()), rows),
                                      sizeOf(buffer.dtype()));
  if (bytes == 0 || buffer.bytes() < bytes || buffer.bytes() > roundUp(bytes, 64))
    return fail(where, ": ", buffer.bytes(), " bytes, its shape, type and rows need ", bytes);
  const auto *logical = buffer.logical_row_shape();
  if (logical && logical->size() != 0 && elementsOf(logical) > elementsOf(buffer.row_shape()))
    return fail(where, ": the logical shape is larger than the stored one");
  return {};
}

static Result<void> checkBuffer(const plan::Plan &plan, const plan::Bucket &bucket,
                                const plan::Buffer &buffer, uint64_t pageBytes,
                                const std::string &where) {
  auto maxRows = static_cast<uint64_t>(bucket.max_rows());
  if (elementsOf(buffer.row_shape()) == UINT64_MAX ||
      elementsOf(buffer.logical_row_shape()) == UINT64_MAX)
    return fail(where, ": a shape is out of range");
  switch (buffer.kind()) {
  case plan::BufferKind::arena:
    if (buffer.offset() % 64 != 0)
      return fail(where, ": arena offset ", buffer.offset(), " is not a multiple of 64");
    if (saturatingAdd(buffer.offset(), buffer.bytes()) > bucket.arena_bytes())
      return fail(where, ": offset ", buffer.offset(), " + ", buffer.bytes(),
                  " bytes exceed the arena of ", bucket.arena_bytes());
    return checkShape(buffer, maxRows, where);
  case plan::BufferKind::weight: // the tensor is checked with the rank's layout
    return buffer.offset() == 0 ? Result<void>() : fail(where, ": a weight has no offset");
  case plan::BufferKind::kv:
    if (buffer.offset() >= pageBytes || buffer.offset() % plan.page()->layer_bytes() != 0 ||
        buffer.bytes() != plan.page()->layer_bytes())
      return fail(where, ": ", buffer.bytes(), " bytes at ", buffer.offset(),
                  " are not one layer of the page");
    return {};
  case plan::BufferKind::logits: {
    auto vocab = static_cast<uint64_t>(plan.model()->vocab_size());
    auto parts = static_cast<uint64_t>(plan.sharding()->tp());
    uint64_t columns = roundUp((vocab + parts - 1) / parts, 16) * parts;
    if (buffer.dtype() != plan::DType::f32 || !buffer.per_row() ||
        elementsOf(buffer.row_shape()) != columns)
      return fail(where, ": logits must be f32 rows of the vocabulary, each rank's part of it "
                         "rounded up to 16");
    return checkShape(buffer, maxRows, where);
  }
  }
  return fail(where, ": unknown kind");
}

static Result<void> checkBucket(const plan::Plan &plan, const plan::Program &program,
                                const plan::Bucket &bucket, const std::string &where) {
  uint64_t pageBytes =
      saturatingMultiply(plan.page()->layer_bytes(), static_cast<uint64_t>(program.layers()));
  if (bucket.arena_bytes() > maxArenaBytes)
    return fail(where, ": an arena of ", bucket.arena_bytes(), " bytes, at most ", maxArenaBytes);
  for (uint32_t i = 0; i < bucket.buffers()->size(); ++i) {
    const plan::Buffer &buffer = *bucket.buffers()->Get(i);
    std::string entry = where + " buffer " + std::to_string(i);
    if (!isCleanName(buffer.name(), true))
      return fail(entry, ": the name is too long or not printable");
    entry += " '" + std::string(textOf(buffer.name())) + "'";
    if (auto checked = checkBuffer(plan, bucket, buffer, pageBytes, entry); !checked)
      return checked;
  }
  return checkLaunches(plan, program, bucket, where).and_then([&] {
    return checkLifetimes(bucket, where);
  });
}

Result<void> checkProgram(const plan::Plan &plan, const plan::Program &program) {
  if (!isCleanName(program.name(), true))
    return fail("program: the name is too long or not printable");
  std::string where = "program '" + std::string(textOf(program.name())) + "'";
  if (program.stage() < 0 || program.stage() >= plan.sharding()->pp())
    return fail(where, ": stage ", program.stage(), " of ", plan.sharding()->pp());
  if (program.layers() < 1 || program.layers() > plan.model()->num_layers())
    return fail(where, ": ", program.layers(), " layers of ", plan.model()->num_layers());
  int32_t rows = 0;
  for (const plan::Bucket *bucket : *program.buckets()) {
    if (bucket->max_rows() <= rows || bucket->max_rows() > plan.max_step_rows())
      return fail(where, ": a bucket of ", bucket->max_rows(), " rows after one of ", rows,
                  ", expected ascending up to max_step_rows ", plan.max_step_rows());
    rows = bucket->max_rows();
    std::string entry = where + " bucket " + std::to_string(rows);
    if (auto checked = checkBucket(plan, program, *bucket, entry); !checked)
      return checked;
  }
  if (rows != plan.max_step_rows())
    return fail(where, ": the largest bucket has ", rows, " rows, max_step_rows is ",
                plan.max_step_rows());
  return {};
}

} // namespace grok::runtime
