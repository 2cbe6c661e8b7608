// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/RankLinks.h"
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <ranges>

namespace grok::runtime {

RankPlace RankPlace::of(const plan::Sharding &sharding, int rank) {
  RankPlace place;
  place.tensor = rank % sharding.tp();
  rank /= sharding.tp();
  place.expert = rank % sharding.ep();
  rank /= sharding.ep();
  place.stage = rank % sharding.pp();
  place.replica = rank / sharding.pp();
  return place;
}

int RankPlace::rankIn(const plan::Sharding &sharding) const {
  return ((replica * sharding.pp() + stage) * sharding.ep() + expert) * sharding.tp() + tensor;
}

/// The largest message of one member in a collective over `over`; 0 if the plan
/// has none.
static uint64_t largestMessage(const plan::Plan &plan, plan::Axis over) {
  uint64_t largest = 0;
  for (const plan::Program *program : *plan.programs())
    for (const plan::Bucket *bucket : *program->buckets())
      for (const plan::Launch *launch : *bucket->launches()) {
        if (launch->collective() == plan::Collective::none || launch->over() != over)
          continue;
        auto source = static_cast<uint32_t>(launch->operands()->Get(0)->buffer());
        largest = std::max(largest, bucket->buffers()->Get(source)->bytes());
      }
  return largest;
}

Result<void> RankLinks::join(const plan::Sharding &sharding, const RankPlace &place,
                             plan::Axis over, uint64_t largestBytes) {
  const auto along = [&](plan::Axis axis, int own, int ranks) {
    return includes(over, axis) ? std::views::iota(0, ranks) : std::views::iota(own, own + 1);
  };
  std::vector<int> members; // ascending
  RankPlace member = place;
  for (int expert : along(plan::Axis::ep, place.expert, sharding.ep()))
    for (int tensor : along(plan::Axis::tp, place.tensor, sharding.tp())) {
      member.expert = expert;
      member.tensor = tensor;
      members.push_back(member.rankIn(sharding));
    }
  auto group = link->group(members, largestBytes);
  if (!group)
    return fail(group.error());
  groups.push_back({over, std::move(*group)});
  return {};
}

Result<RankLinks> RankLinks::create(const plan::Plan &plan, Communicator &communicator) {
  const plan::Sharding &sharding = *plan.sharding();
  RankLinks links(communicator);
  RankPlace place = RankPlace::of(sharding, communicator.rank());
  for (plan::Axis over : {plan::Axis::tp, plan::Axis::ep, plan::Axis::tp | plan::Axis::ep})
    if (uint64_t bytes = largestMessage(plan, over))
      if (auto joined = links.join(sharding, place, over, bytes); !joined)
        return fail(joined.error());
  RankPlace neighbour = place;
  if (neighbour.stage = place.stage - 1; neighbour.stage >= 0)
    links.previousRank = neighbour.rankIn(sharding);
  if (neighbour.stage = place.stage + 1; neighbour.stage < sharding.pp())
    links.nextRank = neighbour.rankIn(sharding);
  return links;
}

Group &RankLinks::group(plan::Axis over) const {
  return *std::find_if(groups.begin(), groups.end(), [&](const Entry &entry) {
            return entry.over == over;
          })->group;
}

} // namespace grok::runtime
