// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/RankEnvironment.h"
#include <charconv>
#include <cstdlib>

namespace grok::runtime {

namespace {

// What launched this process, by the variables that it sets.
struct Launcher {
  const char *name;
  const char *rank;
  const char *ranks;  // null: it does not say
  const char *leader; // null: it does not say
  bool mpi;
};

// In this order: mpirun inside of a Slurm job or a pod is what counts there,
// since it starts the processes. SLURM_STEP_NUM_TASKS is set by srun alone, the
// like-named variables of the job also in its batch script.
constexpr Launcher launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", nullptr, true},
    {"mpirun", "PMI_RANK", "PMI_SIZE", nullptr, true},
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", false},
    {"LeaderWorkerSet", "LWS_WORKER_INDEX", "LWS_GROUP_SIZE", "LWS_LEADER_ADDRESS", false},
    {"the indexed job", "JOB_COMPLETION_INDEX", nullptr, nullptr, false},
};

} // namespace

const char *processVariable(const char *name) { return std::getenv(name); }

static Result<int> numberIn(const std::string &text, const std::string &where, int least,
                            int most) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
    return fail(where, ": '", text, "', expected a number in ", least, "..", most);
  return number;
}

// The first node of "node[03-07,9],other" is node03.
static std::string firstNode(const std::string &list) {
  const size_t bracket = list.find('[');
  const size_t comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket)
    return list.substr(0, comma);
  const size_t end = list.find_first_of(",-]", bracket);
  return list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1);
}

static Result<void> readLeader(const std::string &text, RankEnvironment &environment) {
  const size_t bracket = text.rfind(']'); // [fe80::1]:29400
  size_t colon = text.rfind(':');
  if (bracket != std::string::npos && colon != std::string::npos && colon < bracket)
    colon = std::string::npos;
  const bool isBareIPv6 = bracket == std::string::npos && text.find(':') != colon;
  if (isBareIPv6)
    colon = std::string::npos;
  environment.leaderHost = text.substr(0, colon);
  if (bracket != std::string::npos && text.front() == '[')
    environment.leaderHost = text.substr(1, bracket - 1);
  if (environment.leaderHost.empty())
    return fail("--leader: '", text, "', expected HOST:PORT");
  if (colon == std::string::npos)
    return {};
  auto port = numberIn(text.substr(colon + 1), "--leader", 1, 65535);
  if (!port)
    return fail(port.error());
  environment.leaderPort = *port;
  return {};
}

static const Launcher *launcherIn(const RankFlags &flags, const Variables &variables) {
  for (const Launcher &launcher : launchers) {
    const bool complete = launcher.ranks || !flags.leader.empty();
    if (complete && variables(launcher.rank) && (!launcher.ranks || variables(launcher.ranks)))
      return &launcher;
  }
  return nullptr;
}

// Fills in what the launcher says and the flags do not contradict.
static Result<void> readLauncher(const Launcher &launcher, const RankFlags &flags,
                                 const Variables &variables, RankEnvironment &environment) {
  const struct {
    const char *variable, *flag;
    std::optional<int> flagged;
    int &number;
  } numbers[] = {{launcher.rank, "--rank", flags.rank, environment.rank},
                 {launcher.ranks, "--ranks", flags.ranks, environment.ranks}};
  for (const auto &[variable, flag, flagged, number] : numbers) {
    if (!variable)
      continue;
    auto told = numberIn(variables(variable), variable, 0, mostRanks);
    if (!told)
      return fail(told.error());
    if (flagged && *flagged != *told)
      return fail(flag, "=", *flagged, " contradicts ", variable, "=", *told, " of ",
                  launcher.name);
    number = *told;
  }
  return {};
}

static Result<void> findLeader(const Launcher *launcher, const RankFlags &flags,
                               const Variables &variables, RankEnvironment &environment) {
  if (!flags.leader.empty())
    return readLeader(flags.leader, environment);
  const char *told = launcher && launcher->leader ? variables(launcher->leader) : nullptr;
  if (!told)
    return fail("rank ", environment.rank, " of ", environment.ranks,
                " does not know where rank 0 is: give --leader=HOST:PORT");
  environment.leaderHost = firstNode(told);
  return {};
}

Result<RankEnvironment> discoverRanks(const RankFlags &flags, const Variables &variables) {
  RankEnvironment environment;
  environment.rank = flags.rank.value_or(0);
  environment.ranks = flags.ranks.value_or(1);
  const Launcher *launcher = launcherIn(flags, variables);
  // A launcher that started one process says nothing about ranks.
  if (launcher && launcher->ranks && std::string(variables(launcher->ranks)) == "1")
    launcher = nullptr;
  if (launcher)
    if (auto read = readLauncher(*launcher, flags, variables, environment); !read)
      return fail(read.error());
  environment.processes = launcher || flags.rank || !flags.leader.empty();
  if (!launcher && environment.processes && !(flags.rank && flags.ranks))
    return fail("--rank, --ranks and --leader belong together");
  if (launcher && !launcher->ranks && !flags.ranks)
    return fail(launcher->name, " (", launcher->rank,
                ") does not say how many ranks there are: give --ranks");
  if (environment.ranks < 1 || environment.ranks > mostRanks)
    return fail("--ranks: ", environment.ranks, ", expected 1..", mostRanks);
  if (environment.rank < 0 || environment.rank >= environment.ranks)
    return fail("rank ", environment.rank, ", expected one of 0..", environment.ranks - 1);
  environment.mpi = launcher && launcher->mpi && flags.leader.empty();
  if (environment.processes && !environment.mpi)
    if (auto found = findLeader(launcher, flags, variables, environment); !found)
      return fail(found.error());
  return environment;
}

} // namespace grok::runtime
