// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Names, canonical text and limits of kernel specifications.
#include "compiler/kernels/KernelSpec.h"

#include "dialects/plan/QuantizedRow.h"
#include "dialects/plan/SumOrder.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace grok::compiler {

// Indexed by KernelOp.
struct OpRow {
  const char *name;
  int64_t operands;
};
static constexpr std::array<OpRow, 20> opTable = {
    {{"embed", 3},       {"rms_norm", 3},      {"qkv", 10},          {"attention", 3},
     {"linear", 4},      {"residual_norm", 5}, {"route", 4},         {"group", 2},
     {"gate_up", 7},     {"down_combine", 6},  {"unembed", 4},       {"quantize", 2},
     {"map_experts", 3}, {"combine", 4},       {"read", 3},          {"persistent", 1},
     {"sample", 2},      {"exchange", 3},      {"exchange_norm", 6}, {"merge", 3}}};

const char *nameOf(KernelOp op) { return opTable[static_cast<size_t>(op)].name; }

int64_t operandCount(const KernelSpec &spec) {
  // The number of pairs, which is that of the tiles, stands in the groups.
  const bool readsGroups = spec.op == KernelOp::quantize && spec.selected;
  const bool readsFirst = spec.op == KernelOp::embed && spec.localTokens;
  return opTable[static_cast<size_t>(spec.op)].operands + (readsGroups || readsFirst);
}

std::optional<KernelOp> kernelOpNamed(const std::string &name) {
  for (size_t i = 0; i < opTable.size(); ++i)
    if (name == opTable[i].name)
      return static_cast<KernelOp>(i);
  return std::nullopt;
}

bool isService(KernelOp op) {
  return op == KernelOp::read || op == KernelOp::persistent || op == KernelOp::sample ||
         op == KernelOp::exchange || op == KernelOp::exchangeNorm || op == KernelOp::merge;
}

const char *nameOf(Numerics numerics) {
  static constexpr std::array<const char *, 3> names = {"f32", "bf16", "fast"};
  return names[static_cast<size_t>(numerics)];
}

static constexpr std::array<const char *, 4> cacheElementNames = {"f32", "bf16", "int8", "fp8"};

const char *nameOf(CacheElement element) { return cacheElementNames[static_cast<size_t>(element)]; }

std::optional<CacheElement> cacheElementNamed(std::string_view name) {
  for (size_t i = 0; i < cacheElementNames.size(); ++i)
    if (name == cacheElementNames[i])
      return static_cast<CacheElement>(i);
  return std::nullopt;
}

int64_t bytesOf(CacheElement element) {
  return element == CacheElement::f32 ? 4 : element == CacheElement::bf16 ? 2 : 1;
}

bool hasCodes(CacheElement element) { return bytesOf(element) == 1; }

const char *nameOf(WeightFormat::Element element) {
  static constexpr std::array<const char *, 5> names = {"f32", "bf16", "i8", "i4", "i3"};
  return names[static_cast<size_t>(element)];
}

WeightFormat WeightFormat::forContraction(Element element, int64_t contraction, int64_t groups,
                                          Numerics numerics, int64_t group) {
  WeightFormat format{element, groups, 0, 1, group};
  plan::SumOrder order;
  if (numerics == Numerics::fast && format.isInteger())
    order = plan::chooseSumOrder(contraction, groups, plan::longestIntegerUnit);
  else // a chain of codes is multiplied once, by the multiplier of its run
    order =
        plan::chooseSumOrder(contraction, format.hasMultipliers() ? contraction / group : groups);
  format.unit = order.unit;
  format.slices = order.slices;
  return format;
}

int64_t WeightFormat::kPack() const {
  return plan::choosePackedInputs(std::max<int64_t>(bits(), 8), unit);
}

int64_t WeightFormat::bits() const {
  static constexpr std::array<int64_t, 5> bits = {32, 16, 8, 4, 3};
  return bits[static_cast<size_t>(element)];
}

int64_t WeightFormat::panelBytes(int64_t contraction) const {
  int64_t multipliers = hasMultipliers() ? contraction / group : 0;
  return panelColumns * (contraction * bits() / 8 + multipliers);
}

