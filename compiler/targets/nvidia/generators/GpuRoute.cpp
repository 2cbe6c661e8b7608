// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// route: the router's softmax and its top experts per row, a block for each, in the
// CPU kernel's order of sums. group: rows sorted by expert, in one block.
// map_experts: places of experts among the local ones.
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include <algorithm>
#include <numeric>

namespace grok::compiler::gpu_kernels {

// Below every score, and far from overflow when a score is subtracted.
static constexpr float lowestScore = -3.0e38f;
static constexpr int64_t chainCount = routeThreads / panelColumns;
static constexpr int64_t loadsAhead = 64;
static constexpr int64_t mostHeldBytes = 64 * 1024;

namespace {

// One row at a time. Thread = chain * 16 + expert of a panel; afterwards all warps
// but the first rest, whose lanes stand for an expert of each panel.
class Router {
public:
  explicit Router(GpuBuilder &kernel)
      : kernel(kernel), panels(panelsOf(kernel.spec.experts)),
        laneInPanel(kernel.remainder(kernel.thread, panelColumns)),
        chainSums(kernel.sharedMemory(panels * kernel.warps * panelColumns * 4)),
        probabilities(kernel.sharedMemory(panels * panelColumns * 4)) {
    if (rowBytes(kernel.spec.emb) <= mostHeldBytes)
      held = kernel.sharedMemory(rowBytes(kernel.spec.emb));
  }

  void emitRow(Value x, Value gates, Value experts);

private:
  Value chainOf(Value x, Value panel, int64_t experts);
  Value hold(Value x);
  Value logitsOf(int64_t panel);
  void emitSoftmax();
  Value likeliest();

  Value sumsAt(int64_t panel, int64_t warp) {
    return kernel.offset(chainSums, (panel * kernel.warps + warp) * panelColumns * 4);
  }
  Value probabilityAt(int64_t panel) {
    Value own = kernel.rowAddress(probabilities, laneInPanel, 4);
    return kernel.offset(own, panel * panelColumns * 4);
  }

