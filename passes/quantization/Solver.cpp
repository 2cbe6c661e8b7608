// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The linear relaxation by slopes, then dynamic programming over the items in
// the order in which they are likely to differ from it, with Lagrangian bounds
// (Pisinger: A minimal algorithm for the multiple-choice knapsack problem, 1995).
#include "passes/quantization/Solver.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <tuple>

using namespace grok::quantization;

using Wide = __int128;

/// How long the list of changes may become for each state that may be kept.
static constexpr size_t changesPerState = 128;

namespace {

/// `loss` saved for `bytes` more.
struct Slope {
  int64_t loss = 0, bytes = 1;

  bool isSteeperThan(const Slope &other) const {
    return Wide(loss) * other.bytes > Wide(other.loss) * bytes;
  }
};

/// From one corner of an item's lower hull to the next.
struct Step {
  Slope slope;
  size_t item;
  int64_t to; // choice
};

/// A selection: the relaxation's choices but for the changes that lead to it.
struct State {
  int64_t bytes, loss;
  int64_t lastChange; // index into the changes, or -1
};

struct Change {
  size_t item;
  int64_t choice;
  int64_t previous;
};

class Search {
public:
  Search(std::span<const Item> items, int64_t budget, size_t mostStates)
      : items(items), budget(budget), mostStates(mostStates) {}

  std::optional<Solution> run(std::span<const std::vector<int64_t>> candidates);

private:
  void relax();
  void improveGreedily(std::span<const Step> steps);
  void consider(const std::vector<int64_t> &candidate);
  std::vector<size_t> orderItems() const;
  void branch(size_t item);
  void keepBest(const State &state);
  void dropDominated();
  void dropUnpromising();
  Wide reducedCost(int64_t bytes, int64_t loss) const;
  bool canImprove(const State &state) const;
  int64_t boundOf(const State &state) const;

  std::span<const Item> items;
  int64_t budget;
  size_t mostStates;

  Solution best;
  std::vector<int64_t> relaxed; // the relaxation's choices, whole items only
  Slope price;                  // of a byte, where the relaxation ends
  std::vector<State> states;
  std::vector<Change> changes;
  int64_t droppedBound = std::numeric_limits<int64_t>::max();
};

} // namespace

