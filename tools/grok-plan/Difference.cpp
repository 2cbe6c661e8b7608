// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-plan/Difference.h"

#include "runtime/plan/File.h"
#include "tools/commandline/CommandLine.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-plan/Table.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

namespace grok::tools {
using nlohmann::ordered_json;
using runtime::fail;
using runtime::Result;

namespace {
/// Collects facts from the keys of JSON objects.
class Facts {
public:
  void addText(const std::string &name, const ordered_json &value) {
    if (value.is_null())
      return;
    list.push_back({name, value.is_string() ? value.get<std::string>() : value.dump(), {}});
  }
  void addNumber(const std::string &name, const ordered_json &value, const char *unit = "") {
    if (!value.is_number())
      return;
    const auto number = value.get<double>();
    list.push_back({name, textOf(number, unit), number});
  }
  std::vector<Fact> take() { return std::move(list); }

private:
  static std::string textOf(double number, const std::string &unit) {
    if (unit == "B")
      return showSize(static_cast<uint64_t>(number));
    char text[48];
    std::snprintf(text, sizeof text, number == std::round(number) ? "%.0f" : "%.4g", number);
    return text + (unit.empty() ? "" : " " + unit);
  }

  std::vector<Fact> list;
};
} // namespace

/// The value at `key`, or null.
static ordered_json at(const ordered_json &object, const std::string &key) {
  return object.is_object() && object.contains(key) ? object[key] : ordered_json();
}

/// All plain values below `object`, each under its key.
static void addAll(Facts &facts, const std::string &prefix, const ordered_json &object) {
  if (!object.is_object())
    return;
  for (const auto &[key, value] : object.items())
    if (value.is_number())
      facts.addNumber(prefix + key, value);
    else if (value.is_string() || value.is_boolean())
      facts.addText(prefix + key, value);
}

static void addNumbers(Facts &facts, const std::string &prefix, const ordered_json &object,
                       const char *unit) {
  if (object.is_object())
    for (const auto &[key, value] : object.items())
      facts.addNumber(prefix + key, value, unit);
}

static void addPrograms(Facts &facts, const ordered_json &programs) {
  for (const ordered_json &program : programs)
    for (const ordered_json &bucket : at(program, "buckets")) {
      const ordered_json named = at(program, "name");
      const std::string name = named.is_string() && !named.get<std::string>().empty()
                                   ? named.get<std::string>() + ", "
                                   : "";
      const std::string steps = name + "steps of " + at(bucket, "max_rows").dump() + " rows, ";
      facts.addNumber(steps + "launches", at(bucket, "launches"));
      facts.addNumber(steps + "arena", at(bucket, "arena_bytes"), "B");
    }
}

static std::vector<Fact> factsOfArtifact(const ordered_json &shown) {
  Facts facts;
  addAll(facts, "model, ", at(shown, "model"));
  facts.addText("numerics", at(shown, "numerics"));
  facts.addText("weights", at(shown, "weights"));
  facts.addNumber("context", at(shown, "max_context"), "positions");
  facts.addNumber("rows of a step", at(shown, "max_step_rows"));
  facts.addNumber("ranks", at(shown, "ranks").size());
  const ordered_json page = at(shown, "page");
  facts.addText("cache, elements", at(page, "dtype"));
  facts.addNumber("cache page, positions", at(page, "tokens"));
  facts.addNumber("cache page", at(page, "bytes"), "B");
  for (const ordered_json &layout : at(shown, "layouts")) {
    const std::string name = "weights of " + at(layout, "name").get<std::string>() + ", ";
    facts.addNumber(name + "file", at(layout, "file_bytes"), "B");
    for (const ordered_json &weight : at(layout, "weights")) {
      const std::string kind = name + at(weight, "name").get<std::string>();
      facts.addText(kind + ", dtype", at(weight, "dtype"));
      facts.addNumber(kind, at(weight, "bytes"), "B");
    }
  }
  addPrograms(facts, at(shown, "programs"));
  std::map<std::string, int64_t> kernels;
  for (const ordered_json &kernel : at(shown, "kernels"))
    ++kernels[at(kernel, "op").get<std::string>()];
  for (const auto &[op, count] : kernels)
    facts.addNumber("kernels of " + op, count);
  for (const ordered_json &code : at(shown, "code"))
    facts.addNumber("code for " + at(code, "target").get<std::string>() + "-" +
                        at(code, "level").get<std::string>(),
                    at(code, "bytes"), "B");
  return facts.take();
}

static std::vector<Fact> factsOfSearch(const ordered_json &search) {
  Facts facts;
  addAll(facts, "model, ", at(search, "model"));
  facts.addText("machine", at(search, "machine"));
  facts.addText("machine file", at(search, "machine_sha256"));
  addAll(facts, "", at(search, "workload"));
  const ordered_json plans = at(search, "plans");
  const ordered_json plan = plans.is_array() && !plans.empty() ? plans[0] : ordered_json();
  facts.addText("sharding", at(plan, "sharding"));
  facts.addText("layers of stages", at(plan, "stage_layers"));
  facts.addNumber("micro-batches", at(plan, "micro_batches"));
  facts.addNumber("ranks", at(plan, "ranks"));
  facts.addText("weights", at(plan, "weights"));
  facts.addNumber("a token", at(plan, "token_milliseconds"), "ms");
  addNumbers(facts, "a token, ", at(plan, "token_milliseconds_by_term"), "ms");
  facts.addText("bound by", at(plan, "bound_by"));
  facts.addNumber("decode", at(plan, "tokens_per_second"), "tokens/s");
  facts.addNumber("first token", at(plan, "first_token_milliseconds"), "ms");
  facts.addNumber("with prompts", at(plan, "served_tokens_per_second"), "tokens/s");
  facts.addNumber("a rank", at(plan, "bytes_per_rank"), "B");
  addNumbers(facts, "a rank, ", at(plan, "memory"), "B");
  return facts.take();
}

std::vector<Fact> factsOf(const ordered_json &shown) {
  return shown.contains("plans") ? factsOfSearch(shown) : factsOfArtifact(shown);
}

std::vector<Difference> compareFacts(const std::vector<Fact> &left,
                                     const std::vector<Fact> &right) {
  const auto find = [](const std::vector<Fact> &facts, const std::string &name) {
    const auto found = std::ranges::find(facts, name, &Fact::name);
    return found == facts.end() ? nullptr : &*found;
  };
  std::vector<Difference> differences;
  for (const Fact &fact : left) {
    const Fact *other = find(right, fact.name);
    const bool isEqual = other && other->text == fact.text && other->number == fact.number;
    if (isEqual)
      continue;
    Difference next{fact.name, fact.text, other ? other->text : "", {}};
    if (other && fact.number && other->number && *fact.number != 0)
      next.change = *other->number / *fact.number - 1;
    differences.push_back(std::move(next));
  }
  for (const Fact &fact : right)
    if (!find(left, fact.name))
      differences.push_back({fact.name, "", fact.text, {}});
  return differences;
}

Result<std::vector<Fact>> readFacts(const std::string &path) {
  if (std::filesystem::is_directory(path)) {
    const Result<OpenedPlan> opened = openPlan(path);
    if (!opened)
      return fail(opened.error());
    return factsOf(showJson(*opened));
  }
  constexpr uint64_t mostBytes = 64 << 20;
  const Result<runtime::FileBytes> file = runtime::readFile(path, mostBytes);
  if (!file)
    return fail(file.error());
  const auto *text = reinterpret_cast<const char *>(file->span().data());
  const auto json = ordered_json::parse(text, text + file->span().size(), nullptr,
                                        /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("plans"))
    return fail(path, ": is neither an artifact nor what grok-plan search --json wrote");
  return factsOf(json);
}

/// "B takes 20.1 % less: a token, 5.65 ms -> 4.51 ms.", of what matters most.
static std::string sentenceOf(const std::vector<Difference> &differences) {
  for (const char *name : {"a token", "a rank"})
    for (const Difference &next : differences)
      if (next.name == name && next.change) {
        char text[64];
        std::snprintf(text, sizeof text, "%.1f %% %s", 100 * std::abs(*next.change),
                      *next.change < 0 ? "less" : "more");
        return "B takes " + std::string(text) + ": " + name + ", " + next.left + " -> " +
               next.right + ".\n\n";
      }
  return std::to_string(differences.size()) +
         (differences.size() == 1 ? " difference.\n\n" : " differences.\n\n");
}

static std::string showDifferences(const std::vector<Difference> &differences) {
  if (differences.empty())
    return "No difference.\n";
  Table table({"", "A", "B", "change"}, {3});
  for (const Difference &next : differences) {
    char change[32] = "";
    if (next.change)
      std::snprintf(change, sizeof change, "%+.1f %%", 100 * *next.change);
    table.add({next.name, next.left.empty() ? "-" : next.left,
               next.right.empty() ? "-" : next.right, change});
  }
  return sentenceOf(differences) + table.print(0);
}

Result<void> diff(const std::string &left, const std::string &right, bool asJson) {
  if (std::filesystem::is_directory(left) != std::filesystem::is_directory(right))
    return fail(left, " and ", right, ": one is an artifact and one a search, give two alike");
  const Result<std::vector<Fact>> facts = readFacts(left), others = readFacts(right);
  if (!facts || !others)
    return fail(facts ? others.error() : facts.error());
  const std::vector<Difference> differences = compareFacts(*facts, *others);
  if (!asJson)
    return writeOut(showDifferences(differences));
  ordered_json list = ordered_json::array();
  for (const Difference &next : differences)
    list.push_back({{"name", next.name},
                    {"a", next.left},
                    {"b", next.right},
                    {"change", next.change ? ordered_json(*next.change) : ordered_json()}});
  return writeOut(list.dump(2) + '\n');
}

} // namespace grok::tools
