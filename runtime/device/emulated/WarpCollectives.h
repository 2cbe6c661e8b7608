// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the lanes of a warp do together. An operation runs once, when its last
// lane arrives; that lane goes on at once.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

/// The lane arrives at a collective of the lanes in `mask` and returns when it
/// has run. Lanes meet that name the same operation, mask and `how`; if
/// `isAligned`, the same instruction too. Lanes that have ended are not waited
/// for unless `isAligned`.
void meet(Lane &lane, uint32_t mask, Meeting::Run run, uint64_t how, bool isAligned,
          GrokEmulatorSite site);

/// Runs what only waited for a lane that has just ended.
void leaveMeetings(Warp &warp);

/// Lanes of `meeting` that take part, for `for (lane : lanesIn(...))` loops.
template <typename Function> void forLanes(Warp &warp, uint32_t mask, Function function) {
  for (uint32_t left = mask; left; left &= left - 1)
    function(warp.lanes[std::countr_zero(left)]);
}

/// The table's functions; `checkAccesses` as in GrokEmulatorLaunch.
const GrokEmulatorTable *tableFor(bool checkAccesses);

void syncWarp(GrokEmulatorThread *, uint32_t mask, GrokEmulatorSite);
uint64_t shuffle(GrokEmulatorThread *, uint32_t mask, uint32_t value, uint32_t lane, uint32_t how,
                 GrokEmulatorSite);
uint32_t vote(GrokEmulatorThread *, uint32_t mask, uint32_t predicate, uint32_t how,
              GrokEmulatorSite);
uint64_t match(GrokEmulatorThread *, uint32_t mask, uint64_t value, uint32_t all, GrokEmulatorSite);
uint32_t redux(GrokEmulatorThread *, uint32_t mask, uint32_t value, uint32_t how, GrokEmulatorSite);
uint32_t elect(GrokEmulatorThread *, uint32_t mask, GrokEmulatorSite);

} // namespace grok::runtime::emulated
