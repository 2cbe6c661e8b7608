// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Certificate.h"

#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/Families.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <tuple>

namespace grok::search {

static constexpr double modelError = 0.1;
namespace {

/// A plan but for the layers of its stages.
struct Candidate {
  Sharding sharding;
  const WeightFormat *format = nullptr;
  int64_t microBatches = 1;
  double objective = 0;
};

/// The cost model with one number changed.
struct Variant {
  Variant(const CostModel &given, const MachineNumber &number, double factor)
      : machine(scaled(given.machine, number, factor)), costs(given, machine) {}

  Machine machine;
  CostModel costs;
};

/// The choice against all others while one number changes in one direction.
class Contest {
public:
  Contest(const CostModel &costs, const std::vector<Candidate> &choices,
          const std::vector<Candidate> &rivals, const MachineNumber &number, bool isUp)
      : costs(costs), choices(choices), rivals(rivals), number(number), isUp(isUp) {}

  /// The first flip up to a distance of `most`; `value` is the number's.
  std::optional<Flip> findFlip(double value, double most);

private:
  /// Objectives at a distance of 1 or more from the number: times or divided by it.
  double secondsOf(const Candidate &plan, double distance);
  double choiceAt(double distance);
  /// Where the rival passes the choice, if before `limit`.
  std::optional<double> findPassing(const Candidate &rival, double limit);
  double locatePassing(const Candidate &rival, double near, double far);
  bool isAhead(const Candidate &rival, double distance) {
    return secondsOf(rival, distance) < choiceAt(distance);
  }

