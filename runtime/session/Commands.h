// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the leader, rank 0, tells the other ranks what its sessions do.
#pragma once

#include "runtime/session/RankSession.h"

namespace grok::runtime {

/// What every rank of a replica does to its part of session `session`.
struct Command {
  enum class Kind : int32_t { open, close, createSequence, freeSequence, step, quit };
  Kind kind = Kind::quit;
  int32_t session = 0;
  int64_t number = 0; // open: pages; freeSequence: the sequence; step: rows that follow
};

/// Sends to all ranks of `replica` but rank 0.
Result<void> sendCommand(ModelState &model, int replica, const Command &command,
                         std::span<const StepRow> rows = {});
/// The same to every rank.
Result<void> sendToAll(ModelState &model, const Command &command);

/// The rank whose executor makes the logits of a replica.
int logitRankOf(const ModelState &model, int replica);

/// Does what the leader says until it quits. Logits go back to the leader.
Result<void> followLeader(ModelState &model, RankState &rank);

} // namespace grok::runtime
