// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/StepVerifier.h"

namespace grok::verification {

using interpreter::Cache;
using interpreter::Indices;
using interpreter::Step;
using interpreter::Tensor;

static Known known(interpreter::Value value) {
  return Known{std::move(value), {}, nullptr, std::nullopt};
}

StepVerifier::StepVerifier(const ProbedStep &probed, const interpreter::WeightSource &weights,
                           const VerificationProgress &progress, Report &report)
    : probed(probed), weights(weights), progress(progress), report(report) {
  mlir::func::FuncOp step = probed.step;
  for (mlir::Type type : step.getArgumentTypes())
    if (auto cacheType = mlir::dyn_cast<CacheType>(type))
      cache = known(Cache::empty(cacheType.getLayers()));
}

void StepVerifier::bindArguments(std::span<const StepRow> rows) {
  Indices tokens{{static_cast<int64_t>(rows.size())}, {}};
  Step step;
  for (size_t row = 0; row < rows.size(); ++row) {
    tokens.values.push_back(rows[row].token);
    step.positions.push_back(lengths[rows[row].sequence]++);
    step.sequences.push_back(rows[row].sequence);
    step.logitRows.push_back(int64_t(row));
  }
  environment.clear();
  mlir::func::FuncOp function = probed.step;
  for (mlir::BlockArgument argument : function.getArguments()) {
    if (mlir::isa<CacheType>(argument.getType()))
      environment[argument] = cache;
    else if (mlir::isa<StepType>(argument.getType()))
      environment[argument] = known(step);
    else
      environment[argument] = known(tokens);
  }
}

void StepVerifier::finish(const RecordedLaunch &launch, const Mismatch &mismatch) {
  int64_t values = 0;
  for (const RecordedBuffer &buffer : launch.written)
    values += int64_t(buffer.numbers.size() + buffer.integers.size() + buffer.bytes.size());
  report.add({report.steps, launch.name, launch.op, launch.layer, mismatch.what, mismatch.share},
             values);
  if (progress)
    progress(launch.name, int64_t(next));
}

Result<const RecordedLaunch *> StepVerifier::takeNamed(const Probe &probe, llvm::StringRef op) {
  std::string place = interpreter::placeOf(*probe.op);
  if (next == launches.size())
    return tl::unexpected(place + ": the artifact has no launch for it, expected '" + op.str() +
                          "'; is it made from this model?");
  const RecordedLaunch &launch = launches[next++];
  if (launch.op != op)
    return tl::unexpected(place + ": expected a launch of '" + op.str() + "', found " +
                          launch.name + " of '" + launch.op + "'; is it made from this model?");
  return &launch;
}

Result<const RecordedLaunch *> StepVerifier::takeLaunch(const Probe &probe) {
  return takeNamed(probe, probe.launch);
}

/// The values that the program really had are what the next launches read.
static void adopt(Known &result, const RecordedBuffer &buffer) {
  if (auto *indices = std::get_if<Indices>(&result.value))
    indices->values = buffer.integers;
  else
    std::get<Tensor>(result.value).values = buffer.numbers;
  result.bound.clear();
}

Result<Mismatch> StepVerifier::compareExperts(const RecordedLaunch &launch,
                                              std::vector<Known> &results) {
  if (launch.written.size() != 2)
    return tl::unexpected(launch.name + ": expected to write gates and experts");
  auto mismatch = compareRouting(launch.written[0], launch.written[1], results[1]);
  if (!mismatch)
    return mismatch;
  numExperts = int64_t(results[1].router->probabilities.size()) /
               std::get<Indices>(results[1].value).shape[0];
  auto isExpert = [&](int32_t expert) { return expert >= 0 && expert < numExperts; };
  if (llvm::all_of(launch.written[1].integers, isExpert))
    for (size_t i = 0; i < 2; ++i)
      adopt(results[i], launch.written[i]);
  return mismatch;
}

Result<Mismatch> StepVerifier::compare(const Probe &probe, const RecordedLaunch &launch,
                                       std::vector<Known> &results) {
  if (mlir::isa<RouteOp>(probe.op))
    return compareExperts(launch, results);
  // The cache is opaque: it is seen through the attention over it.
  size_t numSeen = mlir::isa<FusedQKVOp>(probe.op) ? 1 : results.size();
  if (launch.written.size() != numSeen)
    return tl::unexpected(launch.name + ": writes " + std::to_string(launch.written.size()) +
                          " buffers, expected " + std::to_string(numSeen));
  Mismatch worst;
  for (size_t i = 0; i < numSeen; ++i) {
    RecordedBuffer buffer = launch.written[i];
    if (auto quantize = mlir::dyn_cast<QuantizeOp>(probe.op)) {
      auto rows = dequantizeRows(buffer, quantize.getResult().getType());
      if (!rows)
        return tl::unexpected(launch.name + ": " + rows.error());
      buffer = std::move(*rows);
    }
    // The tensor of q is flat, its buffer has an axis of heads.
    if (mlir::isa<FusedQKVOp>(probe.op) && buffer.shape.size() == 3)
      buffer.shape = {buffer.shape[0], buffer.shape[1] * buffer.shape[2]};
    auto mismatch = compareNumbers(buffer, results[i]);
    if (!mismatch)
      return tl::unexpected(launch.name + ": " + mismatch.error());
    worst.raise(mismatch->share, mismatch->what);
    adopt(results[i], buffer);
  }
  return worst;
}

/// Whether there is a launch for each subset of the experts.
static bool isOverSubsets(mlir::Operation *op) {
  if (auto quantize = mlir::dyn_cast<QuantizeOp>(op))
    return quantize.getX().getDefiningOp<FusedGateUpOp>();
  return mlir::isa<FusedGateUpOp, FusedDownCombineOp>(op);
}

Result<void> StepVerifier::verifyProbe(const Probe &probe) {
  std::vector<Known> arguments;
  for (mlir::Value input : probe.inputs)
    arguments.push_back(environment.find(input)->second);
  auto results = probe.run(arguments, weights);
  if (!results)
    return tl::unexpected(results.error());
  if (isOverSubsets(probe.op)) {
    if (auto done = verifyOverSubsets(probe, *results); !done)
      return done;
  } else if (!probe.launch.empty()) {
    auto launch = takeLaunch(probe);
    if (!launch)
      return tl::unexpected(launch.error());
    auto mismatch = compare(probe, **launch, *results);
    if (!mismatch)
      return tl::unexpected(mismatch.error());
    finish(**launch, *mismatch);
  }
  for (auto [name, result] : llvm::zip_equal(probe.op->getResults(), *results)) {
    environment[name] = std::move(result);
    if (mlir::isa<CacheType>(name.getType()))
      cache = environment[name];
  }
  if (auto route = mlir::dyn_cast<RouteOp>(probe.op))
    chosen = std::get<Indices>(environment[route.getExperts()].value);
  return {};
}

Result<void> StepVerifier::verify(std::span<const StepRow> rows,
                                  std::vector<RecordedLaunch> recorded) {
  launches = std::move(recorded);
  next = 0;
  subsets.clear();
  chosen.reset();
  bindArguments(rows);
  for (const Probe &probe : probed.probes)
    if (auto done = verifyProbe(probe); !done)
      return done;
  if (next != launches.size())
    return tl::unexpected(launches[next].name + ": no op of the model is computed by it");
  ++report.steps;
  report.rows += int64_t(rows.size());
  return {};
}

} // namespace grok::verification
