// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Sharding.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

namespace grok::search {

namespace {
struct Axis {
  const char *name;
  int64_t Sharding::*size;
};
} // namespace

static constexpr std::array<Axis, 4> axes = {
    {{"tp", &Sharding::tp}, {"ep", &Sharding::ep}, {"pp", &Sharding::pp}, {"dp", &Sharding::dp}}};
/// Beyond any machine; products of four stay far from overflow.
static constexpr int64_t mostOfAxis = 1 << 14;

std::string Sharding::hiddenText() const {
  const std::vector<int64_t> &layers = hiddenLayers;
  std::string text;
  for (size_t first = 0, next = 0; first < layers.size(); first = next) {
    while (next < layers.size() && layers[next] == layers[first] + int64_t(next - first))
      ++next;
    text += (text.empty() ? "" : ",") + std::to_string(layers[first]);
    if (next - first > 1)
      text += "-" + std::to_string(layers[next - 1]);
  }
  return text;
}

std::string Sharding::text() const {
  std::string text;
  for (const Axis &axis : axes)
    if (this->*axis.size > 1)
      text += (text.empty() ? "" : ".") + std::string(axis.name) + std::to_string(this->*axis.size);
  if (text.empty())
    text = "tp1";
  return hiddenLayers.empty() ? text : text + ":hidden=" + hiddenText();
}

Result<std::vector<int64_t>> parseHiddenLayers(const std::string &text, int64_t layers) {
  constexpr std::string_view key = "hidden=";
  if (!text.starts_with(key))
    return fail("'", text, "' behind a sharding is not hidden=LAYERS");
  std::set<int64_t> hidden;
  for (size_t begin = key.size(); begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string range = text.substr(begin, end - begin);
    const size_t dash = std::min(range.find('-'), range.size());
    const char *last = range.data() + range.size();
    int64_t from = 0, to = layers - 1;
    if (range != "all") {
      const char *middle = range.data() + dash;
      const char *second = middle == last ? range.data() : middle + 1;
      const auto isNumber = [](const char *at, const char *stop, int64_t &number) {
        const auto read = std::from_chars(at, stop, number);
        return read.ec == std::errc() && read.ptr == stop;
      };
      if (!isNumber(range.data(), middle, from) || !isNumber(second, last, to) || from < 0 ||
          from > to || to >= layers)
        return fail("'", range, "' in '", text, "' is no layer or range of layers from 0 to ",
                    layers - 1);
    }
    for (int64_t layer = from; layer <= to; ++layer)
      hidden.insert(layer);
    begin = end + 1;
  }
  return std::vector<int64_t>(hidden.begin(), hidden.end());
}

static Result<Sharding> parseDegrees(const std::string &text) {
  Sharding sharding;
  std::array<bool, axes.size()> isSeen = {};
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('.', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const auto *axis =
        std::ranges::find_if(axes, [&](const Axis &next) { return part.starts_with(next.name); });
    int64_t size = 0;
    const char *last = part.data() + part.size();
    if (axis == axes.end() || std::from_chars(part.data() + 2, last, size).ptr != last ||
        size < 1 || size > mostOfAxis)
      return fail("'", part, "' in sharding '", text, "', give dot-joined tpN, epN, ppN, dpN");
    bool &seen = isSeen[static_cast<size_t>(axis - axes.begin())];
    if (seen)
      return fail("sharding '", text, "' has ", axis->name, " twice");
    seen = true;
    sharding.*axis->size = size;
    begin = end + 1;
  }
  return sharding;
}

Result<Sharding> parseSharding(const std::string &text, int64_t layers) {
  const size_t colon = std::min(text.find(':'), text.size());
  Result<Sharding> sharding = parseDegrees(text.substr(0, colon));
  if (!sharding || colon == text.size())
    return sharding;
  const auto hidden = parseHiddenLayers(text.substr(colon + 1), layers);
  if (!hidden)
    return tl::unexpected(hidden.error());
  sharding->hiddenLayers = *hidden;
  return sharding;
}

Result<void> checkSharding(const ModelShape &model, const Sharding &sharding,
                           const Workload &workload) {
  const auto refuse = [&](int64_t size, const char *axis, const char *rule, int64_t number,
                          const char *what) {
    return fail(sharding.text(), " cannot be made: ", axis, size, ' ', rule, ' ', number, ' ', what,
                " of ", model.name);
  };
  const int64_t tp = sharding.tp, kvHeads = model.keyValueHeads;
  if (model.queryHeads % tp != 0)
    return refuse(tp, "tp", "does not divide the", model.queryHeads, "query heads");
  if (kvHeads % tp != 0 && tp % kvHeads != 0)
    return refuse(tp, "tp", "neither divides nor is a multiple of the", kvHeads, "key/value heads");
  if (tp > std::min(model.hidden, model.vocabulary))
    return refuse(tp, "tp", "is more than the", std::min(model.hidden, model.vocabulary),
                  "hidden columns or tokens");
  if (model.experts % sharding.ep != 0)
    return refuse(sharding.ep, "ep", "does not divide the", model.experts, "experts");
  if (sharding.pp > model.layers)
    return refuse(sharding.pp, "pp", "is more than the", model.layers, "layers");
  if (workload.isReproducible && reproducibleSlices % tp != 0)
    return refuse(tp, "tp", "does not divide the", reproducibleSlices,
                  "slices of reproducible sums");
  if (sharding.hiddenLayers.empty())
    return {};
  const int64_t group = tp * sharding.ep;
  if (group > model.hidden)
    return refuse(group, "ep times tp = ", "is more than the", model.hidden, "hidden columns");
  if (workload.isReproducible && reproducibleSlices % group != 0)
    return refuse(group, "ep times tp = ", "does not divide the", reproducibleSlices,
                  "slices of reproducible sums");
  return {};
}

int64_t nodesSpanned(const Sharding &sharding, int64_t size, const Machine &machine) {
  const int64_t perNode = machine.devicesPerNode;
  int64_t most = 1;
  // Where groups begin relative to nodes repeats after perNode groups.
  const int64_t groups = std::min(sharding.ranks() / size, perNode);
  for (int64_t group = 0; group < groups; ++group)
    most = std::max(most, ((group + 1) * size - 1) / perNode - group * size / perNode + 1);
  return most;
}

int64_t hopsAcross(const Sharding &sharding, const Machine &machine) {
  const int64_t stage = sharding.tp * sharding.ep, replica = stage * sharding.pp;
  int64_t most = 0;
  for (int64_t d = 0; d < std::min(sharding.dp, machine.devicesPerNode); ++d) {
    int64_t across = 0;
    for (int64_t p = 0; p + 1 < sharding.pp; ++p) {
      const int64_t first = d * replica + p * stage;
      // Both stages lie on one node, or some rank's successor does not.
      across += first / machine.devicesPerNode != (first + 2 * stage - 1) / machine.devicesPerNode
                    ? 1
                    : 0;
    }
    most = std::max(most, across);
  }
  return most;
}

} // namespace grok::search
