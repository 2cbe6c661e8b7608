// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/planning/SearchJson.h"

#include <algorithm>

namespace grok::planning {

using nlohmann::ordered_json;

static constexpr int64_t mostLayers = 4096;

namespace {
/// Reads keys of one object after another and remembers the first missing one.
class Keys {
public:
  template <typename T> T at(const ordered_json &object, const char *key) {
    if (!object.is_object() || !object.contains(key) || !hasType<T>(object[key])) {
      if (missing.empty())
        missing = key;
      return T{};
    }
    return object[key].template get<T>();
  }
  ordered_json list(const ordered_json &object, const char *key) {
    const bool isList = object.is_object() && object.contains(key) && object[key].is_array();
    if (!isList && missing.empty())
      missing = key;
    return isList ? object[key] : ordered_json::array();
  }
  ordered_json child(const ordered_json &object, const char *key) {
    const bool isThere = object.is_object() && object.contains(key);
    if (!isThere && missing.empty())
      missing = key;
    return isThere ? object[key] : ordered_json();
  }
  /// What stands at `key` makes no sense.
  void refuse(const char *key) {
    if (missing.empty())
      missing = key;
  }
  std::string missing;

private:
  template <typename T> static bool hasType(const ordered_json &value) {
    if constexpr (std::is_same_v<T, std::string>)
      return value.is_string();
    else if constexpr (std::is_same_v<T, double>)
      return value.is_number();
    else if constexpr (std::is_same_v<T, bool>)
      return value.is_boolean();
    else
      return value.is_number_integer();
  }
};
} // namespace

static search::ModelShape readModel(Keys &keys, const ordered_json &json) {
  const auto number = [&](const char *key) { return keys.at<int64_t>(json, key); };
  return {.name = keys.at<std::string>(json, "name"),
          .vocabulary = number("vocabulary"),
          .width = number("width"),
          .layers = number("layers"),
          .queryHeads = number("query_heads"),
          .keyValueHeads = number("key_value_heads"),
          .headSize = number("head_size"),
          .hidden = number("hidden"),
          .experts = number("experts"),
          .selectedExperts = number("selected_experts"),
          .rowGroups = number("row_groups")};
}

static search::Workload readWorkload(Keys &keys, const ordered_json &json) {
  const auto number = [&](const char *key) { return keys.at<int64_t>(json, key); };
  const auto goal = goalNamed(keys.at<std::string>(json, "goal"));
  if (!goal)
    keys.refuse("goal");
  return {.goal = goal.value_or(search::Goal::latency),
          .batch = number("batch"),
          .context = number("context"),
          .prompt = number("prompt"),
          .newTokens = number("new_tokens"),
          .stepRows = number("max_step_rows"),
          .cacheElementBits = number("cache_element_bits"),
          .activationBytes = number("activation_bytes"),
          .isReproducible = keys.at<bool>(json, "reproducible")};
}

static search::WeightFormat readFormat(Keys &keys, const ordered_json &json) {
  const auto matrix = [&](const char *key) {
    const ordered_json one = keys.child(json, key);
    return search::MatrixFormat{keys.at<double>(one, "bits"),
                                keys.at<int64_t>(one, "multiplier_rows"),
                                keys.at<int64_t>(one, "scale_bytes")};
  };
  return {keys.at<std::string>(json, "name"), matrix("experts"), matrix("attention"),
          matrix("table")};
}

/// "" or ranges of layers.
static std::vector<int64_t> readLayers(Keys &keys, const ordered_json &json, int64_t layers) {
  const auto text = keys.at<std::string>(json, "hidden_layers");
  if (text.empty())
    return {};
  const auto hidden = search::parseHiddenLayers("hidden=" + text, std::min(layers, mostLayers));
  if (!hidden)
    keys.refuse("hidden_layers");
  return hidden.value_or(std::vector<int64_t>());
}

static search::Limits readLimits(Keys &keys, const ordered_json &root, int64_t layers) {
  const ordered_json json = keys.child(root, "limits");
  search::Limits limits;
  limits.tp = keys.at<int64_t>(json, "tp");
  limits.ep = keys.at<int64_t>(json, "ep");
  limits.pp = keys.at<int64_t>(json, "pp");
  limits.dp = keys.at<int64_t>(json, "dp");
  if (!keys.child(json, "hidden_layers").is_null())
    limits.hiddenLayers = readLayers(keys, json, layers);
  limits.usesAllDevices = keys.at<bool>(json, "all_devices");
  limits.memoryBudget = keys.at<double>(json, "memory_budget");
  limits.top = static_cast<size_t>(keys.at<int64_t>(json, "top"));
  for (const ordered_json &format : keys.list(root, "formats"))
    limits.formats.push_back(readFormat(keys, format));
  return limits;
}

static std::optional<search::Flip> readFlip(Keys &keys, const ordered_json &json) {
  if (json.is_null())
    return std::nullopt;
  return search::Flip{keys.at<double>(json, "value"), keys.at<std::string>(json, "sharding"),
                      keys.at<std::string>(json, "weights")};
}

static search::PrunedFamily readPruned(Keys &keys, const ordered_json &json, int64_t layers) {
  search::PrunedFamily pruned;
  pruned.format = keys.at<std::string>(json, "weights");
  pruned.sharding.tp = keys.at<int64_t>(json, "tp");
  pruned.sharding.ep = keys.at<int64_t>(json, "ep");
  pruned.sharding.pp = keys.at<int64_t>(json, "pp");
  pruned.sharding.hiddenLayers = readLayers(keys, json, layers);
  pruned.bound = keys.at<double>(json, "objective_bound_seconds");
  pruned.leastBytes = keys.at<double>(json, "least_bytes_per_rank");
  const auto rule = keys.at<std::string>(json, "rule");
  for (const char *known : {"memory", "time"})
    if (rule == known)
      pruned.rule = known;
  if (rule != pruned.rule)
    keys.refuse("rule");
  return pruned;
}

/// Sizes by which the checker divides or loops.
static bool isSound(const search::Claim &claim) {
  const search::ModelShape &model = claim.model;
  const search::Workload &workload = claim.workload;
  constexpr int64_t most = int64_t(1) << 24;
  for (int64_t size :
       {model.vocabulary, model.width, model.layers, model.queryHeads, model.keyValueHeads,
        model.headSize, model.hidden, model.experts, model.selectedExperts, model.rowGroups,
        workload.batch, workload.prompt, workload.newTokens, workload.stepRows,
        workload.cacheElementBits, workload.activationBytes})
    if (size < 1 || size > most)
      return false;
  return workload.context >= 0 && workload.context <= most && !claim.limits.formats.empty() &&
         model.selectedExperts <= model.experts && model.experts <= 4096 &&
         model.layers <= mostLayers;
}

search::Result<search::Claim> parseClaim(std::string_view text, const std::string &file) {
  const ordered_json root = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object())
    return search::fail(file, ": is no JSON object, give what grok-plan search wrote");
  Keys keys;
  search::Claim claim;
  claim.model = readModel(keys, keys.child(root, "model"));
  claim.machine = keys.at<std::string>(root, "machine");
  claim.machineDigest = keys.at<std::string>(root, "machine_sha256");
  claim.workload = readWorkload(keys, keys.child(root, "workload"));
  claim.limits = readLimits(keys, root, claim.model.layers);
  for (const ordered_json &plan : keys.list(root, "plans"))
    claim.ranked.push_back({keys.at<std::string>(plan, "sharding"),
                            keys.at<std::string>(plan, "weights"),
                            keys.at<double>(plan, "objective_seconds")});
  for (const ordered_json &family : keys.list(root, "pruned"))
    claim.pruned.push_back(readPruned(keys, family, claim.model.layers));
  for (const ordered_json &interval : keys.list(root, "intervals"))
    claim.intervals.push_back(
        {keys.at<std::string>(interval, "number"), keys.at<double>(interval, "value"),
         keys.at<std::string>(interval, "source"), readFlip(keys, keys.child(interval, "below")),
         readFlip(keys, keys.child(interval, "above"))});
  if (!keys.missing.empty())
    return search::fail(file, ", ", keys.missing, ": is missing or of the wrong kind");
  if (claim.ranked.empty() || !isSound(claim))
    return search::fail(file, ": certifies no plan, or has sizes out of range");
  return claim;
}

} // namespace grok::planning
