// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The table of factors, and what follows from it: loops for upstream's
// propagation, and equal extents.
#include "dialects/grok/Factors.h"

#include "mlir/IR/AffineMap.h"

using namespace mlir;
using namespace grok;

// t rows, e model width, i and o in and out, h columns of heads (q of query
// heads), f hidden, x experts, k selected, v vocabulary. A letter that is in none
// of the last columns is whole on every rank: a norm needs its row.
ArrayRef<OpFactors> grok::allFactors() {
  static constexpr OpFactors table[] = {
      {"weight", "", "*", "", "*", "*", "*"},
      {"dequantize", "*", "*", "", "*", "*", "*"},
      {"quantize", "*", "*", "", "*", "", ""},
      {"embed", "t,ve", "te", "v", "v", "", "v"},
      {"rms_norm", "te,e", "te", "", "", "", ""},
      {"linear", "ti,io", "to", "i", "io", "", ""},
      {"rope", "th,_", "th", "", "h", "", ""},
      {"cache_write", "_,th,th,t,_", "_", "", "h", "", ""},
      {"attention", "tq,_,_", "tq", "", "q", "", ""},
      {"route", "te,ex", "tk,tk", "", "", "", ""},
      {"expert_matmul", "ti,xio,tk", "tko", "ix", "io", "xio", "io"},
      {"expert_matmul", "tki,xio,tk", "tko", "ix", "io", "xio", "io"},
      {"gelu_gate", "*,*", "*", "", "*", "*", "*"},
      {"combine", "tke,tk,tk", "te", "", "", "", ""},
      {"add", "*,*", "*", "", "*", "", ""},
      {"logit_rows", "te,_", "re", "", "", "", ""},
      {"unembed", "te,ve", "tv", "", "v", "", "v"},
      {"local_experts", "tk", "tk", "", "", "", ""},
      {"local_tokens", "t", "t", "", "", "", ""},
      {"cut_columns", "tv", "tw", "", "", "", ""},
      {"fused_qkv", "te,eq,eh,eh,_,t,_", "tq,_", "", "qh", "", ""},
      {"fused_qkv", "te,e,eq,eh,eh,_,t,_", "tq,_", "", "qh", "", ""},
      {"flash_attention", "tq,_,_", "tq", "", "q", "", ""},
      {"fused_gate_up", "ti,xio,xio,tk", "tko", "x", "o", "xo", "o"},
      {"fused_down_combine", "tki,xie,tk,tk", "te", "ix", "i", "xi", "i"},
      {"fused_residual_norm", "te,te,e,e", "te,te", "", "", "", ""},
  };
  return table;
}

// Letters of one value; nothing if the text does not fit its rank.
static std::optional<std::string> match(StringRef text, Value value) {
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  if (!tensor)
    return text == "_" ? std::optional(std::string()) : std::nullopt;
  if (text != "*")
    return text != "_" && static_cast<int64_t>(text.size()) == tensor.getRank()
               ? std::optional(text.str())
               : std::nullopt;
  std::string letters;
  for (int64_t dim = 0; dim < tensor.getRank(); ++dim)
    letters += static_cast<char>('A' + dim);
  return letters;
}

static bool matchAll(StringRef text, ValueRange values, SmallVectorImpl<std::string> &letters) {
  SmallVector<StringRef> texts;
  text.split(texts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  if (texts.size() != values.size())
    return false;
  for (auto [one, value] : llvm::zip_equal(texts, values)) {
    std::optional<std::string> found = match(one, value);
    if (!found)
      return false;
    letters.push_back(*found);
  }
  return true;
}

FailureOr<FactorLetters> grok::lettersOf(Operation *op) {
  for (const OpFactors &entry : allFactors()) {
    if (op->getName().stripDialect() != entry.op)
      continue;
    FactorLetters letters{&entry, {}, {}};
    if (matchAll(entry.operands, op->getOperands(), letters.operands) &&
        matchAll(entry.results, op->getResults(), letters.results))
      return letters;
  }
  return op->emitOpError("has no entry in the table of factors");
}

std::string FactorLetters::loops() const {
  std::string seen;
  for (const auto &list : {operands, results})
    for (const std::string &letters : list)
      for (char letter : letters)
        if (seen.find(letter) == std::string::npos)
          seen += letter;
  return seen;
}

static LogicalResult checkExtents(Operation *op, StringRef letters, Value value, bool isOperand,
                                  llvm::SmallDenseMap<char, int64_t> &extents) {
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  if (!tensor)
    return success();
  for (auto [letter, extent] : llvm::zip_equal(letters, tensor.getShape())) {
    if (ShapedType::isDynamic(extent))
      continue;
    int64_t known = extents.try_emplace(letter, extent).first->second;
    if (known != extent)
      return op->emitOpError() << "expects one extent of factor '" << letter << "', found " << known
                               << " and " << extent << " in "
                               << (isOperand ? "operand " : "result ") << tensor;
  }
  return success();
}

LogicalResult grok::verifyExtents(Operation *op) {
  FailureOr<FactorLetters> letters = lettersOf(op);
  if (failed(letters))
    return failure();
  llvm::SmallDenseMap<char, int64_t> extents;
  for (auto [text, value] : llvm::zip_equal(letters->operands, op->getOperands()))
    if (failed(checkExtents(op, text, value, true, extents)))
      return failure();
  for (auto [text, value] : llvm::zip_equal(letters->results, op->getResults()))
    if (failed(checkExtents(op, text, value, false, extents)))
      return failure();
  return success();
}

SmallVector<utils::IteratorType> grok::loopsOf(Operation *op) {
  FailureOr<FactorLetters> letters = lettersOf(op);
  SmallVector<utils::IteratorType> types;
  if (succeeded(letters))
    for (char letter : letters->loops()) {
      bool isParallel = !letters->isSummed(letter) && letters->maySplit(letter, "tp");
      types.push_back(isParallel || letter == 't' ? utils::IteratorType::parallel
                                                  : utils::IteratorType::reduction);
    }
  return types;
}

SmallVector<shard::ReductionKind> grok::reductionsOf(Operation *op) {
  FailureOr<FactorLetters> letters = lettersOf(op);
  SmallVector<shard::ReductionKind> kinds;
  if (failed(letters))
    return kinds;
  for (auto [letter, type] : llvm::zip_equal(letters->loops(), loopsOf(op)))
    if (type == utils::IteratorType::reduction)
      kinds.push_back(letters->isSummed(letter) ? shard::ReductionKind::Sum
                                                : shard::ReductionKind::Generic);
  return kinds;
}

SmallVector<AffineMap> grok::mapsOf(Operation *op) {
  FailureOr<FactorLetters> letters = lettersOf(op);
  SmallVector<AffineMap> maps;
  if (failed(letters))
    return maps;
  std::string loops = letters->loops();
  for (const auto &list : {letters->operands, letters->results})
    for (const std::string &text : list) {
      SmallVector<AffineExpr> dims;
      for (char letter : text)
        dims.push_back(getAffineDimExpr(loops.find(letter), op->getContext()));
      maps.push_back(AffineMap::get(loops.size(), 0, dims, op->getContext()));
    }
  return maps;
}