  GpuBuilder &kernel;
  int64_t panels;
  Value laneInPanel;
  Value chainSums;     // float32 [panel][warp][16]: chains 2 warp and 2 warp + 1
  Value probabilities; // float32 [panel][16]; -2 where taken
  Value held;          // the row, if it fits
};

} // namespace

// The row where its inputs are read at once.
Value Router::hold(Value x) {
  if (!held)
    return x;
  constexpr int64_t pieceBytes = 16;
  kernel.forThreads(rowBytes(kernel.spec.emb) / pieceBytes, [&](Value piece) {
    kernel.copyAsync(kernel.rowAddress(held, piece, pieceBytes),
                     kernel.rowAddress(x, piece, pieceBytes), pieceBytes);
  });
  kernel.commitCopies();
  kernel.waitForCopies(0);
  kernel.barrier();
  return held;
}

// Input k goes to chain k mod 8. Weights are loaded a group ahead of their products.
Value Router::chainOf(Value x, Value panel, int64_t experts) {
  const int64_t inputs = kernel.spec.emb, rounds = inputs / chainCount;
  constexpr int64_t lineBytes = panelColumns * 4;
  Value first = kernel.quotient(kernel.thread, panelColumns);
  // Columns behind the experts would be read for nothing.
  Value column = kernel.minimum(laneInPanel, kernel.index(experts - 1));
  Value input = kernel.rowAddress(x, first, 4);
  Value weight = kernel.rowAddress(kernel.rowAddress(panel, first, lineBytes), column, 4);
  auto weightsAt = [&](Value round, int64_t count) {
    Value from = kernel.rowAddress(weight, round, chainCount * lineBytes);
    Values loaded;
    for (int64_t i = 0; i < count; ++i)
      loaded.push_back(kernel.load(kernel.f32, kernel.offset(from, i * chainCount * lineBytes)));
    return loaded;
  };
  auto addProducts = [&](Value round, ValueRange loaded, Value chain) {
    Value from = kernel.rowAddress(input, round, chainCount * 4);
    for (size_t i = 0; i < loaded.size(); ++i) {
      const auto at = static_cast<int64_t>(i) * chainCount * 4;
      chain =
          kernel.multiplyAdd(loaded[i], kernel.load(kernel.f32, kernel.offset(from, at)), chain);
    }
    return chain;
  };
  const int64_t whole = rounds / loadsAhead * loadsAhead;
  Values carried = {kernel.number(0.0f)};
  if (whole) {
    carried.append(weightsAt(kernel.index(0), loadsAhead));
    carried = kernel.loop(kernel.index(0), kernel.index(whole), loadsAhead, carried,
                          [&](Value round, ValueRange now) {
                            // The last group is read twice.
                            Value ahead = kernel.minimum(kernel.add(round, loadsAhead),
                                                         kernel.index(whole - loadsAhead));
                            Values loaded = weightsAt(ahead, loadsAhead);
                            Values next = {addProducts(round, now.drop_front(), now[0])};
                            next.append(loaded);
                            return next;
                          });
  }
  Value end = kernel.index(whole);
  Value chain = addProducts(end, weightsAt(end, rounds - whole), carried[0]);
  if (inputs % chainCount == 0)
    return chain;
  // The last inputs belong to the first chains; others stay as they are.
  Value isMine = kernel.less(first, kernel.index(inputs % chainCount));
  Value last = kernel.select(isMine, kernel.offset(input, rounds * chainCount * 4), x);
  Value line = kernel.select(isMine, kernel.offset(weight, rounds * chainCount * lineBytes), panel);
  Value longer =
      kernel.multiplyAdd(kernel.load(kernel.f32, line), kernel.load(kernel.f32, last), chain);
  return kernel.select(isMine, longer, chain);
}

// The chains of the expert of this lane as a tree, and the lowest score for none.
Value Router::logitsOf(int64_t panel) {
  Values sums;
  for (int64_t warp = 0; warp < kernel.warps; ++warp)
    sums.push_back(kernel.load(kernel.f32, kernel.rowAddress(sumsAt(panel, warp), laneInPanel, 4)));
  for (int64_t count = kernel.warps / 2; count >= 1; count /= 2)
    for (int64_t i = 0; i < count; ++i)
      sums[i] = kernel.add(sums[2 * i], sums[2 * i + 1]);
  Value isExpert =
      kernel.less(laneInPanel, kernel.index(kernel.spec.experts - panel * panelColumns));
  return kernel.select(isExpert, sums[0], kernel.number(lowestScore));
}

// Softmax over all experts.
void Router::emitSoftmax() {
  Values scores;
  for (int64_t panel = 0; panel < panels; ++panel)
    scores.push_back(logitsOf(panel));
  Value highest = std::accumulate(scores.begin() + 1, scores.end(), scores[0],
                                  [&](Value a, Value b) { return kernel.maximum(a, b); });
  for (int32_t mask = panelColumns / 2; mask > 0; mask /= 2)
    highest = kernel.maximum(highest, kernel.shuffleXor(highest, mask));
  for (Value &score : scores)
    score = exponential(kernel, kernel.sub(score, highest));
  Value sum = std::accumulate(scores.begin() + 1, scores.end(), scores[0],
                              [&](Value a, Value b) { return kernel.add(a, b); });
  for (int32_t mask = panelColumns / 2; mask > 0; mask /= 2)
    sum = kernel.add(sum, kernel.shuffleXor(sum, mask));
  kernel.when(kernel.less(kernel.lane, kernel.index(panelColumns)), [&] {
    for (int64_t panel = 0; panel < panels; ++panel)
      kernel.store(kernel.div(scores[panel], sum), probabilityAt(panel));
  });
  kernel.syncWarp();
}

// Index of the largest probability, the lowest index on ties. Always a valid index,
// also if the probabilities are NaN.
Value Router::likeliest() {
  Value best = kernel.number(-1.0f), index = kernel.word(0);
  auto improve = [&](Value p, Value other) {
    Value isLower = kernel.both(kernel.equal(p, best), kernel.less(other, index));
    Value isBetter = kernel.bitOr(kernel.less(best, p), isLower);
    best = kernel.select(isBetter, p, best);
    index = kernel.select(isBetter, other, index);
  };
  for (int64_t panel = 0; panel < panels; ++panel) {
    Value own = kernel.add(kernel.toWord(laneInPanel),
                           kernel.word(static_cast<int32_t>(panel * panelColumns)));
    Value isExpert = kernel.less(own, kernel.word(static_cast<int32_t>(kernel.spec.experts)));
    Value p = kernel.load(kernel.f32, probabilityAt(panel));
    improve(kernel.select(isExpert, p, kernel.number(-2.0f)), own);
  }
  for (int32_t mask = panelColumns / 2; mask > 0; mask /= 2) {
    Value p = kernel.shuffleXor(best, mask), other = kernel.shuffleXor(index, mask);
    improve(p, other);
  }
  return kernel.toIndex(index);
}

void Router::emitRow(Value x, Value gates, Value experts) {
  const KernelSpec &spec = kernel.spec;
  const int64_t panelBytes = spec.emb * panelColumns * 4;
  kernel.barrier(); // the first warp has read the last row's sums
  x = hold(x);
  for (int64_t panel = 0; panel < panels; ++panel) {
    Value chain = chainOf(x, kernel.offset(kernel.operand(1), panel * panelBytes),
                          std::min(spec.experts - panel * panelColumns, panelColumns));
    Value pair = kernel.add(chain, kernel.shuffleXor(chain, panelColumns));
    kernel.when(kernel.less(kernel.lane, kernel.index(panelColumns)), [&] {
      Value to = kernel.rowAddress(sumsAt(panel, 0), kernel.warp, panelColumns * 4);
      kernel.store(pair, kernel.rowAddress(to, kernel.lane, 4));
    });
  }
  kernel.barrier();
  kernel.when(kernel.equal(kernel.warp, kernel.index(0)), [&] {
    emitSoftmax();
    kernel.loop(kernel.index(0), kernel.index(spec.selected), 1, [&](Value choice) {
      Value expert = likeliest();
      kernel.syncWarp(); // all have read what lane 0 changes
      kernel.when(kernel.equal(kernel.lane, kernel.index(0)), [&] {
        Value address = kernel.rowAddress(probabilities, expert, 4);
        kernel.store(kernel.load(kernel.f32, address), kernel.rowAddress(gates, choice, 4));
        kernel.store(kernel.toWord(expert), kernel.rowAddress(experts, choice, 4));
        kernel.store(kernel.number(-2.0f), address); // below the search's start
      });
      kernel.syncWarp();
    });
  });
}

void emitRoute(GpuBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  Router router(kernel);
  kernel.forTiles(kernel.rows, spec.maxRows, [&](Value row) {
    router.emitRow(kernel.rowAddress(kernel.operand(0), row, rowBytes(spec.emb)),
                   kernel.rowAddress(kernel.operand(2), row, spec.selected * 4),
                   kernel.rowAddress(kernel.operand(3), row, spec.selected * 4));
  });
}

void emitMapExperts(GpuBuilder &kernel) {
  const int64_t selected = kernel.spec.selected;
  auto tilesOf = [&](Value pairs) {
    return kernel.quotient(kernel.add(pairs, kernel.threads - 1), kernel.threads);
  };
  const int64_t most = (kernel.spec.maxRows * selected + kernel.threads - 1) / kernel.threads;
  Value pairs = kernel.mul(kernel.rows, selected);
  kernel.forTiles(tilesOf(pairs), most, [&](Value tile) {
    Value pair = kernel.add(kernel.mul(tile, kernel.threads), kernel.thread);
    kernel.when(kernel.less(pair, pairs), [&] {
      Value to = kernel.rowAddress(kernel.operand(2), pair, 4);
      Value expert = kernel.entry(kernel.operand(0), pair);
      // What is elsewhere already stays there.
      kernel.when(
          kernel.less(kernel.index(-1), expert),
          [&] {
            Value slot = kernel.rowAddress(kernel.operand(1), expert, 4);
            kernel.store(kernel.load(kernel.i32, slot), to);
          },
          [&] { kernel.store(kernel.word(-1), to); });
    });
  });
}

namespace {

// A warp counts, then places the pairs of one expert after another.
class Grouping {
public:
  explicit Grouping(GpuBuilder &kernel)
      : kernel(kernel), experts(kernel.spec.experts), layout(experts),
        counts(kernel.sharedMemory(experts * 4)),
        pairs(kernel.mul(kernel.rows, kernel.spec.selected)) {}

