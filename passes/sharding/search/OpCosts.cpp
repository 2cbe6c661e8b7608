// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/OpCosts.h"

#include "passes/sharding/search/Arithmetic.h"

#include <algorithm>
#include <numeric>

namespace grok::search {

static constexpr double floatBytes = 4; // norms, router, gates
static constexpr double indexBytes = 4; // token and expert ids

/// Of a rank's columns, a norm's scale counts once.
static double normFlops(double elements) { return 4 * elements; }

/// Columns of whole panels.
static int64_t panelsOf(int64_t columns) {
  constexpr int64_t panelColumns = 16;
  return divideUp(columns, panelColumns) * panelColumns;
}

/// What one of `parts` ranks has: where parts are not equal, whole panels of
/// columns, the last ones filled up with zeros.
static double partOf(int64_t size, int64_t parts) {
  const int64_t part = divideUp(size, parts);
  return double(size % parts == 0 ? part : panelsOf(part));
}

static int64_t localHeads(int64_t heads, int64_t tp) { return std::max<int64_t>(1, heads / tp); }

LocalShape::LocalShape(const ModelShape &model, const Sharding &sharding, bool splitsHidden)
    : model(model),
      queryColumns(double(localHeads(model.queryHeads, sharding.tp)) * double(model.headSize)),
      keyColumns(double(localHeads(model.keyValueHeads, sharding.tp)) * double(model.headSize)),
      hidden(partOf(model.hidden, splitsHidden ? sharding.tp * sharding.ep : sharding.tp)),
      experts(double(model.experts) / double(splitsHidden ? 1 : sharding.ep)),
      tokens(partOf(model.vocabulary, sharding.tp)) {}

/// Row groups of a matrix of which a rank has `rows` of `allRows` rows: no group
/// of a part crosses one of the whole.
static double groupsOf(double rows, int64_t allRows, int64_t groups) {
  if (groups == 1)
    return 1;
  return rows / double(std::gcd(allRows / groups, int64_t(rows)));
}

double OpCosts::expertBytes() const {
  const auto width = double(local.model.width);
  const double groups = groupsOf(local.hidden, local.model.hidden, local.model.rowGroups);
  return 2 * format.experts.bytes(width, local.hidden, 1) +
         format.experts.bytes(local.hidden, width, groups);
}

double OpCosts::cacheRowBytes() const {
  const double heads = local.keyColumns / double(local.model.headSize);
  const double scale = workload.cacheElementBits == 8 ? floatBytes : 0;
  return 2 * heads * (double(local.model.headSize) * double(workload.cacheElementBits) / 8 + scale);
}

double OpCosts::tableBytes() const {
  return format.table.bytes(double(local.model.width), local.tokens, 1);
}

std::vector<OpCost> OpCosts::embed(const Step &step) const {
  const double rows = double(step.rows), elements = rows * double(local.model.width);
  return {{.op = "grok.embed",
           .weightBytes = tableBytes() / local.tokens * rows,
           .activationBytes = rows * indexBytes + activations(elements),
           .flops = elements}};
}

OpCost OpCosts::firstNorm(const Step &step) const {
  const auto width = double(local.model.width);
  return {.op = "grok.fused_qkv",
          .weightBytes = width * floatBytes,
          .flops = normFlops(double(step.rows) * width)};
}

OpCost OpCosts::qkv(const Step &step) const {
  const auto width = double(local.model.width), rows = double(step.rows);
  const double columns = local.queryColumns + local.keyColumns;
  return {.op = "grok.fused_qkv",
          .weightBytes = format.attention.bytes(width, local.queryColumns, 1) +
                         2 * format.attention.bytes(width, local.keyColumns, 1),
          .activationBytes = activations(rows * width) + rows * indexBytes +
                             activations(rows * local.queryColumns),
          .cacheBytes = rows * cacheRowBytes(),
          .flops = 2 * rows * width * (columns + local.keyColumns) + 3 * rows * columns};
}

OpCost OpCosts::attention(const Step &step) const {
  const double pairs = double(step.rows) * double(step.context);
  const double heads = local.queryColumns / double(local.model.headSize);
  return {.op = "grok.flash_attention",
          .activationBytes = 2 * activations(double(step.rows) * local.queryColumns),
          .cacheBytes = step.cacheReads * double(step.context) * cacheRowBytes(),
          .flops = pairs * (4 * local.queryColumns + 8 * heads)};
}

std::vector<OpCost> OpCosts::layer(const Step &step) const {
  const auto width = double(local.model.width), rows = double(step.rows);
  const auto selected = double(local.model.selectedExperts), all = double(local.model.experts);
  const double elements = rows * width, routed = rows * selected;
  const double outputGroups = groupsOf(
      local.queryColumns, local.model.queryHeads * local.model.headSize, local.model.rowGroups);
  const double downGroups = groupsOf(local.hidden, local.model.hidden, local.model.rowGroups);
  const OpCost norm = {.op = "grok.fused_residual_norm",
                       .weightBytes = 2 * width * floatBytes,
                       .activationBytes = 4 * activations(elements),
                       .flops = 2 * normFlops(elements) + elements};
  return {
      qkv(step),
      attention(step),
      {.op = "grok.linear",
       .weightBytes = format.attention.bytes(local.queryColumns, width, outputGroups),
       .activationBytes = activations(rows * local.queryColumns + elements),
       .flops = 2 * elements * local.queryColumns},
      norm,
      {.op = "grok.route",
       .weightBytes = width * all * floatBytes,
       .activationBytes = activations(elements) + routed * (floatBytes + indexBytes),
       .flops = 2 * elements * all},
      {.op = "grok.fused_gate_up",
       .weightBytes = step.distinctExperts * 2 * format.experts.bytes(width, local.hidden, 1),
       .activationBytes = activations(elements + step.pairs * local.hidden) + routed * indexBytes,
       .flops = step.pairs * local.hidden * (4 * width + 9)},
      {.op = "grok.fused_down_combine",
       .weightBytes = step.distinctExperts * format.experts.bytes(local.hidden, width, downGroups),
       .activationBytes =
           activations(step.pairs * local.hidden + elements) + routed * (floatBytes + indexBytes),
       .flops = 2 * step.pairs * width * (local.hidden + 1)},
      norm};
}

std::vector<OpCost> OpCosts::head(const Step &step) const {
  const auto width = double(local.model.width), rows = double(step.logitRows);
  const double logits = rows * local.tokens;
  return {
      {.op = "grok.logit_rows", .activationBytes = activations((double(step.rows) + rows) * width)},
      {.op = "grok.unembed",
       .weightBytes = tableBytes(),
       .activationBytes = activations(rows * width + logits),
       .flops = 2 * logits * width + logits}};
}

double OpCosts::layerWeightBytes() const {
  double bytes = local.experts * expertBytes();
  // The ops of a step that reads no expert.
  for (const OpCost &cost : layer({.rows = 0, .distinctExperts = 0, .pairs = 0}))
    bytes += cost.weightBytes;
  // The router's columns fill a panel.
  const int64_t columns = local.model.experts;
  bytes += double(local.model.width * (panelsOf(columns) - columns)) * floatBytes;
  return bytes;
}

} // namespace grok::search