namespace {

// Writes "op key=value key=value", one call per field that the op uses.
class TextWriter {
public:
  explicit TextWriter(const KernelSpec &spec) : text(nameOf(spec.op)) {
    add("numerics", nameOf(spec.numerics));
  }
  void add(const char *key, const std::string &value) { text += ' ' + (key + ('=' + value)); }
  void add(const char *key, int64_t value) { add(key, std::to_string(value)); }
  void add(const char *key, double value) {
    char digits[40]; // %a is exact, so different constants never share a text
    snprintf(digits, sizeof digits, "%a", value);
    add(key, digits);
  }
  void addWeight(const WeightFormat &weight) {
    add("element", nameOf(weight.element));
    add("groups", weight.groups);
    add("unit", weight.unit);
    add("slices", weight.slices);
    if (weight.hasMultipliers())
      add("group", weight.group);
  }
  void addForm(const KernelSpec &spec) { add("form", spec.maxRows == 1 ? "gemv" : "gemm"); }
  void addCache(const KernelSpec &spec) {
    add("kv", nameOf(spec.kv));
    add("q_heads", spec.qHeads);
    add("kv_heads", spec.kvHeads);
    add("head_dim", spec.headDim);
    add("layers", spec.layers);
    add("page_tokens", spec.pageTokens);
    add("max_context", spec.maxContext);
  }
  std::string text;
};

} // namespace

static void addExpertFields(TextWriter &writer, const KernelSpec &spec) {
  writer.add("emb", spec.emb);
  writer.add("ffn", spec.ffn);
  writer.add("experts", spec.experts);
  writer.add("selected", spec.selected);
  writer.add("tile_panels", spec.tilePanels);
}

std::string canonicalText(const KernelSpec &spec) {
  TextWriter writer(spec);
  switch (spec.op) {
  case KernelOp::embed:
    writer.add("emb", spec.emb);
    writer.add("vocab", spec.vocab);
    writer.add("multiplier", spec.multiplier);
    writer.addWeight(spec.weight);
    if (spec.localTokens)
      writer.add("local_tokens", spec.localTokens);
    break;
  case KernelOp::rmsNorm:
  case KernelOp::residualNorm:
  case KernelOp::exchangeNorm:
    writer.add("emb", spec.emb);
    writer.add("eps", spec.eps);
    if (spec.parts > 1)
      writer.add("parts", spec.parts);
    break;
  case KernelOp::combine:
    writer.add("emb", spec.emb);
    writer.add("selected", spec.selected);
    break;
  case KernelOp::qkv:
    writer.add("emb", spec.emb);
    writer.addCache(spec);
    writer.addWeight(spec.weight);
    writer.addForm(spec);
    break;
  case KernelOp::attention:
    writer.addCache(spec);
    writer.add("key_slice", spec.keySlice);
    writer.add("multiplier", spec.multiplier);
    writer.add("softcap", spec.softcap);
    writer.add("form", spec.numerics == Numerics::bf16 ? "two_pass" : "flash");
    break;
  case KernelOp::linear:
    writer.add("in", spec.in);
    writer.add("out", spec.out);
    writer.add("tile_panels", spec.tilePanels);
    writer.addWeight(spec.weight);
    writer.addForm(spec);
    break;
  case KernelOp::route:
    writer.add("emb", spec.emb);
    writer.add("experts", spec.experts);
    writer.add("selected", spec.selected);
    break;
  case KernelOp::group:
    writer.add("ffn", spec.ffn);
    writer.add("experts", spec.experts);
    writer.add("selected", spec.selected);
    writer.add("tile_panels", spec.tilePanels);
    break;
  case KernelOp::gateUp:
  case KernelOp::downCombine:
    addExpertFields(writer, spec);
    if (spec.accumulate)
      writer.add("accumulate", spec.accumulate);
    if (spec.separate)
      writer.add("separate", spec.separate);
    writer.addWeight(spec.weight);
    writer.addForm(spec);
    break;
  case KernelOp::unembed:
    writer.add("emb", spec.emb);
    writer.add("vocab", spec.vocab);
    writer.add("multiplier", spec.multiplier);
    writer.add("tile_panels", spec.tilePanels);
    writer.addWeight(spec.weight);
    writer.addForm(spec);
    break;
  case KernelOp::quantize:
    writer.add("in", spec.in);
    writer.add("unit", spec.weight.unit);
    if (spec.selected)
      writer.add("selected", spec.selected);
    break;
  case KernelOp::mapExperts:
    writer.add("experts", spec.experts);
    writer.add("selected", spec.selected);
    break;
  case KernelOp::sample:
    writer.add("vocab", spec.vocab);
    writer.add("stride", spec.out);
    break;
  case KernelOp::read:
  case KernelOp::persistent:
  case KernelOp::exchange:
  case KernelOp::merge:
    break;
  }
  if (spec.digits > 1)
    writer.add("digits", spec.digits);
  return writer.text;
}

