// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/Comparison.h"

#include "compiler/kernels/GroupsLayout.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace grok::verification {

using interpreter::Indices;

static constexpr double infinity = std::numeric_limits<double>::infinity();

void Mismatch::raise(double newShare, const std::string &text) {
  if (newShare <= share)
    return;
  share = newShare;
  what = text;
}

/// How much of `bound` the difference takes. NaN agrees with nothing.
static double shareOf(double difference, double bound) {
  if (difference == 0)
    return 0;
  if (!(difference <= std::numeric_limits<double>::max()))
    return infinity;
  return bound > 0 ? difference / bound : infinity;
}

static std::string textOf(double number) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.9g", number);
  return text;
}

static std::string textOf(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.size(); ++axis)
    text += (axis ? ", " : "") + std::to_string(shape[axis]);
  return text + "]";
}

/// "layer1.q row 3, element 17".
static std::string placeOf(const RecordedBuffer &buffer, size_t index) {
  size_t rows = std::max<size_t>(buffer.shape.empty() ? 1 : size_t(buffer.shape.front()), 1);
  size_t stride = std::max(buffer.numbers.size(), buffer.integers.size()) / rows;
  return buffer.name + " row " + std::to_string(index / stride) + ", element " +
         std::to_string(index % stride);
}

static void checkPadding(const RecordedBuffer &buffer, Mismatch &mismatch) {
  if (buffer.paddingRow)
    mismatch.raise(infinity, buffer.name + " row " + std::to_string(*buffer.paddingRow) +
                                 ": padding is not zero");
}

static Result<void> checkShape(const RecordedBuffer &buffer, const std::vector<int64_t> &expected) {
  if (buffer.shape == expected)
    return {};
  return tl::unexpected(buffer.name + ": has shape " + textOf(buffer.shape) +
                        ", the interpreter's is " + textOf(expected) +
                        "; is the artifact made from this model?");
}

Result<Mismatch> compareNumbers(const RecordedBuffer &buffer, const Known &reference) {
  const interpreter::Tensor &tensor = reference.tensor();
  if (auto checked = checkShape(buffer, tensor.shape); !checked)
    return tl::unexpected(checked.error());
  Mismatch mismatch;
  checkPadding(buffer, mismatch);
  for (size_t i = 0; i < buffer.numbers.size(); ++i) {
    double difference = std::abs(double(buffer.numbers[i]) - tensor.values[i]);
    double bound = reference.bound.empty() ? 0 : double(reference.bound[i]);
    double share = shareOf(difference, bound);
    if (share > mismatch.share)
      mismatch.raise(share, placeOf(buffer, i) + ": compiled " + textOf(buffer.numbers[i]) +
                                ", reference " + textOf(tensor.values[i]) + ", difference " +
                                textOf(difference) + " of at most " + textOf(bound));
  }
  return mismatch;
}

namespace {

/// The choices of one row.
class RowChoices {
public:
  RowChoices(const RecordedBuffer &gates, const RecordedBuffer &experts, const Known &reference,
             int64_t row)
      : gates(gates), experts(experts), expected(std::get<Indices>(reference.value)),
        selected(expected.shape[1]), first(row * selected),
        numExperts(int64_t(reference.router->probabilities.size()) / expected.shape[0]),
        probabilities(reference.router->probabilities.data() + row * numExperts),
        relative(reference.router->relative[row]) {}

  void compare(Mismatch &mismatch) const {
    for (int64_t i = first; i < first + selected; ++i)
      compareChoice(i, mismatch);
  }

private:
  void compareChoice(int64_t i, Mismatch &mismatch) const {
    int32_t expert = experts.integers[i], likelier = expected.values[i];
    auto begin = experts.integers.begin();
    if (expert < 0 || expert >= numExperts ||
        std::find(begin + first, begin + i, expert) != begin + i)
      return mismatch.raise(infinity, placeOf(experts, i) + ": expert " + std::to_string(expert) +
                                          " does not exist or is chosen twice");
    double probability = probabilities[expert], best = probabilities[likelier];
    if (expert != likelier)
      mismatch.raise(shareOf(std::max(best - probability, 0x1p-60), 2 * relative * best),
                     placeOf(experts, i) + ": compiled chose expert " + std::to_string(expert) +
                         " of probability " + textOf(probability) + ", reference " +
                         std::to_string(likelier) + " of " + textOf(best));
    double difference = std::abs(double(gates.numbers[i]) - probability);
    mismatch.raise(shareOf(difference, relative * probability),
                   placeOf(gates, i) + ": compiled " + textOf(gates.numbers[i]) + ", reference " +
                       textOf(probability) + ", difference " + textOf(difference) + " of at most " +
                       textOf(relative * probability));
  }