/// Choices that no other beats in both numbers, by bytes; of equal ones the
/// first.
static std::vector<int64_t> findPareto(const Item &item) {
  std::vector<int64_t> order(item.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = static_cast<int64_t>(i);
  std::sort(order.begin(), order.end(), [&](int64_t lhs, int64_t rhs) {
    return std::tuple(item[lhs].bytes, item[lhs].loss, lhs) <
           std::tuple(item[rhs].bytes, item[rhs].loss, rhs);
  });
  std::vector<int64_t> pareto;
  for (int64_t choice : order)
    if (pareto.empty() || item[choice].loss < item[pareto.back()].loss)
      pareto.push_back(choice);
  return pareto;
}

static Slope slopeBetween(const Choice &from, const Choice &to) {
  return {from.loss - to.loss, to.bytes - from.bytes};
}

/// The corners of the lower convex hull, slopes strictly falling.
static std::vector<int64_t> findHull(const Item &item) {
  std::vector<int64_t> hull;
  for (int64_t choice : findPareto(item)) {
    while (hull.size() > 1 && !slopeBetween(item[hull[hull.size() - 2]], item[hull.back()])
                                   .isSteeperThan(slopeBetween(item[hull.back()], item[choice])))
      hull.pop_back();
    hull.push_back(choice);
  }
  return hull;
}

static std::vector<Step> collectSteps(std::span<const Item> items) {
  std::vector<Step> steps;
  for (size_t i = 0; i < items.size(); ++i) {
    std::vector<int64_t> hull = findHull(items[i]);
    for (size_t corner = 1; corner < hull.size(); ++corner)
      steps.push_back(
          {slopeBetween(items[i][hull[corner - 1]], items[i][hull[corner]]), i, hull[corner]});
  }
  // The slopes of one item differ, so equal ones are told apart by the item.
  std::sort(steps.begin(), steps.end(), [](const Step &lhs, const Step &rhs) {
    if (lhs.slope.isSteeperThan(rhs.slope))
      return true;
    return !rhs.slope.isSteeperThan(lhs.slope) && lhs.item < rhs.item;
  });
  return steps;
}

static void choose(Solution &solution, std::span<const Item> items, size_t item, int64_t choice) {
  const Choice &from = items[item][solution.choices[item]], &to = items[item][choice];
  solution.bytes += to.bytes - from.bytes;
  solution.loss += to.loss - from.loss;
  solution.choices[item] = choice;
}

/// Takes steps by slope until one does not fit. That one's slope is the price
/// of a byte; without one, the price is 0 and the selection optimal.
void Search::relax() {
  best = {};
  for (const Item &item : items) {
    best.choices.push_back(findPareto(item).front());
    best.bytes += item[best.choices.back()].bytes;
    best.loss += item[best.choices.back()].loss;
  }
  std::vector<Step> steps = collectSteps(items);
  size_t taken = 0;
  for (; taken < steps.size(); ++taken) {
    const Step &step = steps[taken];
    if (best.bytes + step.slope.bytes > budget)
      break;
    choose(best, items, step.item, step.to);
  }
  relaxed = best.choices;
  states = {{best.bytes, best.loss, -1}};
  price = taken < steps.size() ? steps[taken].slope : Slope{};
  improveGreedily(std::span(steps).subspan(taken));
}

/// Fills what is left with later steps, to have something good to compare with.
void Search::improveGreedily(std::span<const Step> steps) {
  std::vector<bool> skipped(items.size()); // a skipped step's successors start from it
  for (const Step &step : steps) {
    if (skipped[step.item] || best.bytes + step.slope.bytes > budget)
      skipped[step.item] = true;
    else
      choose(best, items, step.item, step.to);
  }
}

void Search::consider(const std::vector<int64_t> &candidate) {
  assert(candidate.size() == items.size());
  Solution other = {candidate};
  for (size_t i = 0; i < items.size(); ++i) {
    other.bytes += items[i][candidate[i]].bytes;
    other.loss += items[i][candidate[i]].loss;
  }
  if (other.bytes <= budget && other.loss < best.loss)
    best = std::move(other);
}

/// Loss plus bytes at the price, times `price.bytes` to stay whole.
Wide Search::reducedCost(int64_t bytes, int64_t loss) const {
  return Wide(loss) * price.bytes + Wide(bytes) * price.loss;
}

/// Items by how little the best other choice adds to the reduced cost.
std::vector<size_t> Search::orderItems() const {
  std::vector<std::pair<Wide, size_t>> ranked;
  for (size_t i = 0; i < items.size(); ++i) {
    const Choice &own = items[i][relaxed[i]];
    Wide least = -1;
    for (int64_t choice : findPareto(items[i])) {
      const Choice &other = items[i][choice];
      Wide added = reducedCost(other.bytes, other.loss) - reducedCost(own.bytes, own.loss);
      if (choice != relaxed[i] && (least < 0 || added < least))
        least = added;
    }
    if (least >= 0)
      ranked.push_back({least, i});
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<size_t> order(ranked.size());
  std::transform(ranked.begin(), ranked.end(), order.begin(),
                 [](const auto &each) { return each.second; });
  return order;
}

/// No selection that differs from `state` in later items alone has less loss
/// than this: those items already have their least reduced cost.
int64_t Search::boundOf(const State &state) const {
  Wide saved = Wide(budget - state.bytes) * price.loss;
  Wide whole = saved / price.bytes;
  if (saved < 0 && saved % price.bytes != 0)
    --whole; // towards minus infinity: the bound is rounded up
  return static_cast<int64_t>(state.loss - whole);
}

bool Search::canImprove(const State &state) const { return boundOf(state) < best.loss; }

void Search::keepBest(const State &state) {
  if (state.bytes > budget || state.loss >= best.loss)
    return;
  best.choices = relaxed;
  for (int64_t at = state.lastChange; at >= 0; at = changes[at].previous)
    best.choices[changes[at].item] = changes[at].choice;
  best.bytes = state.bytes;
  best.loss = state.loss;
}

/// Adds, for every state, the states that choose otherwise for `item`.
void Search::branch(size_t item) {
  const Choice &own = items[item][relaxed[item]];
  std::vector<int64_t> pareto = findPareto(items[item]);
  const size_t before = states.size();
  for (size_t at = 0; at < before; ++at) {
    for (int64_t choice : pareto) {
      if (choice == relaxed[item])
        continue;
      const Choice &other = items[item][choice];
      State next = {states[at].bytes + other.bytes - own.bytes,
                    states[at].loss + other.loss - own.loss, 0};
      if (!canImprove(next))
        continue;
      next.lastChange = static_cast<int64_t>(changes.size());
      changes.push_back({item, choice, states[at].lastChange});
      keepBest(next);
      states.push_back(next);
    }
  }
}

/// Keeps the states that no other beats in both numbers and that may still
/// lead to something better than the best.
void Search::dropDominated() {
  std::sort(states.begin(), states.end(), [](const State &lhs, const State &rhs) {
    return std::tie(lhs.bytes, lhs.loss, lhs.lastChange) <
           std::tie(rhs.bytes, rhs.loss, rhs.lastChange);
  });
  size_t kept = 0;
  for (const State &state : states)
    if ((kept == 0 || state.loss < states[kept - 1].loss) && canImprove(state))
      states[kept++] = state;
  states.resize(kept);
}

/// Keeps as many states as allowed; none once the memory of changes is full.
void Search::dropUnpromising() {
  const size_t kept = changes.size() < changesPerState * mostStates ? mostStates : 0;
  if (states.size() <= kept)
    return;
  std::sort(states.begin(), states.end(), [&](const State &lhs, const State &rhs) {
    return std::pair(reducedCost(lhs.bytes, lhs.loss), lhs.lastChange) <
           std::pair(reducedCost(rhs.bytes, rhs.loss), rhs.lastChange);
  });
  // Sorted by the bound: the first that goes has the least of those that go.
  droppedBound = std::min(droppedBound, boundOf(states[kept]));
  states.resize(kept);
}

std::optional<Solution> Search::run(std::span<const std::vector<int64_t>> candidates) {
  if (leastBytes(items) > budget)
    return std::nullopt;
  relax();
  for (const std::vector<int64_t> &candidate : candidates)
    consider(candidate);
  for (size_t item : orderItems()) {
    if (states.empty())
      break;
    branch(item);
    dropDominated();
    dropUnpromising();
  }
  best.bound = std::min(best.loss, droppedBound);
  return std::move(best);
}

int64_t grok::quantization::leastBytes(std::span<const Item> items) {
  int64_t bytes = 0;
  for (const Item &item : items) {
    assert(!item.empty());
    bytes += std::min_element(item.begin(), item.end(), [](const Choice &lhs, const Choice &rhs) {
               return lhs.bytes < rhs.bytes;
             })->bytes;
  }
  return bytes;
}

std::optional<Solution> grok::quantization::solve(std::span<const Item> items, int64_t budget,
                                                  std::span<const std::vector<int64_t>> candidates,
                                                  size_t mostStates) {
  return Search(items, budget, std::max<size_t>(mostStates, 1)).run(candidates);
}
