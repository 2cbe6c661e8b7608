// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The attributes that say how a model is spread over ranks.
#include "dialects/grok/GrokDialect.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace grok;

/// More ranks than anyone has, and few enough for products of degrees.
static constexpr int64_t maxRanks = int64_t(1) << 20;

LogicalResult ShardingAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t tp,
                                   int64_t ep, int64_t pp, int64_t dp, ArrayRef<int64_t> stages) {
  int64_t ranks = 1;
  for (auto [name, degree] : {std::pair("tp", tp), {"ep", ep}, {"pp", pp}, {"dp", dp}}) {
    if (degree < 1 || degree > maxRanks / ranks)
      return emitError() << "expects " << name << " to be positive and all degrees to make at most "
                         << maxRanks << " ranks, found " << degree;
    ranks *= degree;
  }
  if (static_cast<int64_t>(stages.size()) != pp)
    return emitError() << "expects the layers of each of " << pp << " stages, found "
                       << stages.size();
  if (llvm::any_of(stages, [](int64_t layers) { return layers < 1; }))
    return emitError() << "expects a layer or more in every stage";
  return success();
}

FailureOr<ShardingAttr> ShardingAttr::parseText(MLIRContext *context, StringRef text,
                                                int64_t layers,
                                                function_ref<InFlightDiagnostic()> emitError) {
  static constexpr StringRef names[] = {"tp", "ep", "pp", "dp"};
  int64_t degrees[] = {0, 0, 0, 0};
  for (StringRef part : llvm::split(text, '.')) {
    const StringRef *name = llvm::find(names, part.take_front(2));
    int64_t degree = 0;
    if (name == std::end(names) || part.drop_front(2).getAsInteger(10, degree) || degree < 1 ||
        degree > maxRanks)
      return emitError() << "'" << part << "' in sharding '" << text
                         << "' is not tpN, epN, ppN or dpN with a positive N";
    int64_t &known = degrees[name - std::begin(names)];
    if (known != 0)
      return emitError() << "sharding '" << text << "' names " << *name << " twice";
    known = degree;
  }
  for (int64_t &degree : degrees)
    degree = std::max<int64_t>(degree, 1);
  auto [tp, ep, pp, dp] = degrees;
  if (layers < pp)
    return emitError() << "sharding '" << text << "' has " << pp << " stages for " << layers
                       << " layers";
  SmallVector<int64_t> stages(pp, layers / pp);
  for (int64_t stage = 0; stage < layers % pp; ++stage)
    ++stages[stage];
  auto sharding = getChecked(emitError, context, tp, ep, pp, dp, ArrayRef<int64_t>(stages));
  if (!sharding)
    return failure();
  return sharding;
}

std::string ShardingAttr::text() const {
  std::vector<std::string> parts;
  for (auto [name, degree] :
       {std::pair("tp", getTp()), {"ep", getEp()}, {"pp", getPp()}, {"dp", getDp()}})
    if (degree > 1)
      parts.push_back(name + std::to_string(degree));
  return parts.empty() ? "tp1" : llvm::join(parts, ".");
}

LogicalResult SliceAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t dim,
                                int64_t parts, StringAttr axis) {
  if (dim < 0)
    return emitError() << "expects a dimension from 0, found " << dim;
  if (parts < 2 || parts > maxRanks)
    return emitError() << "expects 2 or more parts, found " << parts;
  if (axis != "tp" && axis != "ep" && axis != "ep.tp")
    return emitError() << "expects axis \"tp\", \"ep\" or \"ep.tp\", found " << axis;
  return success();
}
