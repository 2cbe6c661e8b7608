// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Checker.h"

#include "passes/sharding/search/Arithmetic.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace grok::search {

/// Numbers pass through text with all their digits.
static constexpr double rounding = 1e-9;

namespace {

/// Every plan of a claim, at some numbers of the machine.
class Enumeration {
public:
  Enumeration(const Claim &claim, Machine given) : claim(claim), machine(std::move(given)) {
    machine.budgetBytes = claim.limits.memoryBudget;
    const CostModel costs(claim.model, machine, claim.workload);
    const int64_t devices = machine.devices();
    for (int64_t tp = 1; tp <= devices; ++tp)
      for (int64_t ep = 1; tp * ep <= devices; ++ep)
        for (int64_t pp = 1; tp * ep * pp <= devices; ++pp) {
          if (!checkSharding(claim.model, {tp, ep, pp, 1, {}}, claim.workload))
            continue;
          for (int64_t dp = 1; tp * ep * pp * dp <= devices; ++dp)
            for (const std::vector<int64_t> &hidden : layersTried())
              tryAll(costs, {tp, ep, pp, dp, {}, hidden});
        }
  }

  const std::vector<Plan> &all() const { return plans; }
  double best() const {
    return leastOf([](const Plan &plan) { return plan.fits(); });
  }
  /// Of one way to split and store the model.
  double bestOf(const Claim::RankedPlan &wanted) const {
    return leastOf([&](const Plan &plan) {
      return plan.fits() && plan.sharding.text() == wanted.sharding &&
             plan.format.name == wanted.weights;
    });
  }
  template <typename Filter> double leastOf(Filter filter) const {
    double least = infinity;
    for (const Plan &plan : plans)
      if (filter(plan))
        least = std::min(least, plan.objective);
    return least;
  }

private:
  /// Layers of a claim are stored alike: none, all, or those that are given.
  std::vector<std::vector<int64_t>> layersTried() const {
    if (claim.limits.hiddenLayers)
      return {*claim.limits.hiddenLayers};
    std::vector<int64_t> all(size_t(claim.model.layers));
    std::iota(all.begin(), all.end(), 0);
    return {{}, std::move(all)};
  }
  void tryAll(const CostModel &costs, const Sharding &sharding) {
    if (!isAllowed(sharding, claim.limits, claim.workload, machine) ||
        !checkSharding(claim.model, sharding, claim.workload))
      return;
    const int64_t sequences = divideUp(claim.workload.batch, sharding.dp);
    for (const WeightFormat &format : claim.limits.formats)
      for (int64_t count : microBatchChoices(sharding.pp, sequences))
        plans.push_back(costs.evaluate(sharding, format, count));
  }

  const Claim &claim;
  Machine machine;
  std::vector<Plan> plans;
};

} // namespace

static bool isNear(double left, double right) {
  return std::abs(left - right) <= rounding * std::abs(right);
}

static Result<void> checkRanking(const Claim &claim, const Enumeration &every) {
  double before = 0;
  for (const Claim::RankedPlan &plan : claim.ranked) {
    const bool isThere = std::ranges::any_of(every.all(), [&](const Plan &other) {
      return other.fits() && other.sharding.text() == plan.sharding &&
             other.format.name == plan.weights && isNear(other.objective, plan.objective);
    });
    if (!isThere)
      return fail("the plan ", plan.sharding, ", ", plan.weights, " of ", plan.objective,
                  " s is none, its best is ", every.bestOf(plan), " s");
    if (plan.objective < before * (1 - rounding))
      return fail("the plan ", plan.sharding, " stands behind a slower one");
    before = plan.objective;
  }
  const Claim::RankedPlan &choice = claim.ranked.front();
  if (every.best() < choice.objective * (1 - rounding))
    return fail("a plan of ", every.best(), " s is better than the choice ", choice.sharding,
                " of ", choice.objective, " s");
  return {};
}

static Result<void> checkPruned(const Claim &claim, const Enumeration &every) {
  for (const PrunedFamily &family : claim.pruned) {
    const auto isMember = [&](const Plan &plan) {
      return plan.format.name == family.format && plan.sharding.sameStages(family.sharding);
    };
    const bool isByMemory = std::string_view(family.rule) == "memory";
    for (const Plan &plan : every.all()) {
      if (!isMember(plan))
        continue;
      if (isByMemory && plan.fits())
        return fail(plan.sharding.text(), " was left out for its memory, but fits");
      if (plan.objective < family.bound * (1 - rounding))
        return fail(plan.sharding.text(), " takes ", plan.objective, " s, less than its bound ",
                    family.bound);
    }
    if (!isByMemory && family.bound < claim.ranked.front().objective)
      return fail(family.sharding.text(), " was left out although its bound is below the choice");
  }
  return {};
}

/// At `factor` times the number, the choice must be best or must not be.
static Result<void> expectChoice(const Claim &claim, const Machine &machine,
                                 const MachineNumber &number, double factor, bool isBest) {
  const Enumeration every(claim, scaled(machine, number, factor));
  const double choice = every.bestOf(claim.ranked.front());
  const bool holds = choice <= every.best() * (1 + rounding);
  if (holds == isBest)
    return {};
  return fail(number.name(), " times ", factor, ": the choice ", claim.ranked.front().sharding,
              isBest ? " is no longer the best" : " is still the best");
}

static Result<void> checkInterval(const Claim &claim, const Machine &machine,
                                  const Interval &interval) {
  const std::vector<MachineNumber> numbers = numbersOf(machine);
  const auto number = std::ranges::find_if(
      numbers, [&](const MachineNumber &next) { return next.name() == interval.number; });
  if (number == numbers.end())
    return fail("the machine has no number ", interval.number);
  for (bool isUp : {false, true}) {
    const std::optional<Flip> &flip = isUp ? interval.above : interval.below;
    // The flip was found to flipTolerance: stay twice that away from it.
    const double away = isUp ? 1 + 2 * flipTolerance : 1 / (1 + 2 * flipTolerance);
    const double factor =
        flip ? flip->value / interval.value : (isUp ? mostFactor : 1 / mostFactor);
    if (Result<void> inside = expectChoice(claim, machine, *number, factor / away, true); !inside)
      return inside;
    if (flip)
      if (Result<void> beyond = expectChoice(claim, machine, *number, factor * away, false);
          !beyond)
        return beyond;
  }
  return {};
}

Result<CheckCounts> checkClaim(const Claim &claim, const Machine &machine) {
  if (claim.machineDigest != machine.digest)
    return fail("the machine file of ", machine.name, " is not the one that was searched");
  const Enumeration every(claim, machine);
  for (const Result<void> &part : {checkRanking(claim, every), checkPruned(claim, every)})
    if (!part)
      return tl::unexpected(part.error());
  for (const Interval &interval : claim.intervals)
    if (Result<void> held = checkInterval(claim, machine, interval); !held)
      return tl::unexpected(held.error());
  return CheckCounts{int64_t(every.all().size()), int64_t(claim.pruned.size()),
                     int64_t(claim.intervals.size())};
}

} // namespace grok::search
