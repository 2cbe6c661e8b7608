// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A job of several processes as one of them sees it: joins the others, watches
// them, and ends when one of them fails.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/ranks/RankEnvironment.h"
#include "runtime/ranks/Rendezvous.h"

namespace grok::runtime {

struct JobOptions {
  std::string program = "grok-run"; // begins the lines of failures
  std::chrono::milliseconds joinTime{120'000};
  /// How long a rank may keep the others waiting within a step. A rank that is
  /// in one operation for three quarters of it counts as stuck, one that says
  /// nothing for three eighths of it, at least 3 s, as stopped.
  std::chrono::milliseconds deadline{8000};
  bool sharedMemory = true; // between ranks of one host

  /// GROK_RANK_JOIN_TIME and GROK_RANK_DEADLINE in seconds, GROK_RANK_MEMORY=
  /// shared|private.
  static Result<JobOptions> from(const Variables &variables = processVariable);
};

class Job {
public:
  /// Collective over all processes. Errors are this rank's bad input or
  /// environment, or that a rank is missing or runs something else: every rank
  /// gets one, the culprit named. For `environment.processes` only; threads of
  /// one process need no job, see makeLocalCommunicators.
  static Result<std::unique_ptr<Job>> join(const RankEnvironment &environment,
                                           const JobIdentity &identity, const JobOptions &options);
  /// Without finish(): as if this rank had died.
  ~Job();
  Job(const Job &) = delete;
  Job &operator=(const Job &) = delete;

  /// Outside of a step at first: only a rank that died or stopped is noticed.
  Communicator &communicator();

  /// Collective, at the end: returns when all ranks have come to it.
  Result<void> finish();
  /// This rank cannot go on. If a peer failed: exit code 3, and one line, its own
  /// or the monitor's, that names the culprit. Else: the error as one line and
  /// exit code 1 here; the others end with 3 and name this rank.
  [[noreturn]] void end(const std::string &error);

private:
  struct Parts;
  explicit Job(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts;
};

} // namespace grok::runtime
