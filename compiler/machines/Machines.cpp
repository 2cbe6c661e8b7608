// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The machine files that are part of the program, and names for their parts.
#include "compiler/machines/EmbeddedMachines.h"
#include "compiler/machines/MachineFile.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

namespace grok::machines {

using search::fail;

/// The machine whose cores stand for a number of ranks without a name.
static constexpr std::string_view coresName = "cpu";

std::vector<KnownMachine> knownMachines() {
  std::vector<KnownMachine> known;
  for (const EmbeddedMachine &file : embeddedMachines()) {
    const auto root = nlohmann::json::parse(file.text);
    known.push_back({std::string(file.name), root["description"].get<std::string>()});
  }
  return known;
}

static const EmbeddedMachine *findEmbedded(std::string_view name) {
  const auto files = embeddedMachines();
  const auto found = std::ranges::find(files, name, &EmbeddedMachine::name);
  return found == files.end() ? nullptr : &*found;
}

static Result<Machine> readEmbedded(const EmbeddedMachine &file) {
  return parseMachine(file.text, std::string(file.name) + ".json");
}

/// "8xh100" -> 8 and "h100"; "8" -> 8 and "".
static std::optional<std::pair<int64_t, std::string>> splitCount(const std::string &name) {
  int64_t count = 0;
  const char *end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, count);
  if (error != std::errc() || count < 1 || (rest != end && (*rest != 'x' || rest + 1 == end)))
    return std::nullopt;
  return std::pair(count, std::string(rest == end ? end : rest + 1, end));
}

static Result<Machine> readPath(const std::string &path) {
  constexpr size_t mostBytes = 1 << 20;
  std::ifstream file(path, std::ios::binary);
  std::string text(mostBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty() || text.size() > mostBytes)
    return fail(path, ": cannot be read as a machine file, give a .json of at most 1 MiB");
  return parseMachine(text, path);
}

/// Ranks that share the cores of the machine without a name of its own.
static Result<Machine> takeCores(int64_t ranks) {
  Result<Machine> machine = readEmbedded(*findEmbedded(coresName));
  constexpr int64_t mostRanks = 1024;
  if (machine && ranks > mostRanks)
    return fail(ranks, " ranks on one machine, give at most ", mostRanks);
  if (machine) {
    machine->devicesPerNode = ranks;
    machine->name = std::to_string(ranks);
  }
  return machine;
}

/// The smallest known machine of one node that has the devices.
static Result<Machine> takeDevices(int64_t count, const std::string &device) {
  Result<Machine> best = fail("");
  for (const EmbeddedMachine &file : embeddedMachines()) {
    const auto split = splitCount(std::string(file.name));
    if (!split || split->second != device || split->first < count)
      continue;
    Result<Machine> machine = readEmbedded(file);
    if (machine && (!best || machine->devices() < best->devices()))
      best = std::move(machine);
  }
  return best ? search::takePart(*best, count) : best;
}

Result<Machine> findMachine(const std::string &name) {
  if (const EmbeddedMachine *file = findEmbedded(name))
    return readEmbedded(*file);
  if (name.ends_with(".json"))
    return readPath(name);
  if (const auto split = splitCount(name)) {
    if (split->second.empty())
      return takeCores(split->first);
    if (Result<Machine> part = takeDevices(split->first, split->second)) {
      part->name = name;
      return part;
    }
  }
  std::string known;
  for (const EmbeddedMachine &file : embeddedMachines())
    known += std::string(file.name) + ", ";
  return fail("'", name, "' is no known machine, give ", known,
              "a part of one (4xh100), a number of ranks on this kind of processor, or a machine "
              "file (.json)");
}

} // namespace grok::machines
