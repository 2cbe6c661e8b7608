// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// route: the router's softmax and its top experts per row. map_experts: their
// places among the local experts. group: rows sorted by expert, so that each
// expert's weights are read once.
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/VectorMath.h"

#include <numeric>

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

// Below every score, and far from overflow when a score is subtracted.
static constexpr float lowestScore = -3.0e38f;

// x . panel of the float32 router matrix. Input k goes to chain k mod 8, the
// chains are summed as a tree.
static Value routerLogits(KernelBuilder &kernel, Value x, Value panel) {
  constexpr int64_t chainCount = 8;
  const int64_t inputs = kernel.spec.emb, whole = inputs / chainCount * chainCount;
  auto addProduct = [&](Value chain, Value input, Value weights) {
    Value repeated = kernel.broadcast(kernel.load(kernel.f32, input));
    return kernel.multiplyAdd(kernel.load(kernel.floats, weights, 64), repeated, chain);
  };
  Values chains =
      kernel.loop(kernel.index(0), kernel.index(whole), chainCount,
                  Values(chainCount, kernel.splat(0.0f)), [&](Value k, ValueRange carried) {
                    Value input = kernel.rowAddress(x, k, 4),
                          line = kernel.rowAddress(panel, k, vectorBytes);
                    Values next;
                    for (int64_t i = 0; i < chainCount; ++i)
                      next.push_back(addProduct(carried[i], kernel.offset(input, i * 4),
                                                kernel.offset(line, i * vectorBytes)));
                    return next;
                  });
  for (int64_t k = whole; k < inputs; ++k)
    chains[k - whole] = addProduct(chains[k - whole], kernel.offset(x, k * 4),
                                   kernel.offset(panel, k * vectorBytes));
  for (int64_t count = chainCount / 2; count >= 1; count /= 2)
    for (int64_t i = 0; i < count; ++i)
      chains[i] = kernel.add(chains[2 * i], chains[2 * i + 1]);
  return chains[0];
}

// Softmax over all experts, into `probabilities`.
static void emitRouterSoftmax(KernelBuilder &kernel, Value x, Value probabilities) {
  const int64_t experts = kernel.spec.experts, panels = panelsOf(experts);
  Values scores;
  for (int64_t panel = 0; panel < panels; ++panel) {
    Value weights = kernel.offset(kernel.operand(1), panel * kernel.spec.emb * vectorBytes);
    Value logits = routerLogits(kernel, x, weights);
    Value isExpert = kernel.less(
        kernel.laneNumbers(), kernel.splat(static_cast<int32_t>(experts - panel * panelColumns)));
    scores.push_back(kernel.select(isExpert, logits, kernel.splat(lowestScore)));
  }
  Value top = std::accumulate(scores.begin() + 1, scores.end(), scores[0],
                              [&](Value a, Value b) { return kernel.maximum(a, b); });
  Value highest = kernel.broadcast(maximumOfLanes(kernel, top));
  for (Value &score : scores)
    score = exponential(kernel, kernel.sub(score, highest));
  Value total = std::accumulate(scores.begin() + 1, scores.end(), scores[0],
                                [&](Value a, Value b) { return kernel.add(a, b); });
  Value sum = kernel.broadcast(sumOfLanes(kernel, total));
  for (int64_t panel = 0; panel < panels; ++panel)
    kernel.store(kernel.div(scores[panel], sum), kernel.offset(probabilities, panel * vectorBytes));
}

// Index of the largest probability, the lowest index on ties. Always a valid
// index, also if the probabilities are NaN.
static Value likeliest(KernelBuilder &kernel, Value probabilities) {
  Values best = kernel.loop(
      kernel.index(0), kernel.index(kernel.spec.experts), 1,
      {kernel.number(-1.0f), kernel.index(0)}, [&](Value expert, ValueRange carried) -> Values {
        Value p = kernel.load(kernel.f32, kernel.rowAddress(probabilities, expert, 4));
        Value isBetter = kernel.less(carried[0], p);
        return {kernel.select(isBetter, p, carried[0]),
                kernel.select(isBetter, expert, carried[1])};
      });
  return best[1];
}

