// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/WeightTraffic.h"
#include "runtime/plan/PlanCheck.h"
#include <set>
#include <string_view>

namespace grok::runtime {

static uint64_t touchedBytes(const plan::Plan &plan, std::string_view op,
                             const plan::WeightTensor &tensor) {
  const plan::Model &model = *plan.model();
  if (op == "gate_up" || op == "down_combine")
    return tensor.bytes() / static_cast<uint64_t>(model.num_experts()) *
           static_cast<uint64_t>(model.num_selected_experts());
  if (op == "embed")
    return tensor.bytes() / static_cast<uint64_t>(model.vocab_size());
  if (tensor.packing() && tensor.packing()->string_view() == "rope")
    return tensor.bytes() / static_cast<uint64_t>(plan.max_context());
  return tensor.bytes();
}

uint64_t weightBytesOf(const plan::Plan &plan, const plan::Layout &layout,
                       const plan::Bucket &bucket, const plan::Launch &launch) {
  std::string_view op = opOf(plan, launch);
  uint64_t bytes = 0;
  std::set<int32_t> seen; // float weights stand in for their own scales
  for (const plan::Operand *operand : *launch.operands()) {
    const plan::Buffer &buffer = *bucket.buffers()->Get(static_cast<uint32_t>(operand->buffer()));
    if (buffer.kind() == plan::BufferKind::weight && seen.insert(buffer.tensor()).second)
      bytes +=
          touchedBytes(plan, op, *layout.tensors()->Get(static_cast<uint32_t>(buffer.tensor())));
  }
  return bytes;
}

LaunchProducts productsOf(const plan::Plan &plan, const plan::Layout &layout,
                          const plan::Bucket &bucket, const plan::Launch &launch) {
  std::string_view op = opOf(plan, launch);
  const plan::Model &model = *plan.model();
  LaunchProducts products;
  for (const plan::Operand *operand : *launch.operands()) {
    const plan::Buffer &buffer = *bucket.buffers()->Get(static_cast<uint32_t>(operand->buffer()));
    if (op == "embed" || buffer.kind() != plan::BufferKind::weight)
      continue;
    const plan::WeightTensor &tensor =
        *layout.tensors()->Get(static_cast<uint32_t>(buffer.tensor()));
    if (!textOf(tensor.packing()).starts_with("panel16"))
      continue;
    uint64_t elements = elementsOf(tensor.logical_shape());
    // Of the experts a tensor may hold some, of which a row visits some.
    const auto &logical = *tensor.logical_shape();
    if (logical.size() == 3 && logical.Get(0) > 0)
      elements = elements / static_cast<uint64_t>(logical.Get(0)) *
                 static_cast<uint64_t>(tensor.shape()->Get(0));
    if (op == "gate_up" || op == "down_combine")
      elements = elements / static_cast<uint64_t>(model.num_experts()) *
                 static_cast<uint64_t>(model.num_selected_experts());
    products.multiplyAdds += elements;
    products.onIntegers |= tensor.dtype() == plan::DType::i8 && textOf(plan.numerics()) == "fast";
  }
  return products;
}

uint64_t weightBytesPerToken(const plan::Plan &plan, const plan::Layout &layout,
                             const plan::Program &program) {
  const plan::Bucket &smallest = *program.buckets()->Get(0);
  uint64_t bytes = 0;
  for (const plan::Launch *launch : *smallest.launches())
    bytes += weightBytesOf(plan, layout, smallest, *launch);
  return bytes;
}

} // namespace grok::runtime
