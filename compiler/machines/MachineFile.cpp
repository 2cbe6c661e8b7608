// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/machines/MachineFile.h"

#include "runtime/plan/Sha256.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace grok::machines {

using nlohmann::json;
using search::fail;

/// Of one machine; a search tries every number of replicas.
static constexpr int64_t mostDevices = 1 << 14;
static constexpr double microsecond = 1e-6;

namespace {
/// Reads keys of one object and remembers the first error.
class Reader {
public:
  Reader(const json &object, std::string file, std::string path, Machine &machine)
      : object(object), file(std::move(file)), path(std::move(path)), machine(machine) {}

  /// A number above zero (or zero if allowed) with its source and date.
  double value(const char *key, bool isRequired, bool mayBeZero = false);
  int64_t count(const char *key, bool isRequired, int64_t otherwise);
  std::string text(const char *key);
  std::vector<double> numbers(const char *key);
  /// The object at `key`, or nothing.
  const json *child(const char *key, bool isRequired);
  /// The list at `key`, empty if there is none.
  json list(const char *key);
  void refuseOtherKeys();
  void expect(bool condition, const char *key, const char *message) {
    if (!condition)
      say(key, message);
  }

  std::string error;
  std::string pathOf(const std::string &key) const { return path + key; }

private:
  const json *find(const char *key, bool isRequired);
  void say(const std::string &key, const std::string &message) {
    if (error.empty())
      error = file + ", " + path + key + ": " + message;
  }

  const json &object;
  std::string file, path;
  Machine &machine;
  std::set<std::string> known;
};
} // namespace

const json *Reader::find(const char *key, bool isRequired) {
  known.insert(key);
  const auto found = object.find(key);
  if (found != object.end())
    return &*found;
  if (isRequired)
    say(key, "is missing");
  return nullptr;
}

double Reader::value(const char *key, bool isRequired, bool mayBeZero) {
  const json *found = find(key, isRequired);
  if (!found)
    return 0;
  const auto isText = [&](const char *part) {
    const auto text = found->find(part);
    return text != found->end() && text->is_string() &&
           !text->get_ref<const std::string &>().empty();
  };
  if (!found->is_object() || !found->contains("value") || !isText("source") || !isText("date") ||
      found->size() != 3) {
    say(key, "expects {\"value\": a number, \"source\": a text, \"date\": a text}");
    return 0;
  }
  const json &number = (*found)["value"];
  const double result = number.is_number() ? number.get<double>() : -1;
  if (!std::isfinite(result) || result < 0 || (result == 0 && !mayBeZero))
    say(key, "value expects a number above 0");
  machine.sources[path + key] = (*found)["source"].get<std::string>();
  return result;
}

int64_t Reader::count(const char *key, bool isRequired, int64_t otherwise) {
  const json *found = find(key, isRequired);
  if (!found)
    return otherwise;
  const int64_t result = found->is_number_integer() ? found->get<int64_t>() : 0;
  if (result < 1 || result > mostDevices) {
    say(key, "expects a whole number of 1 to " + std::to_string(mostDevices));
    return otherwise;
  }
  return result;
}

std::string Reader::text(const char *key) {
  const json *found = find(key, true);
  if (found && (!found->is_string() || found->get_ref<const std::string &>().empty()))
    say(key, "expects a text");
  return found && found->is_string() ? found->get<std::string>() : "";
}

std::vector<double> Reader::numbers(const char *key) {
  std::vector<double> result;
  const json *found = find(key, true);
  if (found && found->is_array())
    for (const json &next : *found)
      if (next.is_number() && next.get<double>() > 0)
        result.push_back(next.get<double>());
  if (found && (!found->is_array() || result.size() != found->size() || result.empty()))
    say(key, "expects a list of numbers above 0");
  return result;
}

const json *Reader::child(const char *key, bool isRequired) {
  const json *found = find(key, isRequired);
  if (found && !found->is_object()) {
    say(key, "expects an object");
    return nullptr;
  }
  return found;
}

json Reader::list(const char *key) {
  const json *found = find(key, false);
  if (found && !found->is_array())
    say(key, "expects a list");
  return found && found->is_array() ? *found : json::array();
}

void Reader::refuseOtherKeys() {
  for (const auto &[key, value] : object.items())
    if (!known.contains(key))
      say(key, "is no key of a machine file");
}

/// The error of a part, if it has one.
static Result<void> finish(Reader &reader) {
  reader.refuseOtherKeys();
  if (!reader.error.empty())
    return tl::unexpected(reader.error);
  return {};
}

static Result<void> readLink(const json &links, const char *name, const std::string &file,
                             Machine &machine, search::Link &link) {
  Reader outer(links, file, "links.", machine);
  const json *object = outer.child(name, true);
  if (!object)
    return tl::unexpected(outer.error);
  Reader reader(*object, file, "links." + std::string(name) + ".", machine);
  reader.text("topology");
  link.seconds = microsecond * reader.value("latency_microseconds", true, true);
  link.bandwidth = reader.value("bandwidth_bytes_per_second", true);
  return finish(reader);
}

