// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/commandline/Ranks.h"
#include "runtime/plan/PlanReader.h"
#include "runtime/ranks/Job.h"

namespace grok::tools {
using runtime::fail;
using runtime::Job;
using runtime::Model;
using runtime::Result;
using Body = std::function<Result<void>(const std::shared_ptr<const Model> &)>;

void declareRanks(CLI::App &app, runtime::RankFlags &flags) {
  app.add_option("--ranks", flags.ranks,
                 "Ranks that the artifact must be compiled for. They are threads of this process "
                 "unless mpirun, Slurm, Kubernetes or --rank says which of them it is")
      ->type_name("N")
      ->check(CLI::Range(1, runtime::mostRanks).description(""));
  app.add_option("--rank", flags.rank, "This process's rank of --ranks, 0 to N - 1")
      ->type_name("N")
      ->check(wholeNumber());
  app.add_option("--leader", flags.leader, "Where rank 0 listens for the others")
      ->type_name("HOST[:PORT]");
}

/// The plan as the ranks must have it in common. Its weight files are named by
/// hash inside it.
static Result<runtime::JobIdentity> identityOf(const std::string &artifact) {
  const Result<runtime::PlanDocument> plan = runtime::readPlan(artifact + "/model.plan");
  if (!plan)
    return fail(plan.error());
  runtime::JobIdentity identity;
  identity.planHash = plan->digest();
  return identity;
}

static Result<void> runAsRank(const std::string &artifact, const runtime::LoadOptions &options,
                              const Body &body) {
  const Result<std::shared_ptr<const Model>> model = Model::load(artifact, options);
  if (!model)
    return fail(model.error());
  return (*model)->isLeader() ? body(*model) : (*model)->follow();
}

static Result<void> runAsProcess(const CommandLine &commandLine, const std::string &artifact,
                                 runtime::LoadOptions options,
                                 const runtime::RankEnvironment &environment, const Body &body) {
  const Result<runtime::JobIdentity> identity = identityOf(artifact);
  if (!identity)
    return fail(identity.error());
  Result<runtime::JobOptions> jobOptions = runtime::JobOptions::from();
  if (!jobOptions)
    return fail(jobOptions.error());
  jobOptions->program = commandLine.name();
  const Result<std::unique_ptr<Job>> job = Job::join(environment, *identity, *jobOptions);
  if (!job)
    return fail(job.error());
  options.communicator = &(*job)->communicator();
  Result<void> done = runAsRank(artifact, options, body);
  if (done)
    done = (*job)->finish();
  if (!done)
    (*job)->end(done.error());
  return done;
}

int runOnRanks(const CommandLine &commandLine, const std::string &artifact,
               runtime::LoadOptions options, const runtime::RankFlags &flags, const Body &body) {
  const Result<runtime::RankEnvironment> environment = runtime::discoverRanks(flags);
  if (!environment)
    return commandLine.reportUsage(environment.error());
  options.ranks = flags.ranks.value_or(0);
  const Result<void> done = environment->processes
                                ? runAsProcess(commandLine, artifact, options, *environment, body)
                                : runAsRank(artifact, options, body);
  return done ? exitDone : commandLine.reportError(done.error());
}

} // namespace grok::tools