  const RecordedBuffer &gates, &experts;
  const Indices &expected;
  int64_t selected, first, numExperts;
  const double *probabilities;
  double relative;
};

} // namespace

Result<Mismatch> compareRouting(const RecordedBuffer &gates, const RecordedBuffer &experts,
                                const Known &reference) {
  const auto &expected = std::get<Indices>(reference.value);
  for (const RecordedBuffer *buffer : {&gates, &experts})
    if (auto checked = checkShape(*buffer, expected.shape); !checked)
      return tl::unexpected(checked.error());
  Mismatch mismatch;
  for (int64_t row = 0; row < expected.shape[0]; ++row)
    RowChoices(gates, experts, reference, row).compare(mismatch);
  return mismatch;
}

Mismatch compareLocal(const RecordedBuffer &local, const Indices &experts,
                      const std::vector<int64_t> &subset) {
  Mismatch mismatch;
  if (local.shape != experts.shape)
    mismatch.raise(infinity, local.name + ": has shape " + textOf(local.shape) + ", expected " +
                                 textOf(experts.shape));
  for (size_t i = 0; mismatch.share == 0 && i < experts.values.size(); ++i) {
    auto found = std::find(subset.begin(), subset.end(), experts.values[i]);
    int64_t expected = found == subset.end() ? -1 : found - subset.begin();
    if (local.integers[i] != expected)
      mismatch.raise(infinity, placeOf(local, i) + ": number of expert " +
                                   std::to_string(experts.values[i]) + " is " +
                                   std::to_string(local.integers[i]) + ", expected " +
                                   std::to_string(expected));
  }
  return mismatch;
}

Mismatch compareGroups(const RecordedBuffer &groups, const Indices &experts, int64_t numExperts) {
  compiler::GroupsLayout layout(numExperts);
  Mismatch mismatch;
  auto expect = [&](int64_t index, int64_t value, const char *what) {
    bool isThere = index < int64_t(groups.integers.size());
    if (!isThere || groups.integers[index] != value)
      mismatch.raise(infinity, placeOf(groups, index) + ": " + what + " is " +
                                   (isThere ? std::to_string(groups.integers[index]) : "missing") +
                                   ", expected " + std::to_string(value));
  };
  int64_t active = 0, pairs = 0;
  for (int64_t expert = 0; expert < numExperts; ++expert) {
    int64_t before = pairs;
    for (size_t pair = 0; pair < experts.values.size(); ++pair)
      if (experts.values[pair] == expert)
        expect(layout.pairs + pairs++, int64_t(pair), "pair");
    if (pairs == before)
      continue;
    expect(layout.ids + active, expert, "expert");
    expect(layout.offsets + active++, before, "offset");
  }
  expect(layout.offsets + active, pairs, "end offset");
  expect(layout.activeCount, active, "number of experts");
  expect(layout.pairCount, pairs, "number of pairs");
  return mismatch;
}

int64_t countPairs(const RecordedBuffer &groups) {
  return groups.integers[compiler::GroupsLayout(0).pairCount];
}

void spreadByChoice(const RecordedBuffer &buffer, const RecordedBuffer &groups, int64_t numExperts,
                    std::vector<float> &values) {
  int64_t width = buffer.shape.back();
  const int32_t *pairs = groups.integers.data() + compiler::GroupsLayout(numExperts).pairs;
  for (int64_t i = 0; i < countPairs(groups); ++i)
    std::copy_n(buffer.numbers.begin() + i * width, width, values.begin() + pairs[i] * width);
}

RecordedBuffer firstPairs(const RecordedBuffer &buffer, int64_t pairs) {
  RecordedBuffer first = buffer;
  int64_t width = buffer.shape.back(), selected = buffer.shape[1];
  first.shape = {pairs, width};
  first.numbers.resize(std::min<size_t>(first.numbers.size(), pairs * width));
  first.bytes.resize(std::min<size_t>(first.bytes.size(), pairs * width));
  // Padding is looked at by rows of the step; the one that ends inside them is left out.
  if (first.paddingRow && int64_t(*first.paddingRow + 1) * selected > pairs)
    first.paddingRow.reset();
  return first;
}

} // namespace grok::verification
