// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/ExchangeNorms.h"

#include "runtime/plan/ExchangeABI.h"
#include "runtime/plan/PlanCheck.h"
#include <algorithm>

namespace grok::runtime {

// Of residual_norm.
static constexpr uint32_t residual = 0, added = 1, output = 4, operandCount = 5;

static int32_t bufferOf(const plan::Launch &launch, uint32_t operand) {
  return launch.operands()->Get(operand)->buffer();
}

static bool isNorm(const plan::Plan &plan, const plan::Launch &launch) {
  return launch.collective() == plan::Collective::none &&
         launch.operands()->size() == operandCount &&
         textOf(plan.kernels()->Get(static_cast<uint32_t>(launch.kernel()))->op()) ==
             "residual_norm";
}

static int64_t usesOf(const plan::Bucket &bucket, int32_t buffer) {
  int64_t uses = 0;
  for (const plan::Launch *launch : *bucket.launches())
    for (const plan::Operand *operand : *launch->operands())
      uses += operand->buffer() == buffer;
  return uses;
}

// The output may have been given the bytes of the source, which now lives longer: then
// rows must lie on the same rows.
static bool mayBeWrittenBeside(const plan::Buffer &source, const plan::Buffer &output) {
  const bool areApart = source.offset() + source.bytes() <= output.offset() ||
                        output.offset() + output.bytes() <= source.offset();
  return areApart || source.offset() == output.offset();
}

bool isExchangeOfNorm(const plan::Plan &plan, const plan::Bucket &bucket, uint32_t number) {
  const auto &launches = *bucket.launches();
  const plan::Launch &first = *launches[number];
  if ((first.collective() != plan::Collective::all_reduce &&
       first.collective() != plan::Collective::all_gather) ||
      number + 1 == launches.size() || !isNorm(plan, *launches[number + 1]))
    return false;
  const plan::Launch &norm = *launches[number + 1];
  const auto bufferAt = [&](const plan::Launch &launch, uint32_t operand) -> const plan::Buffer & {
    return *bucket.buffers()->Get(static_cast<uint32_t>(bufferOf(launch, operand)));
  };
  const plan::Buffer &source = bufferAt(first, 0), &sum = bufferAt(norm, residual),
                     &result = bufferAt(norm, output);
  const auto rowWords = [](const plan::Buffer &rows) { return elementsOf(rows.row_shape()); };
  const bool isRows =
      std::ranges::all_of(std::initializer_list<const plan::Buffer *>{&source, &sum, &result},
                          [&](const plan::Buffer *rows) {
                            return rows->kind() == plan::BufferKind::arena && rows->per_row() &&
                                   rows->dtype() == plan::DType::f32 &&
                                   rowWords(*rows) == rowWords(source);
                          });
  const int32_t target = bufferOf(first, 1);
  return isRows && target == bufferOf(norm, added) && usesOf(bucket, target) == 2 &&
         static_cast<uint64_t>(bucket.max_rows()) * rowWords(source) <= grokExchangeWords &&
         mayBeWrittenBeside(source, result);
}

} // namespace grok::runtime
