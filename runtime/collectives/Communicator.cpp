// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/Communicator.h"

namespace grok::runtime {

Result<int> Communicator::checkMembers(std::span<const int> members) const {
  std::vector<bool> seen(static_cast<size_t>(ranks()));
  int own = -1;
  for (size_t i = 0; i < members.size(); ++i) {
    const int member = members[i];
    if (member < 0 || member >= ranks())
      return fail("group: member ", member, ", expected a rank in 0..", ranks() - 1);
    if (seen[static_cast<size_t>(member)])
      return fail("group: rank ", member, " is a member twice");
    seen[static_cast<size_t>(member)] = true;
    if (member == rank())
      own = static_cast<int>(i);
  }
  if (own < 0)
    return fail("group: rank ", rank(), " makes a group that it is no member of");
  return own;
}

Result<void> Communicator::checkPeer(int peer) const {
  if (peer < 0 || peer >= ranks() || peer == rank())
    return fail("rank ", rank(), " has no peer ", peer, " among ", ranks(), " ranks");
  return {};
}

} // namespace grok::runtime
