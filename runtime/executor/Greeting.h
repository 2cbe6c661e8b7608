// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the members of a group tell each other before they meet by other means.
#pragma once

#include "runtime/collectives/Communicator.h"
#include <type_traits>
#include <vector>

namespace grok::runtime {

/// Sends `own` to all others and gets what they sent: [member], the own in place.
/// Collective over the members.
template <typename Greeting>
Result<std::vector<Greeting>> greet(Communicator &communicator, const Group &group,
                                    const Greeting &own) {
  static_assert(std::is_trivially_copyable_v<Greeting>);
  for (int member = 0; member < group.members(); ++member)
    if (member != group.index())
      if (auto sent = communicator.send(group.rankOf(member), &own, sizeof own); !sent)
        return fail(sent.error());
  std::vector<Greeting> all(static_cast<size_t>(group.members()), own);
  for (int member = 0; member < group.members(); ++member)
    if (member != group.index())
      if (auto got = communicator.receive(group.rankOf(member), &all[static_cast<size_t>(member)],
                                          sizeof(Greeting));
          !got)
        return fail(got.error());
  return all;
}

} // namespace grok::runtime
