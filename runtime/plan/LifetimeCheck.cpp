// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Proof that the arena is planned soundly: buffers that are live at the same
// launch do not share bytes, but for one that replaces another row by row. It shares no code with
// the compiler's planner.
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace grok::runtime {

namespace {

/// First and last launch that touches a buffer.
struct Lifetime {
  uint32_t buffer = 0;
  uint32_t first = UINT32_MAX;
  uint32_t last = 0;
};

} // namespace

static std::vector<Lifetime> lifetimesOf(const plan::Bucket &bucket) {
  std::vector<Lifetime> lifetimes(bucket.buffers()->size());
  for (uint32_t launch = 0; launch < bucket.launches()->size(); ++launch)
    for (const plan::Operand *operand : *bucket.launches()->Get(launch)->operands()) {
      Lifetime &lifetime = lifetimes[static_cast<uint32_t>(operand->buffer())];
      lifetime.first = std::min(lifetime.first, launch);
      lifetime.last = launch;
    }
  std::vector<Lifetime> arena;
  for (uint32_t i = 0; i < lifetimes.size(); ++i) {
    lifetimes[i].buffer = i;
    if (lifetimes[i].first != UINT32_MAX &&
        bucket.buffers()->Get(i)->kind() == plan::BufferKind::arena)
      arena.push_back(lifetimes[i]);
  }
  return arena;
}

// Buffers live now, by offset. They are disjoint at all times, so a new one can
// only collide with its neighbours; this keeps the check fast on hostile plans.
using LiveBuffers = std::map<uint64_t, Lifetime>;

static const Lifetime *collision(const plan::Bucket &bucket, const LiveBuffers &live,
                                 const plan::Buffer &buffer) {
  auto next = live.lower_bound(buffer.offset());
  if (next != live.end() && next->first < buffer.offset() + buffer.bytes())
    return &next->second;
  if (next == live.begin())
    return nullptr;
  const Lifetime &before = std::prev(next)->second;
  const plan::Buffer &other = *bucket.buffers()->Get(before.buffer);
  return other.offset() + other.bytes() > buffer.offset() ? &before : nullptr;
}

/// Whether `launch` names `buffer` only with `access`, each tile its own rows.
static bool usesRows(const plan::Launch &launch, uint32_t buffer, plan::OperandAccess access) {
  return std::all_of(
      launch.operands()->begin(), launch.operands()->end(), [&](const plan::Operand *operand) {
        return static_cast<uint32_t>(operand->buffer()) != buffer ||
               (operand->access() == access && operand->range() == plan::OperandRange::rows);
      });
}

/// A buffer may be born in the bytes of one that dies at the same launch, if
/// every tile reads a row of the old and writes the same row of the new.
static bool takesOver(const plan::Bucket &bucket, const Lifetime &birth, const Lifetime &old) {
  const plan::Buffer &to = *bucket.buffers()->Get(birth.buffer);
  const plan::Buffer &from = *bucket.buffers()->Get(old.buffer);
  const plan::Launch &launch = *bucket.launches()->Get(birth.first);
  return old.last == birth.first && from.offset() == to.offset() && from.bytes() == to.bytes() &&
         from.per_row() && to.per_row() &&
         usesRows(launch, old.buffer, plan::OperandAccess::read) &&
         usesRows(launch, birth.buffer, plan::OperandAccess::write);
}

/// Ends what is over before `launch`. A successor in the same bytes stays.
static void removeDead(const plan::Bucket &bucket, LiveBuffers &live,
                       std::vector<Lifetime>::const_iterator &death, uint32_t launch) {
  for (; death->last < launch; ++death) {
    auto entry = live.find(bucket.buffers()->Get(death->buffer)->offset());
    if (entry != live.end() && entry->second.buffer == death->buffer)
      live.erase(entry);
  }
}

Result<void> checkLifetimes(const plan::Bucket &bucket, const std::string &where) {
  std::vector<Lifetime> births = lifetimesOf(bucket);
  std::vector<Lifetime> deaths = births;
  std::sort(births.begin(), births.end(),
            [](const Lifetime &left, const Lifetime &right) { return left.first < right.first; });
  std::sort(deaths.begin(), deaths.end(),
            [](const Lifetime &left, const Lifetime &right) { return left.last < right.last; });
  LiveBuffers live;
  std::vector<Lifetime>::const_iterator death = deaths.begin();
  for (const Lifetime &birth : births) {
    removeDead(bucket, live, death, birth.first);
    const plan::Buffer &buffer = *bucket.buffers()->Get(birth.buffer);
    const Lifetime *other = collision(bucket, live, buffer);
    if (other && !takesOver(bucket, birth, *other))
      return fail(where, ": buffers '", textOf(buffer.name()), "' and '",
                  textOf(bucket.buffers()->Get(other->buffer)->name()),
                  "' overlap in the arena at launch ", birth.first);
    live.insert_or_assign(buffer.offset(), birth);
  }
  return {};
}

} // namespace grok::runtime
