// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Times of collectives: from a machine's table where it has the ranks, from its
// links (alpha + bytes * beta) where it has not.
#include "passes/sharding/search/Machine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace grok::search {

static double interpolate(double x, double x0, double y0, double x1, double y1) {
  return x1 == x0 ? y0 : y0 + (y1 - y0) * (x - x0) / (x1 - x0);
}

/// Bytes that each rank sends in the best known algorithm for long messages.
static double ringBytes(int64_t ranks, double bytes) {
  return 2 * bytes * double(ranks - 1) / double(ranks);
}

/// Of one algorithm at one number of ranks: linear in the bytes, which is exact
/// where a latency and a rate explain the cells, however far apart these are;
/// before the first cell as the first, after the last as the link.
static std::optional<double> lookUp(const Machine &machine, const std::string &algorithm,
                                    int64_t ranks, int64_t nodes, double bytes) {
  const AllReduceTime *below = nullptr, *above = nullptr;
  for (const AllReduceTime &cell : machine.allReduces) {
    if (cell.ranks != ranks || cell.nodes != nodes || cell.algorithm != algorithm)
      continue;
    if (cell.bytes <= bytes && (!below || cell.bytes > below->bytes))
      below = &cell;
    if (cell.bytes >= bytes && (!above || cell.bytes < above->bytes))
      above = &cell;
  }
  if (!below && !above)
    return std::nullopt;
  if (!below)
    return above->seconds;
  if (!above)
    return below->seconds + ringBytes(ranks, bytes - below->bytes) / machine.link(nodes).bandwidth;
  return interpolate(bytes, below->bytes, below->seconds, above->bytes, above->seconds);
}

/// One-shot (all to all, then add), two-shot (scatter, gather) and ring.
static double linkSeconds(const Machine &machine, int64_t ranks, int64_t nodes, double bytes) {
  const Link &link = machine.link(nodes);
  const double others = double(ranks - 1), passed = ringBytes(ranks, bytes) / link.bandwidth;
  return std::min({link.seconds + others * bytes / link.bandwidth, 2 * link.seconds + passed,
                   2 * others * link.seconds + passed});
}

const AllReduceTime *Machine::fastestAllReduce(int64_t ranks, int64_t nodesSpanned,
                                               double bytes) const {
  const AllReduceTime *fastest = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const AllReduceTime &cell : allReduces) {
    if (cell.ranks != ranks || cell.nodes != nodesSpanned ||
        (fastest && cell.algorithm == fastest->algorithm))
      continue;
    const auto seconds = lookUp(*this, cell.algorithm, ranks, nodesSpanned, bytes);
    if (seconds && *seconds < least) {
      least = *seconds;
      fastest = &cell;
    }
  }
  return fastest;
}

static double atKnownRanks(const Machine &machine, int64_t ranks, int64_t nodes, double bytes) {
  const AllReduceTime *fastest = machine.fastestAllReduce(ranks, nodes, bytes);
  if (!fastest)
    return std::numeric_limits<double>::infinity();
  return lookUp(machine, fastest->algorithm, ranks, nodes, bytes).value_or(fastest->seconds);
}

/// Without a cell for so many nodes: what is known of the most nodes below, with
/// as many ranks on each, and another step between nodes for each doubling; never
/// less than the links take.
static double overMoreNodes(const Machine &machine, int64_t ranks, int64_t nodes, double bytes) {
  int64_t known = 0;
  for (const AllReduceTime &cell : machine.allReduces)
    if (cell.nodes < nodes)
      known = std::max(known, cell.nodes);
  const double byLinks = linkSeconds(machine, ranks, nodes, bytes);
  if (known == 0)
    return byLinks;
  const int64_t fewerRanks = std::max<int64_t>(2, ranks * known / nodes);
  const double between = std::log2(double(nodes) / double(known)) * machine.across.seconds;
  return std::max(byLinks, machine.allReduceSeconds(fewerRanks, known, bytes) + between);
}

double Machine::allReduceSeconds(int64_t ranks, int64_t nodesSpanned, double bytes) const {
  if (ranks <= 1 || bytes <= 0)
    return 0;
  int64_t fewer = 0, more = 0;
  for (const AllReduceTime &cell : allReduces) {
    if (cell.nodes != nodesSpanned)
      continue;
    if (cell.ranks <= ranks)
      fewer = std::max(fewer, cell.ranks);
    if (cell.ranks >= ranks && (more == 0 || cell.ranks < more))
      more = cell.ranks;
  }
  if (fewer == 0 && more == 0)
    return overMoreNodes(*this, ranks, nodesSpanned, bytes);
  if (fewer == 0) // never cheaper than a guess with fewer hops; the table's is safe
    return atKnownRanks(*this, more, nodesSpanned, bytes);
  const double lower = atKnownRanks(*this, fewer, nodesSpanned, bytes);
  if (more == 0) // each doubling costs another step of the link
    return lower + link(nodesSpanned).seconds * std::log2(double(ranks) / double(fewer));
  return interpolate(std::log2(double(ranks)), std::log2(double(fewer)), lower,
                     std::log2(double(more)), atKnownRanks(*this, more, nodesSpanned, bytes));
}

double Machine::allGatherSeconds(int64_t ranks, int64_t nodesSpanned, double bytes) const {
  if (ranks <= 1)
    return 0;
  return link(nodesSpanned).secondsFor(double(ranks - 1) * bytes);
}

} // namespace grok::search
