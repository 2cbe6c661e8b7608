// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Certificate.h"

#include "passes/sharding/search/Bounds.h"
#include "passes/sharding/search/Families.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace grok::search {

static constexpr double modelError = 0.1;
static constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {

/// The choice against all others while one number changes.
class Contest {
public:
  Contest(const CostModel &costs, const Limits &limits, const Plan &choice,
          std::vector<Family> families, const MachineNumber &number)
      : costs(costs), limits(limits), choice(choice), number(number) {
    // Rivals that are slower even where the number is best for them and worst for
    // the choice need not be looked at again.
    const double fastest = number.isRate() ? mostFactor : 1 / mostFactor;
    const double slowest = choiceAt(1 / fastest);
    const Machine best = scaled(costs.machine, number, fastest);
    const CostModel bestCosts(costs.model, best, costs.workload);
    for (const Family &family : families)
      if (family.leastBytes <= availableFor(family, costs.machine) &&
          boundObjective(bestCosts, family.sharding, *family.format) <= slowest)
        rivals.push_back(family);
  }

  /// Walks from factor 1 up or down to the first flip.
  std::optional<Flip> findFlip(bool isUp, double value) const;

private:
  Flip locateFlip(bool isUp, double near, double far, double value) const;
  double choiceAt(double factor) const;
  /// The best rival that is faster than `seconds`.
  std::optional<Plan> rivalAt(double factor, double seconds) const;
  bool isChoice(const Family &family, const Plan &plan) const {
    return plan.sharding.sameSplit(choice.sharding) && family.format->name == choice.format.name;
  }

  const CostModel &costs;
  const Limits &limits;
  const Plan &choice;
  const MachineNumber &number;
  std::vector<Family> rivals;
};

} // namespace

/// The choice's objective with its own best micro-batches and layers.
double Contest::choiceAt(double factor) const {
  const Machine machine = scaled(costs.machine, number, factor);
  const CostModel other(costs.model, machine, costs.workload);
  Sharding sharding = choice.sharding;
  sharding.stageLayers.clear();
  double best = infinity;
  const int64_t sequences = (costs.workload.batch + sharding.dp - 1) / sharding.dp;
  for (int64_t count : microBatchChoices(sharding.pp, sequences))
    best = std::min(best, other.evaluate(sharding, choice.format, count).objective);
  return best;
}

std::optional<Plan> Contest::rivalAt(double factor, double seconds) const {
  const Machine machine = scaled(costs.machine, number, factor);
  const CostModel other(costs.model, machine, costs.workload);
  std::optional<Plan> best;
  for (const Family &family : rivals) {
    if (boundObjective(other, family.sharding, *family.format) >= seconds)
      continue;
    for (Plan &plan : plansOf(family, other, limits))
      if (plan.fits() && plan.objective < seconds && !isChoice(family, plan)) {
        seconds = plan.objective;
        best = std::move(plan);
      }
  }
  return best;
}

/// Halves the step to where a rival is ahead, as the choice is not at `near`.
Flip Contest::locateFlip(bool isUp, double near, double far, double value) const {
  const auto factorOf = [&](double distance) { return isUp ? distance : 1 / distance; };
  std::optional<Plan> rival = rivalAt(factorOf(far), choiceAt(factorOf(far)));
  while (far / near > 1 + flipTolerance) {
    const double middle = std::sqrt(near * far);
    std::optional<Plan> other = rivalAt(factorOf(middle), choiceAt(factorOf(middle)));
    (other ? far : near) = middle;
    if (other)
      rival = std::move(other);
  }
  return {value * factorOf(far), rival->sharding.text(), rival->format.name};
}

std::optional<Flip> Contest::findFlip(bool isUp, double value) const {
  const bool isFasterBeyond = number.isRate() == isUp;
  double near = 1, ratio = 2;
  while (near < mostFactor) {
    const double far = std::min(near * ratio, mostFactor);
    const double nearFactor = isUp ? near : 1 / near, farFactor = isUp ? far : 1 / far;
    // Between them the choice is never slower, and no rival faster, than here.
    const double worst = choiceAt(isFasterBeyond ? nearFactor : farFactor);
    const double best = isFasterBeyond ? farFactor : nearFactor;
    const bool isSure = !rivalAt(best, worst);
    if (!isSure && ratio > largestStep) {
      ratio = std::max(std::sqrt(ratio), largestStep);
      continue;
    }
    if (!isSure && rivalAt(farFactor, choiceAt(farFactor)))
      return locateFlip(isUp, near, far, value);
    near = far;
    ratio = std::min(ratio * ratio, 2.0);
  }
  return std::nullopt;
}

static std::vector<Interval> findIntervals(const CostModel &costs, const Limits &limits,
                                           const Plan &choice,
                                           const std::vector<WeightFormat> &formats) {
  std::vector<Interval> intervals;
  const std::vector<Family> families = listFamilies(costs, limits, formats);
  const auto message =
      double(costs.model.width * costs.workload.activationBytes * costs.workload.batch);
  for (const MachineNumber &number : numbersOf(costs.machine)) {
    const Contest contest(costs, limits, choice, families, number);
    Interval interval;
    interval.number = number.name();
    interval.value = number.valueIn(costs.machine, choice.format.name, message);
    interval.source = number.sourceIn(costs.machine);
    interval.below = contest.findFlip(/*isUp=*/false, interval.value);
    interval.above = contest.findFlip(/*isUp=*/true, interval.value);
    intervals.push_back(std::move(interval));
  }
  return intervals;
}

Result<Certificate> certify(const ModelShape &model, const Machine &machine,
                            const Workload &workload, const Limits &limits) {
  Result<RankedPlans> ranked = searchShardings(model, machine, workload, limits);
  if (!ranked)
    return tl::unexpected(ranked.error());
  Certificate certificate{.ranked = std::move(*ranked), .intervals = {}};
  const std::vector<Plan> &plans = certificate.ranked.plans;
  if (plans.empty())
    return certificate;
  Machine limited = machine;
  limited.budgetBytes = limits.memoryBudget;
  const CostModel costs(model, limited, workload);
  const std::vector<WeightFormat> formats =
      limits.formats.empty() ? std::vector{plans.front().format} : limits.formats;
  certificate.intervals = findIntervals(costs, limits, plans.front(), formats);
  const double within = plans.front().objective * (1 + modelError) / (1 - modelError);
  certificate.inseparable = std::ranges::count_if(
      plans.begin() + 1, plans.end(), [&](const Plan &plan) { return plan.objective <= within; });
  return certificate;
}

} // namespace grok::search
