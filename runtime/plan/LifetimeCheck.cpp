// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Proof that the arena is planned soundly: buffers that are live at the same
// launch do not share bytes. It shares no code with the compiler's planner.
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
using LiveBuffers = std::map<uint64_t, const plan::Buffer *>;

static const plan::Buffer *collision(const LiveBuffers &live, const plan::Buffer &buffer) {
  auto next = live.lower_bound(buffer.offset());
  if (next != live.end() && next->first < buffer.offset() + buffer.bytes())
    return next->second;
  if (next == live.begin())
    return nullptr;
  const plan::Buffer *before = std::prev(next)->second;
  return before->offset() + before->bytes() > buffer.offset() ? before : nullptr;
}

Result<void> checkLifetimes(const plan::Bucket &bucket, const std::string &where) {
  std::vector<Lifetime> births = lifetimesOf(bucket);
  std::vector<Lifetime> deaths = births;
  std::sort(births.begin(), births.end(),
            [](const Lifetime &left, const Lifetime &right) { return left.first < right.first; });
  std::sort(deaths.begin(), deaths.end(),
            [](const Lifetime &left, const Lifetime &right) { return left.last < right.last; });
  LiveBuffers live;
  auto death = deaths.begin();
  for (const Lifetime &birth : births) {
    for (; death->last < birth.first; ++death)
      live.erase(bucket.buffers()->Get(death->buffer)->offset());
    const plan::Buffer &buffer = *bucket.buffers()->Get(birth.buffer);
    if (const plan::Buffer *other = collision(live, buffer))
      return fail(where, ": buffers '", textOf(buffer.name()), "' and '", textOf(other->name()),
                  "' overlap in the arena at launch ", birth.first);
    live.emplace(buffer.offset(), &buffer);
  }
  return {};
}

} // namespace grok::runtime
