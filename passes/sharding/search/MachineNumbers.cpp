// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/MachineNumbers.h"

#include <algorithm>

namespace grok::search {

using Kind = MachineNumber::Kind;

static constexpr double microsecond = 1e-6;

std::string MachineNumber::name() const {
  switch (kind) {
  case Kind::bandwidth:
    return "bandwidth_bytes_per_second";
  case Kind::peak:
    return "peak_operations_per_second";
  case Kind::launchGap:
    return "launch_gap_microseconds";
  case Kind::insideLatency:
    return "links.inside.latency_microseconds";
  case Kind::insideBandwidth:
    return "links.inside.bandwidth_bytes_per_second";
  case Kind::acrossLatency:
    return "links.across.latency_microseconds";
  case Kind::acrossBandwidth:
    return "links.across.bandwidth_bytes_per_second";
  case Kind::allReduce:
    break;
  }
  return "all_reduce[" + std::to_string(ranks) + " ranks, " + std::to_string(nodes) +
         (nodes == 1 ? " node]" : " nodes]") + ".microseconds";
}

bool MachineNumber::isRate() const {
  return kind == Kind::bandwidth || kind == Kind::peak || kind == Kind::insideBandwidth ||
         kind == Kind::acrossBandwidth;
}

double MachineNumber::valueIn(const Machine &machine, const std::string &weights,
                              double bytes) const {
  switch (kind) {
  case Kind::bandwidth:
    return machine.bandwidth;
  case Kind::peak:
    return machine.peaks.at(machine.peakNameFor(weights));
  case Kind::launchGap:
    return machine.launchSeconds / microsecond;
  case Kind::insideLatency:
    return machine.inside.seconds / microsecond;
  case Kind::insideBandwidth:
    return machine.inside.bandwidth;
  case Kind::acrossLatency:
    return machine.across.seconds / microsecond;
  case Kind::acrossBandwidth:
    return machine.across.bandwidth;
  case Kind::allReduce:
    break;
  }
  return machine.allReduceSeconds(ranks, nodes, bytes) / microsecond;
}

std::string MachineNumber::sourceIn(const Machine &machine, double bytes) const {
  if (kind == Kind::allReduce) {
    const AllReduceTime *cell = machine.fastestAllReduce(ranks, nodes, bytes);
    return cell ? cell->algorithm + ", " + cell->source : "";
  }
  const auto found = std::ranges::find_if(
      machine.sources, [&](const auto &entry) { return entry.first.starts_with(name()); });
  return found == machine.sources.end() ? "" : found->second;
}

std::vector<MachineNumber> numbersOf(const Machine &machine) {
  std::vector<MachineNumber> numbers = {{Kind::bandwidth}, {Kind::peak}, {Kind::launchGap}};
  if (machine.devices() > 1) {
    numbers.push_back({Kind::insideLatency});
    numbers.push_back({Kind::insideBandwidth});
  }
  if (machine.nodes > 1) {
    numbers.push_back({Kind::acrossLatency});
    numbers.push_back({Kind::acrossBandwidth});
  }
  for (const AllReduceTime &cell : machine.allReduces) {
    const bool isKnown = std::ranges::any_of(numbers, [&](const MachineNumber &number) {
      return number.kind == Kind::allReduce && number.ranks == cell.ranks &&
             number.nodes == cell.nodes;
    });
    if (!isKnown && cell.ranks <= machine.devices() && cell.nodes <= machine.nodes)
      numbers.push_back({Kind::allReduce, cell.ranks, cell.nodes});
  }
  return numbers;
}

Machine scaled(Machine machine, const MachineNumber &number, double factor) {
  switch (number.kind) {
  case Kind::bandwidth:
    machine.bandwidth *= factor;
    machine.nodeBandwidth *= factor;
    break;
  case Kind::peak:
    for (auto &[format, peak] : machine.peaks)
      peak *= factor;
    break;
  case Kind::launchGap:
    machine.launchSeconds *= factor;
    break;
  case Kind::insideLatency:
    machine.inside.seconds *= factor;
    break;
  case Kind::insideBandwidth:
    machine.inside.bandwidth *= factor;
    break;
  case Kind::acrossLatency:
    machine.across.seconds *= factor;
    break;
  case Kind::acrossBandwidth:
    machine.across.bandwidth *= factor;
    break;
  case Kind::allReduce:
    for (AllReduceTime &cell : machine.allReduces)
      if (cell.ranks == number.ranks && cell.nodes == number.nodes)
        cell.seconds *= factor;
    break;
  }
  return machine;
}

} // namespace grok::search
