// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a kernel computes, independent of the target: the key under which equal
// kernels are made once, and the only input of the kernel generators.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace grok::compiler {

enum class KernelOp {
  embed,
  rmsNorm,
  qkv,
  attention,
  linear,
  residualNorm,
  route,
  group,
  gateUp,
  downCombine,
  unembed,
  quantize,
  mapExperts,
  combine,
  read,         // a service: times memory
  persistent,   // a service: does the launches of a step
  sample,       // a service: draws tokens from logits
  exchange,     // a service: what ranks do together (runtime/plan/ExchangeABI.h)
  exchangeNorm, // a service: exchange of few rows and the residualNorm that reads them
  merge         // a service: what ranks have sent, put together (runtime/plan/MergeABI.h)
};

/// What a page of the key/value cache holds; i8 and e4m3 have a float32 scale per
/// position and head (docs/packing.md).
enum class CacheElement { f32, bf16, i8, e4m3 };

/// fast: as f32, but rows that meet integer weights are quantised to int8 first
/// and their products summed as integers (docs/numerics.md).
enum class Numerics { f32, bf16, fast };

/// Storage of one packed weight operand and the order in which its contraction
/// is summed (docs/numerics.md).
struct WeightFormat {
  /// i4 and i3: codes with an int8 multiplier per `group` rows and column.
  enum class Element { f32, bf16, i8, i4, i3 };
  Element element = Element::f32;
  int64_t groups = 1; // row groups of scales along the contraction (integers only)
  int64_t unit = 0;   // inputs in one sequential chain, or in one exact integer sum
  int64_t slices = 1; // slices summed as a balanced tree
  int64_t group = 0;  // i4, i3: rows of one multiplier, 32 or 64

  /// The order of sums for `contraction` inputs in `groups` row groups, which
  /// must divide it. `group` is given for i4 and i3, and divides it too.
  static WeightFormat forContraction(Element element, int64_t contraction, int64_t groups = 1,
                                     Numerics numerics = Numerics::f32, int64_t group = 0);

  bool isInteger() const { return element != Element::f32 && element != Element::bf16; }
  bool hasMultipliers() const { return element == Element::i4 || element == Element::i3; }

  /// Consecutive k of one column that are adjacent in memory; for i4 and i3
  /// after opening.
  int64_t kPack() const;
  int64_t bits() const; // of one weight
  /// Bytes of one packed panel (docs/packing.md).
  int64_t panelBytes(int64_t contraction) const;
  bool operator==(const WeightFormat &) const = default;
};

/// Columns of a weight matrix in one panel; a panel row of float32 is a cache
/// line.
inline constexpr int64_t panelColumns = 16;

/// Fields that an op does not use stay at their defaults.
struct KernelSpec {
  KernelOp op = KernelOp::linear;
  Numerics numerics = Numerics::f32;
  CacheElement kv = CacheElement::f32;
  int64_t maxRows = 1;     // 1 selects the GEMV form, more the GEMM form
  int64_t emb = 0;         // E; also the contraction of qkv, gateUp, unembed
  int64_t in = 0, out = 0; // linear: K and N; quantize: K; sample: floats from row to row
  int64_t vocab = 0;       // V
  int64_t qHeads = 0, kvHeads = 0, headDim = 0;
  int64_t ffn = 0;         // F
  int64_t experts = 0;     // that the op has the weights of; route, mapExperts: all
  int64_t selected = 0;    // choices of a row; quantize: set if rows are pairs of a `group`
  int64_t accumulate = 0;  // downCombine: 1 = add to the output
  int64_t separate = 0;    // downCombine: 1 = [row][choice][E], neither weighted nor summed
  int64_t parts = 1;       // residualNorm: ranks whose sums the added rows are
  int64_t localTokens = 0; // embed: 1 = of the whole vocabulary only `vocab` tokens
  int64_t layers = 0;      // for the page stride
  int64_t pageTokens = 0;
  int64_t maxContext = 0; // rows of the rope table
  int64_t keySlice = 256; // attention: positions per slice
  int64_t tilePanels = 4; // 16-column panels per tile
  double eps = 0;
  double multiplier = 1; // embed, unembed, attention
  double softcap = 0;    // attention; 0 = none
  WeightFormat weight;   // the matrix operand(s)
  int64_t digits = 1;    // int8 digits of an input in quantised rows (plan::QuantizedRow)

  bool operator==(const KernelSpec &) const = default;
};

/// One line naming every field that the op uses; equal text = equal kernel.
std::string canonicalText(const KernelSpec &spec);

/// "linear", "gate_up", ...; the names used in the plan.
const char *nameOf(KernelOp op);
std::optional<KernelOp> kernelOpNamed(const std::string &name);
/// Made for GPUs alone, for the runtime's own use: no launch of a program is one.
bool isService(KernelOp op);
const char *nameOf(Numerics numerics);
const char *nameOf(CacheElement element); // as in --kv=
std::optional<CacheElement> cacheElementNamed(std::string_view name);
int64_t bytesOf(CacheElement element);
/// Whether elements are codes of one byte with scales beside them.
bool hasCodes(CacheElement element);
const char *nameOf(WeightFormat::Element element);

/// Launch operands of the kernel, in the order of its ABI.
int64_t operandCount(const KernelSpec &spec);

/// Inputs of the op's matrix product, or of what `quantize` makes rows for.
int64_t contractionOf(const KernelSpec &spec);

/// Whether the op reads rows that `quantize` made (dialects/plan/QuantizedRow.h) in place of
/// float32 rows.
bool readsQuantizedRows(const KernelSpec &spec);

/// What makes `spec` impossible to generate, or nothing.
std::optional<std::string> problemIn(const KernelSpec &spec);

} // namespace grok::compiler
