// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-bench/Machine.h"

#include "runtime/device/cpu/CpuFeatures.h"
#include "runtime/device/cpu/Topology.h"
#include "runtime/measurement/ArithmeticLimit.h"
#include "runtime/measurement/Latency.h"
#include "runtime/measurement/ReadLimit.h"
#include "tools/grok-bench/Report.h"

#include <algorithm>
#include <ctime>

namespace grok::tools {
using nlohmann::ordered_json;
using runtime::fail;
using runtime::Result;

namespace {
/// Values of a machine file, each with its source and today's date.
class Values {
public:
  Values() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[16];
    std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
    date = text;
  }
  ordered_json measured(double value) const { return of(value, "measured by grok-bench"); }
  ordered_json of(double value, const std::string &source) const {
    return {{"value", value}, {"source", source}, {"date", date}};
  }
  std::string date;
};
} // namespace

static std::string widestLevel() {
  const runtime::CpuFeatures features = runtime::CpuFeatures::detect();
  if (features.has("amx-int8"))
    return "x86-64-v4-amx";
  if (features.has("avx512f"))
    return "x86-64-v4";
  return features.has("avx2") ? "x86-64-v3" : "x86-64-v2";
}

/// Of all threads and of one.
static Result<std::pair<double, double>> readRates(int threads) {
  Result<runtime::ReadLimit> limit = runtime::ReadLimit::start();
  if (!limit)
    return fail(limit.error());
  constexpr int samples = 3;
  double all = 0, one = 0;
  for (int i = 0; i < samples; ++i) {
    const Result<runtime::ReadSample> together = limit->sample(threads), alone = limit->sample(1);
    if (!together || !alone)
      return fail(together ? alone.error() : together.error());
    all = std::max(all, together->bytesPerSecond);
    one = std::max(one, alone->bytesPerSecond);
  }
  return std::pair(all, std::min(all, one));
}

/// Operations per second of one core while all compute.
static double peakOf(runtime::Arithmetic kind, int threads) {
  return 2 * runtime::measureArithmetic(kind, widestLevel(), threads) / threads;
}

static constexpr int64_t messageBytes[] = {
    4096, 24576, 65536, int64_t(256) << 10, int64_t(1) << 20, int64_t(12) << 20};

static Result<ordered_json> measureAllReduces(int threads, const Values &values) {
  ordered_json rows = ordered_json::array();
  for (int ranks = 2; ranks <= std::max(4, threads); ranks *= 2) {
    Result<std::vector<double>> seconds = runtime::measureAllReduce(ranks, messageBytes);
    if (!seconds)
      return fail(seconds.error());
    ordered_json microseconds = ordered_json::array();
    double most = 0; // a machine file's times do not fall
    for (const double time : *seconds) {
      most = std::max(most, 1e6 * time);
      microseconds.push_back(most);
    }
    rows.push_back({{"ranks", ranks},
                    {"nodes", 1},
                    {"algorithm", "threads"},
                    {"source", "measured by grok-bench"},
                    {"date", values.date},
                    {"bytes", messageBytes},
                    {"microseconds", microseconds}});
  }
  return rows;
}

Result<ordered_json> measureMachine(int threads) {
  const int cores = threads > 0 ? threads : runtime::Topology::detect().cores;
  const Values values;
  const auto rates = readRates(cores); // before other threads exist
  if (!rates)
    return fail(rates.error());
  const auto gap = runtime::measureEmptyLoop(cores);
  if (!gap)
    return fail(gap.error());
  const auto rows = measureAllReduces(cores, values);
  if (!rows)
    return fail(rows.error());
  const ordered_json computer = describeMachine();
  const ordered_json &longest = rows->front();
  const double longSeconds = 1e-6 * longest["microseconds"].back().get<double>();
  return ordered_json{
      {"name", "measured"},
      {"description", computer["cpu"].get<std::string>() + ", " + std::to_string(cores) +
                          (cores == 1 ? " core" : " cores")},
      {"nodes", 1},
      {"devices_per_node", cores},
      {"shared_cores", cores},
      {"memory_bytes", values.measured(computer["memory_bytes"].get<double>())},
      {"reserved_bytes", values.of(0x1p28, "guess: the system")},
      {"communicator_bytes", values.of(0x1p24, "guess: windows of the groups")},
      {"bandwidth_bytes_per_second", values.measured(rates->second)},
      {"node_bandwidth_bytes_per_second", values.measured(rates->first)},
      {"bandwidth_share", values.of(0.85, "guess: grok-bench says share of a model")},
      {"peak_operations_per_second",
       {{"f32", values.measured(peakOf(runtime::Arithmetic::floats, cores))},
        {"int8", values.measured(peakOf(runtime::Arithmetic::integers, cores))}}},
      {"peak_share", values.of(0.6, "guess: large matrix products")},
      {"launch_gap_microseconds", values.measured(1e6 * *gap)},
      {"links",
       {{"inside",
         {{"topology", "shared memory"},
          {"latency_microseconds", values.measured(longest["microseconds"][0].get<double>())},
          {"bandwidth_bytes_per_second",
           values.measured(double(std::end(messageBytes)[-1]) / longSeconds)}}}}},
      {"all_reduce", *rows}};
}

} // namespace grok::tools
