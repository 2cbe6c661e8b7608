// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/planning/SearchJson.h"

namespace grok::planning {

using nlohmann::ordered_json;
using search::Plan;

const char *nameOf(search::Goal goal) {
  switch (goal) {
  case search::Goal::latency:
    return "latency";
  case search::Goal::throughput:
    return "throughput";
  case search::Goal::firstToken:
    break;
  }
  return "first-token";
}

std::optional<search::Goal> goalNamed(std::string_view name) {
  for (search::Goal goal :
       {search::Goal::latency, search::Goal::throughput, search::Goal::firstToken})
    if (name == nameOf(goal))
      return goal;
  return std::nullopt;
}

static ordered_json modelJson(const search::ModelShape &model) {
  return {{"name", model.name},
          {"vocabulary", model.vocabulary},
          {"width", model.width},
          {"layers", model.layers},
          {"query_heads", model.queryHeads},
          {"key_value_heads", model.keyValueHeads},
          {"head_size", model.headSize},
          {"hidden", model.hidden},
          {"experts", model.experts},
          {"selected_experts", model.selectedExperts},
          {"row_groups", model.rowGroups}};
}

static ordered_json workloadJson(const search::Workload &workload) {
  return {{"goal", nameOf(workload.goal)},
          {"batch", workload.batch},
          {"context", workload.context},
          {"prompt", workload.prompt},
          {"new_tokens", workload.newTokens},
          {"max_step_rows", workload.stepRows},
          {"cache_element_bits", workload.cacheElementBits},
          {"activation_bytes", workload.activationBytes},
          {"reproducible", workload.isReproducible}};
}

static ordered_json formatJson(const search::WeightFormat &format) {
  const auto matrix = [](const search::MatrixFormat &one) {
    return ordered_json{{"bits", one.bits},
                        {"multiplier_rows", one.multiplierRows},
                        {"scale_bytes", one.scaleBytes}};
  };
  return {{"name", format.name},
          {"experts", matrix(format.experts)},
          {"attention", matrix(format.attention)},
          {"table", matrix(format.table)}};
}

static ordered_json planJson(const Plan &plan) {
  ordered_json times;
  for (size_t i = 0; i < search::numTerms; ++i)
    times[nameOf(static_cast<search::Term>(i))] = 1e3 * plan.token.terms[i];
  return {{"sharding", plan.sharding.text()},
          {"ranks", plan.sharding.ranks()},
          {"stage_layers", plan.sharding.stageLayers},
          {"micro_batches", plan.microBatches},
          {"weights", plan.format.name},
          {"objective_seconds", plan.objective},
          {"token_milliseconds", 1e3 * plan.tokenSeconds},
          {"tokens_per_second", plan.tokensPerSecond},
          {"first_token_milliseconds", 1e3 * plan.firstTokenSeconds},
          {"served_tokens_per_second", plan.servedPerSecond},
          {"bytes_per_rank", static_cast<uint64_t>(plan.memory.total())},
          {"memory",
           {{"weights", static_cast<uint64_t>(plan.memory.weights)},
            {"cache", static_cast<uint64_t>(plan.memory.cache)},
            {"activations", static_cast<uint64_t>(plan.memory.arena)},
            {"communicator", static_cast<uint64_t>(plan.memory.communicator)},
            {"available", static_cast<uint64_t>(plan.availableBytes)}}},
          {"token_milliseconds_by_term", times},
          {"bound_by", plan.boundBy()}};
}

static ordered_json flipJson(const std::optional<search::Flip> &flip) {
  if (!flip)
    return nullptr;
  return {{"value", flip->value}, {"sharding", flip->sharding}, {"weights", flip->weights}};
}

static ordered_json intervalsJson(const std::vector<search::Interval> &intervals) {
  auto list = ordered_json::array();
  for (const search::Interval &interval : intervals)
    list.push_back({{"number", interval.number},
                    {"value", interval.value},
                    {"source", interval.source},
                    {"below", flipJson(interval.below)},
                    {"above", flipJson(interval.above)}});
  return list;
}

static ordered_json prunedJson(const search::PrunedFamily &family) {
  return {{"weights", family.format},
          {"tp", family.sharding.tp},
          {"ep", family.sharding.ep},
          {"pp", family.sharding.pp},
          {"hidden_layers", family.sharding.hiddenText()},
          {"rule", std::string(family.rule)},
          {"objective_bound_seconds", family.bound},
          {"least_bytes_per_rank", family.leastBytes}};
}

/// As behind `hidden=`; null where any layers may be hidden.
static ordered_json hiddenJson(const search::Limits &limits) {
  if (!limits.hiddenLayers)
    return nullptr;
  return search::Sharding{.hiddenLayers = *limits.hiddenLayers}.hiddenText();
}

ordered_json toJson(const SearchDocument &document) {
  const search::Certificate &certificate = document.certificate;
  const search::Limits &limits = document.limits;
  ordered_json formats = ordered_json::array();
  if (limits.formats.empty() && !certificate.ranked.plans.empty())
    formats.push_back(formatJson(certificate.ranked.plans.front().format));
  for (const search::WeightFormat &format : limits.formats)
    formats.push_back(formatJson(format));
  ordered_json json = {{"model", modelJson(document.model)},
                       {"machine", document.devices},
                       {"machine_sha256", document.machine.digest},
                       {"workload", workloadJson(document.workload)},
                       {"formats", formats},
                       {"limits",
                        {{"tp", limits.tp},
                         {"ep", limits.ep},
                         {"pp", limits.pp},
                         {"dp", limits.dp},
                         {"hidden_layers", hiddenJson(limits)},
                         {"all_devices", limits.usesAllDevices},
                         {"memory_budget", limits.memoryBudget},
                         {"top", limits.top}}},
                       {"evaluated", certificate.ranked.evaluated},
                       {"inseparable", certificate.inseparable},
                       {"plans", ordered_json::array()},
                       {"intervals", ordered_json::array()},
                       {"runner_up", ordered_json::array()},
                       {"pruned", ordered_json::array()}};
  for (const Plan &plan : certificate.ranked.plans)
    json["plans"].push_back(planJson(plan));
  json["intervals"] = intervalsJson(certificate.intervals);
  json["runner_up"] = intervalsJson(certificate.runnerUp);
  for (const search::PrunedFamily &family : certificate.ranked.pruned)
    json["pruned"].push_back(prunedJson(family));
  return json;
}

} // namespace grok::planning
