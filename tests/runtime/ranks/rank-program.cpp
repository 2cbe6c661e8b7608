// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A rank that adds numbers up with the others, step by step, until something
// happens to it. What fault tests and conformance tests start.
#include "runtime/ranks/Job.h"
#include "tests/runtime/collectives/Conformance.h"
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <numeric>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace grok::runtime;

struct Options {
  RankFlags flags;
  int steps = 20;
  int pauseMicroseconds = 1000; // of computing, each step
  bool conformance = false;
  std::string fault; // what happens
  int victim = 1;    // to which rank
  int at = 5;        // in which step; -1: before it joins
  std::string tag;
};

static void closeAllSockets() {
  for (int descriptor = 3; descriptor < 256; ++descriptor) {
    int type = 0;
    socklen_t length = sizeof(type);
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0)
      shutdown(descriptor, SHUT_RDWR);
  }
}

static void haveFault(const std::string &fault, Job &job) {
  const std::map<std::string, int> signals = {
      {"kill", SIGKILL}, {"stop", SIGSTOP}, {"crash", SIGSEGV}, {"abort", SIGABRT}};
  if (const auto found = signals.find(fault); found != signals.end())
    raise(found->second);
  if (fault == "exit")
    _exit(0);
  if (fault == "close")
    closeAllSockets();
  if (fault == "sleep") {
    job.communicator().setOperation("layer 7 experts");
    std::this_thread::sleep_for(std::chrono::hours(1));
  }
  if (fault == "input")
    job.end("weights.bin: wrong checksum");
}

static Result<void> addNumbers(const Options &options, Job &job) {
  Communicator &communicator = job.communicator();
  std::vector<int> everyone(static_cast<size_t>(communicator.ranks()));
  std::iota(everyone.begin(), everyone.end(), 0);
  auto group = communicator.group(everyone, 4096);
  if (!group)
    return fail(group.error());
  float total = 0;
  for (int step = 0; step < options.steps; ++step) {
    communicator.setOperation("step");
    communicator.setInStep(true);
    if (step == options.at && communicator.rank() == options.victim)
      haveFault(options.fault, job);
    std::this_thread::sleep_for(std::chrono::microseconds(options.pauseMicroseconds));
    communicator.setOperation("the sum");
    const auto own = static_cast<float>(communicator.rank() + step);
    if (auto done = (*group)->allReduceRows(&own, &total, 1, 1); !done)
      return done;
    communicator.setInStep(false);
  }
  if (communicator.rank() == 0)
    std::printf("sum %g, %s\n", static_cast<double>(total),
                (*group)->sharesMemory() ? "shared memory" : "messages");
  return {};
}

static Result<void> conform(Communicator &communicator) {
  for (const conformance::Case &tested : conformance::cases()) {
    communicator.setOperation(tested.name);
    if (auto done = tested.run(communicator); !done)
      return fail(tested.name, ": ", done.error());
  }
  if (communicator.rank() == 0)
    std::printf("%zu cases hold on %d ranks\n", conformance::cases().size(), communicator.ranks());
  return {};
}

static Result<std::unique_ptr<Job>> join(const Options &options) {
  auto environment = discoverRanks(options.flags);
  if (!environment)
    return fail(environment.error());
  JobIdentity identity;
  const bool isOther = options.fault == "differ" && environment->rank == options.victim;
  identity.planHash.fill(isOther ? 2 : 1);
  auto jobOptions = JobOptions::from();
  if (!jobOptions)
    return fail(jobOptions.error());
  jobOptions->program = "rank-program";
  return Job::join(*environment, identity, *jobOptions);
}

static int run(int argc, char **argv) {
  Options options;
  CLI::App app("A rank of a test");
  app.add_option("--rank", options.flags.rank);
  app.add_option("--ranks", options.flags.ranks);
  app.add_option("--leader", options.flags.leader);
  app.add_option("--steps", options.steps);
  app.add_option("--pause", options.pauseMicroseconds);
  app.add_option("--fault", options.fault);
  app.add_option("--victim", options.victim);
  app.add_option("--at", options.at);
  app.add_option("--tag", options.tag, "By which a test finds its processes");
  app.add_flag("--conformance", options.conformance);
  CLI11_PARSE(app, argc, argv);
  auto job = join(options);
  if (!job) {
    std::fprintf(stderr, "rank-program: %s\n", job.error().c_str());
    return 1;
  }
  auto done = options.conformance ? conform((*job)->communicator()) : addNumbers(options, **job);
  if (!done)
    (*job)->end(done.error());
  if (auto finished = (*job)->finish(); !finished) {
    std::fprintf(stderr, "rank-program: %s\n", finished.error().c_str());
    return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "rank-program: %s\n", error.what());
    return 1;
  }
}