static Result<void> readLinks(const json &links, const std::string &file, Machine &machine) {
  for (const auto &[key, value] : links.items())
    if (key != "inside" && key != "across")
      return fail(file, ", links.", key, ": is no key of a machine file");
  if (Result<void> done = readLink(links, "inside", file, machine, machine.inside); !done)
    return done;
  machine.across = machine.inside;
  if (machine.nodes > 1 || links.contains("across"))
    return readLink(links, "across", file, machine, machine.across);
  return {};
}

/// One algorithm at one number of ranks.
static Result<void> readRow(const json &row, size_t index, const std::string &file,
                            Machine &machine) {
  const std::string path = "all_reduce[" + std::to_string(index) + "]";
  if (!row.is_object())
    return fail(file, ", ", path, ": expects an object");
  Reader reader(row, file, path + ".", machine);
  search::AllReduceTime cell;
  cell.ranks = reader.count("ranks", true, 2);
  cell.nodes = reader.count("nodes", false, 1);
  cell.algorithm = reader.text("algorithm");
  cell.source = reader.text("source");
  reader.text("date");
  const std::vector<double> bytes = reader.numbers("bytes");
  const std::vector<double> times = reader.numbers("microseconds");
  reader.expect(cell.ranks >= 2, "ranks", "expects at least 2");
  reader.expect(bytes.size() == times.size(), "microseconds", "expects as many as bytes");
  reader.expect(std::ranges::is_sorted(bytes) && std::ranges::adjacent_find(bytes) == bytes.end(),
                "bytes", "expects ascending numbers");
  reader.expect(std::ranges::is_sorted(times), "microseconds",
                "expects that more bytes take no less time");
  if (Result<void> done = finish(reader); !done)
    return done;
  for (size_t i = 0; i < bytes.size(); ++i) {
    cell.bytes = bytes[i];
    cell.seconds = microsecond * times[i];
    machine.allReduces.push_back(cell);
  }
  return {};
}

static Result<void> readAllReduces(const json &rows, const std::string &file, Machine &machine) {
  for (size_t i = 0; i < rows.size(); ++i)
    if (Result<void> done = readRow(rows[i], i, file, machine); !done)
      return done;
  return {};
}

static Result<void> readPeaks(const json &peaks, const std::string &file, Machine &machine) {
  Reader reader(peaks, file, "peak_operations_per_second.", machine);
  for (const char *format : {"f32", "bf16", "fp8", "int8"})
    if (const double peak = reader.value(format, false); peak > 0)
      machine.peaks[format] = peak;
  reader.expect(machine.peaks.contains("f32"), "f32", "is missing");
  return finish(reader);
}

Result<Machine> parseMachine(std::string_view text, const std::string &file) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object())
    return fail(file, ": is no JSON object, give a machine file");
  Machine machine;
  Reader reader(root, file, "", machine);
  machine.name = reader.text("name");
  reader.text("description");
  machine.nodes = reader.count("nodes", true, 1);
  machine.devicesPerNode = reader.count("devices_per_node", true, 1);
  machine.sharedCores = reader.count("shared_cores", false, 0);
  machine.memoryBytes = reader.value("memory_bytes", true);
  machine.reservedBytes = reader.value("reserved_bytes", true, true);
  machine.communicatorBytes = reader.value("communicator_bytes", true, true);
  machine.bandwidth = reader.value("bandwidth_bytes_per_second", true);
  machine.nodeBandwidth = reader.value("node_bandwidth_bytes_per_second", machine.sharedCores > 0);
  machine.bandwidthShare = reader.value("bandwidth_share", true);
  machine.peakShare = reader.value("peak_share", true);
  machine.launchSeconds = microsecond * reader.value("launch_gap_microseconds", true, true);
  reader.expect(machine.devices() <= mostDevices, "devices_per_node", "expects fewer in all");
  reader.expect(machine.bandwidthShare <= 1, "bandwidth_share", "expects at most 1");
  reader.expect(machine.peakShare <= 1, "peak_share", "expects at most 1");
  const json *peaks = reader.child("peak_operations_per_second", true);
  const json *links = reader.child("links", true);
  const json rows = reader.list("all_reduce");
  if (Result<void> done = finish(reader); !done)
    return tl::unexpected(done.error());
  for (const Result<void> &done :
       {readPeaks(*peaks, file, machine), readLinks(*links, file, machine),
        readAllReduces(rows, file, machine)})
    if (!done)
      return tl::unexpected(done.error());
  machine.digest =
      runtime::hex(runtime::sha256(std::as_bytes(std::span<const char>(text.data(), text.size()))));
  return machine;
}

} // namespace grok::machines
