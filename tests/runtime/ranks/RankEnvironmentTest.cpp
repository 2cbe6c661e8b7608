// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/RankEnvironment.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace grok::runtime {

using testing::HasSubstr;

using Environment = std::map<std::string, std::string>;

static Result<RankEnvironment> discover(const RankFlags &flags, const Environment &environment) {
  return discoverRanks(flags, [&](const char *name) -> const char * {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

static std::string errorOf(const RankFlags &flags, const Environment &environment) {
  auto found = discover(flags, environment);
  return found ? "none" : found.error();
}

static Environment openMpi() {
  return {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}};
}
static Environment mpich() { return {{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}}; }
static Environment slurm() {
  return {{"SLURM_PROCID", "5"},
          {"SLURM_STEP_NUM_TASKS", "8"},
          {"SLURM_STEP_NODELIST", "gpu[03-04,9],big1"}};
}
static Environment leaderWorkerSet() {
  return {{"LWS_WORKER_INDEX", "1"},
          {"LWS_GROUP_SIZE", "2"},
          {"LWS_LEADER_ADDRESS", "grok-0.grok.default"}};
}
static Environment indexedJob() { return {{"JOB_COMPLETION_INDEX", "3"}}; }

static Environment both(Environment first, const Environment &second) {
  first.insert(second.begin(), second.end());
  return first;
}

TEST(RankEnvironment, NothingIsOneRank) {
  const RankEnvironment alone = discover({}, {}).value();
  EXPECT_EQ(alone.ranks, 1);
  EXPECT_FALSE(alone.processes);
}

TEST(RankEnvironment, RanksAloneAreThreads) {
  const RankEnvironment threads = discover({{}, 4, ""}, {}).value();
  EXPECT_EQ(threads.ranks, 4);
  EXPECT_FALSE(threads.processes);
}

TEST(RankEnvironment, Flags) {
  const RankEnvironment third = discover({2, 3, "box:1234"}, {}).value();
  EXPECT_TRUE(third.processes);
  EXPECT_FALSE(third.mpi);
  EXPECT_EQ(third.rank, 2);
  EXPECT_EQ(third.leaderHost, "box");
  EXPECT_EQ(third.leaderPort, 1234);
}

TEST(RankEnvironment, WaysToWriteTheLeader) {
  const auto leader = [](const char *text) {
    const RankEnvironment found = discover({0, 2, text}, {}).value();
    return found.leaderHost + " " + std::to_string(found.leaderPort);
  };
  EXPECT_EQ(leader("box"), "box 29400");
  EXPECT_EQ(leader("10.0.0.1:7"), "10.0.0.1 7");
  EXPECT_EQ(leader("[fe80::1]:7"), "fe80::1 7");
  EXPECT_EQ(leader("fe80::1"), "fe80::1 29400");
  for (const char *wrong : {":7", "box:", "box:x", "box:70000", "box:-1", "box:0"})
    EXPECT_THAT(errorOf({0, 2, wrong}, {}), HasSubstr("--leader")) << wrong;
}

TEST(RankEnvironment, Mpirun) {
  for (const auto &[environment, rank, ranks] :
       {std::tuple(openMpi(), 2, 4), std::tuple(mpich(), 1, 3)}) {
    const RankEnvironment found = discover({}, environment).value();
    EXPECT_TRUE(found.processes && found.mpi);
    EXPECT_EQ(found.rank, rank);
    EXPECT_EQ(found.ranks, ranks);
  }
  EXPECT_FALSE(discover({{}, {}, "box"}, openMpi())->mpi) << "sockets were asked for";
}

TEST(RankEnvironment, Slurm) {
  const RankEnvironment found = discover({}, slurm()).value();
  EXPECT_EQ(found.rank, 5);
  EXPECT_EQ(found.ranks, 8);
  EXPECT_EQ(found.leaderHost, "gpu03");
  Environment other = slurm();
  other["SLURM_STEP_NODELIST"] = "big1,gpu[03-04]";
  EXPECT_EQ(discover({}, other)->leaderHost, "big1");
  other["SLURM_STEP_NODELIST"] = "gpu[7]";
  EXPECT_EQ(discover({}, other)->leaderHost, "gpu7");
}

// srun starts mpirun's daemons, whose variables every rank inherits.
TEST(RankEnvironment, MpirunInsideOfSlurm) {
  EXPECT_EQ(discover({}, both(openMpi(), slurm()))->rank, 2);
  const Environment batchScript = {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}};
  EXPECT_FALSE(discover({}, batchScript)->processes);
}

TEST(RankEnvironment, Kubernetes) {
  const RankEnvironment worker = discover({}, leaderWorkerSet()).value();
  EXPECT_EQ(worker.rank, 1);
  EXPECT_EQ(worker.ranks, 2);
  EXPECT_EQ(worker.leaderHost, "grok-0.grok.default");
  EXPECT_EQ(worker.leaderPort, RankEnvironment::defaultPort);
  const RankEnvironment pod = discover({{}, 6, "grok-0.grok"}, indexedJob()).value();
  EXPECT_EQ(pod.rank, 3);
  EXPECT_EQ(pod.ranks, 6);
  EXPECT_FALSE(discover({}, indexedJob())->processes) << "a job of independent runs";
  EXPECT_THAT(errorOf({{}, {}, "grok-0.grok"}, indexedJob()), HasSubstr("give --ranks"));
}

TEST(RankEnvironment, Contradictions) {
  EXPECT_EQ(errorOf({1, {}, ""}, openMpi()),
            "--rank=1 contradicts OMPI_COMM_WORLD_RANK=2 of mpirun");
  EXPECT_EQ(errorOf({{}, 2, ""}, openMpi()),
            "--ranks=2 contradicts OMPI_COMM_WORLD_SIZE=4 of mpirun");
  EXPECT_EQ(errorOf({0, {}, "box"}, indexedJob()),
            "--rank=0 contradicts JOB_COMPLETION_INDEX=3 of the indexed job");
}

TEST(RankEnvironment, WhatIsMissingOrWrong) {
  EXPECT_EQ(errorOf({0, 2, ""}, {}),
            "rank 0 of 2 does not know where rank 0 is: give --leader=HOST:PORT");
  EXPECT_EQ(errorOf({{}, 2, "box"}, {}), "--rank, --ranks and --leader belong together");
  EXPECT_EQ(errorOf({2, 2, "box"}, {}), "rank 2, expected one of 0..1");
  EXPECT_EQ(errorOf({{}, 0, ""}, {}), "--ranks: 0, expected 1..4096");
  Environment wrong = openMpi();
  wrong["OMPI_COMM_WORLD_RANK"] = "two";
  EXPECT_EQ(errorOf({}, wrong), "OMPI_COMM_WORLD_RANK: 'two', expected a number in 0..4096");
  wrong["OMPI_COMM_WORLD_RANK"] = "4";
  EXPECT_EQ(errorOf({}, wrong), "rank 4, expected one of 0..3");
}

TEST(RankEnvironment, OneProcessOfMpirunMayHaveThreads) {
  const Environment single = {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}};
  const RankEnvironment found = discover({{}, 4, ""}, single).value();
  EXPECT_FALSE(found.processes);
  EXPECT_EQ(found.ranks, 4);
}

} // namespace grok::runtime
