// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/session/RankHardware.h"
#include <array>
#include <cstdlib>

namespace grok::runtime {

int placeOnHost(const Communicator &communicator) {
  int place = 0;
  for (int peer = 0; peer < communicator.rank(); ++peer)
    place += communicator.host(peer) == communicator.host(communicator.rank());
  return place;
}

Result<void> checkUnshared(std::string_view hardware, int rank, std::string_view others,
                           int other) {
  const char *shares = std::getenv("GROK_SHARE_GPUS");
  if (hardware.empty() || hardware != others || (shares && std::string_view(shares) == "1"))
    return {};
  return fail("ranks ", std::min(rank, other), " and ", std::max(rank, other),
              " would share the GPU ", hardware,
              "; start as many ranks on a host as it has GPUs that run the plan, or set "
              "GROK_SHARE_GPUS=1");
}

Result<void> checkUnshared(Communicator &communicator, std::string_view hardware) {
  using Text = std::array<char, 64>;
  const int rank = communicator.rank();
  Text own = {}, theirs = {};
  hardware.copy(own.data(), own.size() - 1);
  const auto isHere = [&](int peer) {
    return peer != rank && communicator.host(peer) == communicator.host(rank);
  };
  for (int peer = 0; peer < communicator.ranks(); ++peer)
    if (isHere(peer))
      if (auto sent = communicator.send(peer, own.data(), own.size()); !sent)
        return sent;
  Result<void> checked;
  for (int peer = 0; peer < communicator.ranks(); ++peer) {
    if (!isHere(peer))
      continue;
    if (auto got = communicator.receive(peer, theirs.data(), theirs.size()); !got)
      return got;
    if (checked)
      checked = checkUnshared(hardware, rank, theirs.data(), peer);
  }
  return checked;
}

} // namespace grok::runtime