  const CostModel &costs;
  const std::vector<Candidate> &choices; // of the same split and format
  const std::vector<Candidate> &rivals;
  const MachineNumber &number;
  const bool isUp;
  std::map<double, std::unique_ptr<Variant>> variants;
  std::map<double, double> choiceSeconds;
};

} // namespace

double Contest::secondsOf(const Candidate &plan, double distance) {
  std::unique_ptr<Variant> &variant = variants[distance];
  if (!variant)
    variant = std::make_unique<Variant>(costs, number, isUp ? distance : 1 / distance);
  return variant->costs.objectiveOf(plan.sharding, *plan.format, plan.microBatches);
}

double Contest::choiceAt(double distance) {
  const auto [entry, isNew] = choiceSeconds.try_emplace(distance, infinity);
  if (isNew)
    for (const Candidate &choice : choices)
      entry->second = std::min(entry->second, secondsOf(choice, distance));
  return entry->second;
}

/// Halves the step at whose end the rival is ahead.
double Contest::locatePassing(const Candidate &rival, double near, double far) {
  while (far / near > 1 + flipTolerance) {
    const double middle = std::sqrt(near * far);
    (isAhead(rival, middle) ? far : near) = middle;
  }
  return far;
}

std::optional<double> Contest::findPassing(const Candidate &rival, double limit) {
  const bool isFasterBeyond = number.isRate() == isUp;
  // No time falls by more than the distance, and none falls where all get slower.
  if (isFasterBeyond ? rival.objective >= limit * choiceAt(1) : rival.objective >= choiceAt(limit))
    return std::nullopt;
  double near = 1, ratio = limit;
  while (near < limit) {
    const double far = std::min(near * ratio, limit);
    // Between them the choice is never slower, and the rival never faster, than here.
    const double worst = choiceAt(isFasterBeyond ? near : far);
    const bool isSure = secondsOf(rival, isFasterBeyond ? far : near) >= worst;
    if (!isSure && ratio > largestStep) {
      ratio = std::max(std::sqrt(ratio), largestStep);
      continue;
    }
    if (!isSure && isAhead(rival, far))
      return locatePassing(rival, near, far);
    near = far;
    ratio *= ratio;
  }
  return std::nullopt;
}

std::optional<Flip> Contest::findFlip(double value, double most) {
  double limit = most;
  std::optional<Flip> flip;
  for (const Candidate &rival : rivals)
    if (const auto distance = findPassing(rival, limit)) {
      flip = {isUp ? value * *distance : value / *distance, rival.sharding.text(),
              rival.format->name};
      // Of rivals that are alike, the first.
      limit = *distance / (1 + 2 * flipTolerance);
    }
  return flip;
}

/// The plans that fit, apart from those of the choice's split and format.
static void listCandidates(const CostModel &costs, const Limits &limits, const Plan &choice,
                           const std::vector<WeightFormat> &formats,
                           std::vector<Candidate> &choices, std::vector<Candidate> &rivals) {
  for (const Family &family : listFamilies(costs, limits, formats)) {
    if (family.leastBytes > availableFor(family, costs.machine))
      continue;
    for (Plan &plan : plansOf(family, costs, limits)) {
      if (!plan.fits())
        continue;
      plan.sharding.stageLayers.clear();
      const bool isChoice =
          plan.sharding.sameSplit(choice.sharding) && family.format->name == choice.format.name;
      (isChoice ? choices : rivals)
          .push_back({plan.sharding, family.format, plan.microBatches, plan.objective});
    }
  }
  std::ranges::sort(rivals, {}, [](const Candidate &rival) {
    return std::tuple(rival.objective, rival.sharding.ranks(), rival.sharding.text(),
                      rival.format->name, rival.microBatches);
  });
}

static std::vector<Interval> findIntervals(const CostModel &costs, const std::string &weights,
                                           const std::vector<Candidate> &choices,
                                           const std::vector<Candidate> &rivals, double most) {
  std::vector<Interval> intervals;
  const auto message =
      double(costs.model.width * costs.workload.activationBytes * costs.workload.batch);
  for (const MachineNumber &number : numbersOf(costs.machine)) {
    Interval interval;
    interval.number = number.name();
    interval.value = number.valueIn(costs.machine, weights, message);
    interval.source = number.sourceIn(costs.machine, message);
    for (bool isUp : {false, true})
      (isUp ? interval.above : interval.below) =
          Contest(costs, choices, rivals, number, isUp).findFlip(interval.value, most);
    intervals.push_back(std::move(interval));
  }
  return intervals;
}

/// Fills in what depends on numbers of the machine.
static void addIntervals(Certificate &certificate, const CostModel &costs, const Limits &limits) {
  const std::vector<Plan> &plans = certificate.ranked.plans;
  const std::string &weights = plans.front().format.name;
  const std::vector<WeightFormat> formats =
      limits.formats.empty() ? std::vector{plans.front().format} : limits.formats;
  std::vector<Candidate> choices, rivals;
  listCandidates(costs, limits, plans.front(), formats, choices, rivals);
  certificate.intervals = findIntervals(costs, weights, choices, rivals, mostFactor);
  if (plans.size() < 2)
    return;
  const auto isOther = [&](const Candidate &rival) {
    return !rival.sharding.sameSplit(plans[1].sharding) ||
           rival.format->name != plans[1].format.name;
  };
  std::erase_if(rivals, isOther);
  certificate.runnerUp = findIntervals(costs, weights, choices, rivals, mostFactorOfNext);
}

Result<Certificate> certify(const ModelShape &model, const Machine &machine,
                            const Workload &workload, const Limits &limits) {
  Result<RankedPlans> ranked = searchShardings(model, machine, workload, limits);
  if (!ranked)
    return tl::unexpected(ranked.error());
  Certificate certificate{.ranked = std::move(*ranked), .intervals = {}, .runnerUp = {}};
  const std::vector<Plan> &plans = certificate.ranked.plans;
  if (plans.empty())
    return certificate;
  Machine limited = machine;
  limited.budgetBytes = limits.memoryBudget;
  const CostModel costs(model, limited, workload);
  addIntervals(certificate, costs, limits);
  const double within = plans.front().objective * (1 + modelError) / (1 - modelError);
  certificate.inseparable = std::ranges::count_if(
      plans.begin() + 1, plans.end(), [&](const Plan &plan) { return plan.objective <= within; });
  return certificate;
}

} // namespace grok::search
