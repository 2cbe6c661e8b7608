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
  int64_t draws = 0;  // step: that follow the rows
};

/// Sends to all ranks of `replica` but rank 0.
Result<void> sendCommand(ModelState &model, int replica, const Command &command);
/// The same, of a step. Then the rank that makes the logits sends them to rank 0; if there
/// are `draws`, one for each row that wants logits, it draws and sends the tokens.
Result<void> sendStep(ModelState &model, int replica, int32_t session,
                      std::span<const StepRow> rows, std::span<const GrokDraw> draws);
/// The same to every rank.
Result<void> sendToAll(ModelState &model, const Command &command);

/// The rank whose executor makes the logits of a replica.
int logitRankOf(const ModelState &model, int replica);

/// Does what the leader says until it quits.
Result<void> followLeader(ModelState &model, RankState &rank);

} // namespace grok::runtime