int64_t contractionOf(const KernelSpec &spec) {
  switch (spec.op) {
  case KernelOp::linear:
  case KernelOp::quantize:
    return spec.in;
  case KernelOp::downCombine:
    return spec.ffn;
  default:
    return spec.emb;
  }
}

bool readsQuantizedRows(const KernelSpec &spec) {
  switch (spec.op) {
  case KernelOp::qkv:
  case KernelOp::linear:
  case KernelOp::gateUp:
  case KernelOp::downCombine:
  case KernelOp::unembed:
    return spec.numerics == Numerics::fast && spec.weight.isInteger() && spec.weight.unit % 4 == 0;
  default:
    return false;
  }
}

// ---- limits

// Far beyond any model, and small enough that no product of three of them with
// an element size overflows 64 bits.
static constexpr int64_t dimensionLimit = int64_t(1) << 20;

namespace {

// Collects the first broken rule.
class Checker {
public:
  explicit Checker(const KernelSpec &spec) : spec(spec) {}

  void dimension(const char *name, int64_t value, int64_t limit = dimensionLimit) {
    require(value >= 1 && value <= limit, std::string(name) + " is " + std::to_string(value) +
                                              ", expected 1.." + std::to_string(limit));
  }
  void require(bool holds, const std::string &message) {
    if (!holds && !problem)
      problem = std::string(nameOf(spec.op)) + " kernel: " + message;
  }
  void contraction(int64_t inputs) {
    const WeightFormat &weight = spec.weight;
    dimension("contraction", inputs);
    dimension("groups", weight.groups);
    dimension("slices", weight.slices, 16);
    dimension("unit", weight.unit, 512);
    if (problem)
      return;
    require((weight.slices & (weight.slices - 1)) == 0 && (weight.unit & (weight.unit - 1)) == 0,
            "unit and slices must be powers of two");
    require(inputs % weight.slices == 0 && inputs / weight.slices % weight.unit == 0,
            "unit does not divide a slice of the contraction");
    require(inputs % weight.groups == 0 && inputs / weight.groups % weight.unit == 0,
            "unit does not divide a row group of the contraction");
    if (weight.hasMultipliers())
      multipliers(inputs);
  }
  void multipliers(int64_t inputs) {
    const WeightFormat &weight = spec.weight;
    require(spec.numerics != Numerics::bf16, "bf16 numerics takes no i4 or i3 weights");
    require(weight.group == 32 || weight.group == 64, "multiplier groups have 32 or 64 rows");
    require(weight.group && inputs % weight.group == 0,
            "multiplier groups do not divide the contraction");
    if (problem)
      return;
    const bool isFast = spec.numerics == Numerics::fast;
    require(isFast ? weight.unit % weight.group == 0 : weight.unit == weight.group,
            isFast ? "unit is no multiple of the multiplier group"
                   : "unit is not the multiplier group");
  }
  void heads() {
    dimension("q_heads", spec.qHeads, 4096);
    dimension("kv_heads", spec.kvHeads, 4096);
    dimension("head_dim", spec.headDim, 1024);
    dimension("layers", spec.layers, 4096);
    dimension("max_context", spec.maxContext, int64_t(1) << 24);
    require(spec.pageTokens >= 16 && spec.pageTokens <= 256 &&
                (spec.pageTokens & (spec.pageTokens - 1)) == 0,
            "page_tokens must be a power of two in 16..256");
    if (problem)
      return;
    require(spec.qHeads % spec.kvHeads == 0, "kv_heads does not divide q_heads");
    require(spec.headDim % 2 == 0, "head_dim must be even");
    require(!hasCodes(spec.kv) || spec.numerics != Numerics::bf16,
            "the literal bf16 mode has no cache of codes");
  }
  void digits() {
    dimension("digits", spec.digits, plan::QuantizedRow::mostDigits);
    require(spec.digits == 1 || spec.op == KernelOp::quantize || readsQuantizedRows(spec),
            "digits are of quantised rows alone");
  }
  void routing() {
    dimension("experts", spec.experts, 256);
    dimension("selected", spec.selected, 256);
  }

