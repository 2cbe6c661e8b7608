// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Relations between keys, in the order in which a reader of the file meets them.
#include "frontends/graph/ConfigRules.h"

#include <cmath>

namespace grok::graph {

/// A petabyte of float32; three orders of magnitude above the largest model.
static constexpr int64_t mostParameters = int64_t(1) << 48;

int64_t ffnSizeOf(double wideningFactor, int64_t embSize) {
  constexpr int64_t multiple = 8;
  int64_t wide = static_cast<int64_t>(std::floor(wideningFactor * static_cast<double>(embSize)));
  int64_t size = wide * 2 / 3;
  return (size + multiple - 1) / multiple * multiple;
}

static bool addProduct(int64_t &sum, std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  for (int64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product))
      return false;
  return !__builtin_add_overflow(sum, product, &sum);
}

std::optional<int64_t> parameterCount(const ModelConfig &config) {
  constexpr int64_t normsPerLayer = 4;
  constexpr int64_t matricesPerExpert = 3;
  const int64_t heads = 2 * (config.numQHeads + config.numKvHeads); // q, k, v, output
  int64_t layer = 0;
  int64_t total = 0;
  bool fits =
      addProduct(layer, {config.embSize, heads, config.keySize}) &&
      addProduct(layer, {config.embSize, config.numExperts}) &&
      addProduct(layer, {config.embSize, normsPerLayer}) &&
      addProduct(layer, {matricesPerExpert, config.numExperts, config.embSize, config.ffnSize}) &&
      addProduct(total, {config.numLayers, layer}) &&
      addProduct(total, {config.vocabSize, config.embSize}) && addProduct(total, {config.embSize});
  return fits ? std::optional(total) : std::nullopt;
}

struct Rule {
  bool holds;
  std::string_view key;
  std::string what;
};

static Result<void> firstBroken(std::initializer_list<Rule> rules) {
  for (const Rule &rule : rules)
    if (!rule.holds)
      return tl::unexpected("key '" + std::string(rule.key) + "': " + rule.what);
  return {};
}

Result<void> checkRules(const ModelConfig &config) {
  auto text = [](int64_t number) { return std::to_string(number); };
  int64_t ffn = ffnSizeOf(config.wideningFactor, config.embSize);
  int64_t shards = config.modelShardsOfInt8Scales;
  std::optional<int64_t> parameters = parameterCount(config);
  return firstBroken({
      {config.numQHeads % config.numKvHeads == 0, "num_q_heads",
       text(config.numQHeads) + " is not a multiple of num_kv_heads, " + text(config.numKvHeads)},
      {config.keySize % 2 == 0, "key_size",
       text(config.keySize) + " is odd; rotary positions pair the elements of a head"},
      {config.numSelectedExperts <= config.numExperts, "num_selected_experts",
       text(config.numSelectedExperts) + " is more than num_experts, " + text(config.numExperts)},
      {config.eosToken < config.vocabSize, "eos_token",
       text(config.eosToken) + " is not below vocab_size, " + text(config.vocabSize)},
      {config.ffnSize == ffn, "ffn_size",
       text(config.ffnSize) + " is not what widening_factor and emb_size give, " + text(ffn)},
      {config.numQHeads * config.keySize % shards == 0, "model_shards_of_int8_scales",
       text(shards) + " does not divide num_q_heads * key_size, " +
           text(config.numQHeads * config.keySize)},
      {config.ffnSize % shards == 0, "model_shards_of_int8_scales",
       text(shards) + " does not divide ffn_size, " + text(config.ffnSize)},
      {parameters && *parameters <= mostParameters, "num_layers",
       "with the other sizes it makes more than 2^48 weights; no such model can be handled"},
  });
}

} // namespace grok::graph
