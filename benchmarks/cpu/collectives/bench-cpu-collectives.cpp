// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Latency of our all-reduce beside MPI_Allreduce, in turn in the same run.
//
//   bench-cpu-collectives --threads=2               ranks that are threads
//   mpirun -n 2 bench-cpu-collectives [--json=FILE] processes, and MPI's own
#include "runtime/collectives/HostInfo.h"
#include "runtime/collectives/LocalCommunicator.h"
#include "runtime/ranks/Job.h"
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mpi.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

using namespace grok::runtime;

namespace {

constexpr int64_t columns = 6144; // of Grok-1: a row is 24 KiB
constexpr int64_t rowCounts[] = {1, 2, 8, 64, 512};
constexpr int rounds = 20;

struct Sample {
  double median = 0, p99 = 0; // microseconds
};

using Reduce = std::function<void(const float *own, float *sum, int64_t rows)>;

void stopOn(const std::string &error) {
  std::fprintf(stderr, "bench-cpu-collectives: %s\n", error.c_str());
  std::_Exit(1);
}

// Fewer of the long ones: half a gigabyte of sums per round in the worst case.
int repetitionsOf(int64_t rows) { return static_cast<int>(std::max<int64_t>(5, 400 / rows)); }

void measure(const Reduce &reduce, int64_t rows, std::vector<double> &times) {
  std::vector<float> own(static_cast<size_t>(rows * columns), 1.0F), sum(own.size());
  for (int i = 0; i < repetitionsOf(rows); ++i) {
    const auto start = std::chrono::steady_clock::now();
    reduce(own.data(), sum.data(), rows);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    if (i >= repetitionsOf(rows) / 10) // the first ones meet the others' last ones
      times.push_back(took.count());
  }
}

Sample sampleOf(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[times.size() * 99 / 100]};
}

// In turn, so that both meet the same disturbances.
std::vector<Sample> compare(const std::vector<Reduce> &ways, int64_t rows) {
  std::vector<std::vector<double>> times(ways.size());
  for (int round = 0; round < rounds; ++round)
    for (size_t way = 0; way < ways.size(); ++way)
      measure(ways[way], rows, times[way]);
  std::vector<Sample> samples;
  samples.reserve(times.size());
  for (const std::vector<double> &of : times)
    samples.push_back(sampleOf(of));
  return samples;
}

std::vector<int> everyone(int ranks) {
  std::vector<int> members(static_cast<size_t>(ranks));
  std::iota(members.begin(), members.end(), 0);
  return members;
}

Reduce ourReduce(Group &group) {
  return [&group](const float *own, float *sum, int64_t rows) {
    if (auto done = group.allReduceRows(own, sum, rows, columns); !done)
      stopOn(done.error());
  };
}

void mpiReduce(const float *own, float *sum, int64_t rows) {
  MPI_Allreduce(own, sum, static_cast<int>(rows * columns), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

nlohmann::json toJson(const Sample &sample) {
  return {{"median_us", sample.median}, {"p99_us", sample.p99}};
}

void print(int64_t rows, const char *name, const Sample &sample) {
  std::printf("%6ld KiB  %-24s median %9.1f us   99 %% below %9.1f us\n", rows * columns * 4 / 1024,
              name, sample.median, sample.p99);
}

nlohmann::json runAsThread(Communicator &communicator) {
  const std::vector<int> members = everyone(communicator.ranks());
  auto group = communicator.group(members, 4 << 20);
  if (!group)
    stopOn(group.error());
  nlohmann::json results = nlohmann::json::array();
  for (const int64_t rows : rowCounts) {
    const std::vector<Sample> samples = compare({ourReduce(**group)}, rows);
    results.push_back({{"bytes", rows * columns * 4}, {"threads", toJson(samples[0])}});
    if (communicator.rank() == 0)
      print(rows, "threads", samples[0]);
  }
  return results;
}

nlohmann::json runThreads(int ranks) {
  auto communicators = makeLocalCommunicators(ranks);
  if (!communicators)
    stopOn(communicators.error());
  std::vector<nlohmann::json> results(communicators->size());
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (size_t rank = 0; rank < results.size(); ++rank)
    threads.emplace_back([&, rank] { results[rank] = runAsThread(*(*communicators)[rank]); });
  for (std::thread &thread : threads)
    thread.join();
  return results[0];
}

nlohmann::json runProcess(Communicator &communicator) {
  const std::vector<int> members = everyone(communicator.ranks());
  auto group = communicator.group(members, 4 << 20);
  if (!group)
    stopOn(group.error());
  const char *ours = (*group)->sharesMemory() ? "processes_shared_memory" : "processes_messages";
  nlohmann::json results = nlohmann::json::array();
  for (const int64_t rows : rowCounts) {
    const std::vector<Sample> samples = compare({ourReduce(**group), mpiReduce}, rows);
    results.push_back({{"bytes", rows * columns * 4},
                       {ours, toJson(samples[0])},
                       {"MPI_Allreduce", toJson(samples[1])}});
    if (communicator.rank() != 0)
      continue;
    print(rows, ours, samples[0]);
    print(rows, "MPI_Allreduce", samples[1]);
  }
  return results;
}

double loadAverage() {
  double load = -1;
  return getloadavg(&load, 1) == 1 ? load : -1;
}

std::string processorName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return line.substr(line.find(':') + 2);
  return "unknown";
}

void write(const std::string &path, int ranks, double load, const nlohmann::json &results) {
  const nlohmann::json document = {{"machine",
                                    {{"cpu", processorName()},
                                     {"processors", std::thread::hardware_concurrency()},
                                     {"load_before", load}}},
                                   {"ranks", ranks},
                                   {"all_reduce", results}};
  std::ofstream(path) << document.dump(2) << '\n';
}

} // namespace

static int run(int argc, char **argv) {
  RankFlags flags;
  int threads = 0;
  std::string json;
  CLI::App app("Latency of all-reduce");
  app.add_option("--threads", threads, "Ranks that are threads")->check(CLI::Range(1, 64));
  app.add_option("--json", json, "File for the results");
  CLI11_PARSE(app, argc, argv);
  const double load = loadAverage();
  if (threads) {
    const nlohmann::json results = runThreads(threads);
    if (!json.empty())
      write(json, threads, load, results);
    return 0;
  }
  auto environment = discoverRanks(flags);
  auto options = JobOptions::from();
  if (!environment || !options || !environment->mpi)
    stopOn("start it with mpirun, or give --threads");
  auto job = Job::join(*environment, {}, *options);
  if (!job)
    stopOn(job.error());
  const nlohmann::json results = runProcess((*job)->communicator());
  if (!json.empty() && environment->rank == 0)
    write(json, environment->ranks, load, results);
  if (auto finished = (*job)->finish(); !finished)
    stopOn(finished.error());
  return 0;
}

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    stopOn(error.what());
  }
}