  void emit();

private:
  // body(pair, isMine, at) in every lane, of pairs in ascending order; `at` counts the
  // expert's pairs from `start`. Gives the count behind the last.
  Value forPairs(Value expert, Value start,
                 llvm::function_ref<void(Value pair, Value isMine, Value at)> body);
  // Pairs of the experts before `expert`, and how many of these have any.
  std::pair<Value, Value> before(Value expert);
  void placePairs(Value expert);
  void put(int64_t first, Value index, Value value) {
    Value to = kernel.offset(kernel.rowAddress(kernel.operand(1), index, 4), first * 4);
    kernel.store(kernel.toWord(value), to);
  }

  GpuBuilder &kernel;
  int64_t experts;
  GroupsLayout layout;
  Value counts; // int32 [experts]
  Value pairs;
};

} // namespace

Value Grouping::forPairs(Value expert, Value start,
                         llvm::function_ref<void(Value, Value, Value)> body) {
  return kernel.loop(
      kernel.index(0), pairs, warpLanes, {start}, [&](Value first, ValueRange carried) -> Values {
        Value pair = kernel.add(first, kernel.lane);
        Value exists = kernel.less(pair, pairs);
        Value id = kernel.entry(kernel.operand(0), kernel.select(exists, pair, first));
        Value isMine = kernel.both(exists, kernel.equal(id, expert));
        Value votes = kernel.ballot(isMine);
        Value before = kernel.countBits(kernel.bitAnd(votes, kernel.lanesBelow()));
        body(pair, isMine, kernel.add(carried[0], kernel.toIndex(before)));
        return {kernel.add(carried[0], kernel.toIndex(kernel.countBits(votes)))};
      })[0];
}

std::pair<Value, Value> Grouping::before(Value expert) {
  Value none = kernel.word(0);
  Values sums = kernel.loop(
      kernel.lane, expert, warpLanes, {none, none}, [&](Value other, ValueRange carried) -> Values {
        Value count = kernel.load(kernel.i32, kernel.rowAddress(counts, other, 4));
        Value isActive = kernel.widenUnsigned(kernel.less(kernel.word(0), count), kernel.i32);
        return {kernel.add(carried[0], count), kernel.add(carried[1], isActive)};
      });
  return {kernel.toIndex(kernel.warpSum(sums[0])), kernel.toIndex(kernel.warpSum(sums[1]))};
}

void Grouping::placePairs(Value expert) {
  auto [start, active] = before(expert);
  Value end = forPairs(expert, start, [&](Value pair, Value isMine, Value at) {
    kernel.when(isMine, [&] { put(layout.pairs, at, pair); });
  });
  Value isFirst = kernel.equal(kernel.lane, kernel.index(0));
  kernel.when(kernel.both(isFirst, kernel.less(start, end)), [&] {
    put(layout.ids, active, expert);
    put(layout.offsets, active, start);
  });
}

void Grouping::emit() {
  const KernelSpec &spec = kernel.spec;
  Value isFirst = kernel.equal(kernel.lane, kernel.index(0));
  kernel.forTiles(kernel.index(1), 1, [&](Value) {
    kernel.loop(kernel.warp, kernel.index(experts), kernel.warps, [&](Value expert) {
      Value count = forPairs(expert, kernel.index(0), [](Value, Value, Value) {});
      kernel.when(isFirst, [&] {
        kernel.store(kernel.toWord(count), kernel.rowAddress(counts, expert, 4));
      });
    });
    kernel.barrier();
    kernel.loop(kernel.warp, kernel.index(experts), kernel.warps,
                [&](Value expert) { placePairs(expert); });
    kernel.when(kernel.equal(kernel.warp, kernel.index(0)), [&] {
      auto [end, active] = before(kernel.index(experts));
      kernel.when(isFirst, [&] {
        Value zero = kernel.index(0);
        put(layout.offsets, active, end);
        put(layout.activeCount, zero, active);
        put(layout.pairCount, zero, end);
        const int64_t blocks = (panelsOf(spec.ffn) + spec.tilePanels - 1) / spec.tilePanels;
        put(layout.tileCount, zero, kernel.mul(active, blocks));
      });
    });
  });
}

void emitGroup(GpuBuilder &kernel) { Grouping(kernel).emit(); }

} // namespace grok::compiler::gpu_kernels