void emitRoute(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  Value probabilities = kernel.scratch(rowBytes(spec.experts));
  Value taken = kernel.number(-2.0f); // below the search's start
  kernel.forTiles([&](Value row) {
    emitRouterSoftmax(kernel, kernel.rowAddress(kernel.operand(0), row, rowBytes(spec.emb)),
                      probabilities);
    Value gates = kernel.rowAddress(kernel.operand(2), row, spec.selected * 4);
    Value experts = kernel.rowAddress(kernel.operand(3), row, spec.selected * 4);
    kernel.loop(kernel.index(0), kernel.index(spec.selected), 1, [&](Value choice) {
      Value expert = likeliest(kernel, probabilities);
      Value address = kernel.rowAddress(probabilities, expert, 4);
      kernel.store(kernel.load(kernel.f32, address), kernel.rowAddress(gates, choice, 4));
      kernel.store(kernel.narrow(expert, kernel.i32), kernel.rowAddress(experts, choice, 4));
      kernel.store(taken, address);
    });
  });
}

void emitMapExperts(KernelBuilder &kernel) {
  const int64_t selected = kernel.spec.selected;
  kernel.forTiles([&](Value row) {
    Value experts = kernel.rowAddress(kernel.operand(0), row, selected * 4);
    Value places = kernel.rowAddress(kernel.operand(2), row, selected * 4);
    kernel.loop(kernel.index(0), kernel.index(selected), 1, [&](Value choice) {
      Value to = kernel.rowAddress(places, choice, 4);
      Value expert = kernel.load(kernel.i32, kernel.rowAddress(experts, choice, 4));
      kernel.store(kernel.word(-1), to);
      // What is elsewhere already stays there.
      kernel.when(kernel.less(kernel.word(-1), expert), [&] {
        Value slot = kernel.rowAddress(kernel.operand(1), kernel.widen(expert, kernel.i64), 4);
        kernel.store(kernel.load(kernel.i32, slot), to);
      });
    });
  });
}

void emitGroup(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const GroupsLayout layout(spec.experts);
  Value experts = kernel.operand(0), groups = kernel.operand(1), zero = kernel.index(0);
  auto put = [&](int64_t first, Value index, Value value) {
    Value to = kernel.offset(kernel.rowAddress(groups, index, 4), first * 4);
    kernel.store(kernel.narrow(value, kernel.i32), to);
  };
  Value pairs = kernel.mul(kernel.rows, spec.selected);
  kernel.forTiles([&](Value) {
    // Carried: active experts so far, pairs written so far.
    auto addExpert = [&](Value expert, ValueRange carried) -> Values {
      Value active = carried[0], start = carried[1];
      put(layout.ids, active, expert);
      put(layout.offsets, active, start);
      auto addPair = [&](Value pair, ValueRange position) -> Values {
        Value isMine = kernel.equal(kernel.entry(experts, pair), expert);
        kernel.when(isMine, [&] { put(layout.pairs, position[0], pair); });
        return {kernel.add(position[0], kernel.widenUnsigned(isMine, kernel.i64))};
      };
      Value end = kernel.loop(zero, pairs, 1, {start}, addPair)[0];
      Value isActive = kernel.widenUnsigned(kernel.less(start, end), kernel.i64);
      return {kernel.add(active, isActive), end};
    };
    Values totals = kernel.loop(zero, kernel.index(spec.experts), 1, {zero, zero}, addExpert);
    put(layout.offsets, totals[0], totals[1]);
    put(layout.activeCount, zero, totals[0]);
    put(layout.pairCount, zero, totals[1]);
    const int64_t blocks = (panelsOf(spec.ffn) + spec.tilePanels - 1) / spec.tilePanels;
    put(layout.tileCount, zero, kernel.mul(totals[0], blocks));
  });
}

} // namespace grok::compiler