  const KernelSpec &spec;
  std::optional<std::string> problem;
};

} // namespace

static void checkMatmul(Checker &check, const KernelSpec &spec) {
  check.dimension("tile_panels", spec.tilePanels, 64);
  switch (spec.op) {
  case KernelOp::linear:
    check.dimension("out", spec.out);
    check.contraction(spec.in);
    break;
  case KernelOp::unembed:
    check.dimension("vocab", spec.vocab);
    check.contraction(spec.emb);
    break;
  default: // gateUp, downCombine
    check.dimension("emb", spec.emb);
    check.dimension("ffn", spec.ffn);
    check.routing();
    check.contraction(spec.op == KernelOp::gateUp ? spec.emb : spec.ffn);
    check.require(!spec.accumulate || spec.separate || spec.numerics != Numerics::bf16,
                  "bf16 numerics rounds whole sums only: no accumulate");
  }
}

std::optional<std::string> problemIn(const KernelSpec &spec) {
  Checker check(spec);
  check.dimension("max_rows", spec.maxRows);
  switch (spec.op) {
  case KernelOp::embed:
    check.dimension("vocab", spec.vocab);
    check.contraction(spec.emb);
    check.require(!spec.weight.hasMultipliers(), "tables are float or i8");
    break;
  case KernelOp::rmsNorm:
  case KernelOp::residualNorm:
  case KernelOp::exchangeNorm:
    check.dimension("emb", spec.emb);
    check.dimension("parts", spec.parts, 4096);
    check.require(spec.parts == 1 || spec.numerics != Numerics::bf16,
                  "bf16 numerics runs on one rank");
    break;
  case KernelOp::combine:
    check.dimension("emb", spec.emb);
    check.dimension("selected", spec.selected, 256);
    check.require(spec.numerics != Numerics::bf16, "bf16 numerics runs on one rank");
    break;
  case KernelOp::qkv:
    check.heads();
    check.contraction(spec.emb);
    break;
  case KernelOp::attention:
    check.heads();
    check.dimension("key_slice", spec.keySlice, 65536);
    check.require(check.problem || spec.keySlice % spec.pageTokens == 0,
                  "page_tokens does not divide key_slice");
    break;
  case KernelOp::route:
    check.dimension("emb", spec.emb);
    check.routing();
    check.require(spec.selected <= spec.experts, "selected exceeds experts");
    break;
  case KernelOp::group:
    check.dimension("ffn", spec.ffn);
    check.dimension("tile_panels", spec.tilePanels, 64);
    check.routing();
    break;
  case KernelOp::linear:
  case KernelOp::gateUp:
  case KernelOp::downCombine:
  case KernelOp::unembed:
    checkMatmul(check, spec);
    break;
  case KernelOp::quantize:
    check.contraction(spec.in);
    check.require(spec.weight.unit % 4 == 0, "unit is no multiple of 4");
    break;
  case KernelOp::mapExperts:
    check.routing();
    break;
  case KernelOp::sample:
    check.dimension("vocab", spec.vocab, 1 << 22); // so many weights add up in 64 bits
    check.require(spec.out >= spec.vocab && spec.out % 4 == 0,
                  "rows of logits must have room for the vocabulary, and whole 16 bytes");
    break;
  case KernelOp::read:
  case KernelOp::persistent:
  case KernelOp::exchange:
  case KernelOp::merge:
    break;
  }
  check.digits();
  return check.problem;
}

} // namespace grok::compiler
