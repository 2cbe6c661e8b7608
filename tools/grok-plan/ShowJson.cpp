// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/inspection/PlanSummary.h"
#include "runtime/plan/GpuKernels.h"
#include "runtime/plan/PlanCheck.h"
#include "runtime/plan/Sha256.h"
#include "tools/grok-plan/Show.h"

namespace grok::tools {
using nlohmann::ordered_json;
using runtime::textOf;

static ordered_json modelJson(const plan::Model &model) {
  return {{"name", textOf(model.name())},
          {"vocab_size", model.vocab_size()},
          {"emb_size", model.emb_size()},
          {"num_layers", model.num_layers()},
          {"num_q_heads", model.num_q_heads()},
          {"num_kv_heads", model.num_kv_heads()},
          {"key_size", model.key_size()},
          {"ffn_size", model.ffn_size()},
          {"num_experts", model.num_experts()},
          {"num_selected_experts", model.num_selected_experts()},
          {"sequence_len", model.sequence_len()},
          {"pad_token", model.pad_token()},
          {"eos_token", model.eos_token()}};
}

static ordered_json layoutJson(const plan::Layout &layout) {
  ordered_json weights = ordered_json::array();
  for (const runtime::WeightKind &kind : runtime::summarizeWeights(layout))
    weights.push_back({{"name", kind.name},
                       {"count", kind.count},
                       {"dtype", kind.dtype},
                       {"packing", kind.packing},
                       {"logical_shape", kind.logicalShape},
                       {"row_groups", kind.rowGroups},
                       {"k_unit", kind.unit},
                       {"k_slices", kind.slices},
                       {"bytes", kind.bytes}});
  return {{"name", textOf(layout.name())},
          {"file", textOf(layout.file())},
          {"file_bytes", layout.file_bytes()},
          {"tensors", layout.tensors()->size()},
          {"weights", weights}};
}

static ordered_json bucketJson(const plan::Plan &plan, const plan::Bucket &bucket) {
  ordered_json groups = ordered_json::array();
  for (const runtime::LaunchGroup &group : runtime::summarizeLaunches(plan, bucket)) {
    ordered_json launches = ordered_json::array();
    for (const runtime::LaunchSummary &launch : group.launches)
      launches.push_back({{"name", launch.name},
                          {"kernel", launch.kernel},
                          {"tiles", launch.tiles},
                          {"reads", launch.reads},
                          {"writes", launch.writes}});
    groups.push_back({{"first_layer", group.firstLayer},
                      {"last_layer", group.lastLayer},
                      {"launches", launches}});
  }
  ordered_json result = {{"max_rows", bucket.max_rows()},
                         {"arena_bytes", bucket.arena_bytes()},
                         {"launches", bucket.launches()->size()},
                         {"groups", groups}};
  if (const auto waits = runtime::waitsOfTasks(plan, bucket))
    result["task_waits"] = *waits;
  return result;
}

static ordered_json programJson(const plan::Plan &plan, const plan::Program &program) {
  ordered_json buckets = ordered_json::array();
  for (const plan::Bucket *bucket : *program.buckets())
    buckets.push_back(bucketJson(plan, *bucket));
  return {{"name", textOf(program.name())}, {"buckets", buckets}};
}

static ordered_json kernelsJson(const plan::Plan &plan) {
  const std::vector<int64_t> launches = runtime::countLaunches(plan);
  ordered_json kernels = ordered_json::array();
  for (uint32_t i = 0; i < plan.kernels()->size(); ++i) {
    const plan::Kernel &kernel = *plan.kernels()->Get(i);
    kernels.push_back({{"symbol", textOf(kernel.symbol())},
                       {"op", textOf(kernel.op())},
                       {"spec", textOf(kernel.spec())},
                       {"buffers", kernel.num_buffers()},
                       {"scratch_bytes", kernel.scratch_bytes()},
                       {"launches", launches[i]}});
  }
  return kernels;
}

static ordered_json codeJson(const plan::CodeBlob &blob) {
  ordered_json features = ordered_json::array();
  for (uint32_t i = 0; blob.features() && i < blob.features()->size(); ++i)
    features.push_back(textOf(blob.features()->Get(i)));
  return {{"target", textOf(blob.target())},
          {"level", textOf(blob.level())},
          {"features", features},
          {"bytes", blob.image()->size()},
          {"sha256", runtime::hex({blob.sha256()->data(), blob.sha256()->size()})}};
}

static ordered_json gpuKernelJson(const runtime::GpuKernelEntry &entry) {
  const plan::GpuKernel &kernel = *entry.code;
  return {{"symbol", textOf(entry.kernel->symbol())},
          {"op", textOf(entry.kernel->op())},
          {"threads", kernel.threads()},
          {"max_blocks", kernel.max_blocks()},
          {"cluster_blocks", kernel.cluster_blocks()},
          {"resident_blocks", kernel.resident_blocks()},
          {"starts_early", kernel.starts_early()},
          {"cooperative", kernel.cooperative()},
          {"awaits_peers", kernel.awaits_peers()},
          {"shared_bytes", kernel.shared_bytes()},
          {"scratch_bytes", kernel.scratch_bytes()},
          {"registers", kernel.registers()},
          {"ptx_bytes", kernel.ptx()->size()},
          {"cubin_bytes", kernel.cubin() ? kernel.cubin()->size() : 0}};
}

static ordered_json gpuCodeJson(const plan::Plan &plan, const plan::GpuCode &code) {
  ordered_json kernels = ordered_json::array(), services = ordered_json::array();
  for (const runtime::GpuKernelEntry &entry : runtime::gpuKernelsOf(plan, code))
    (kernels.size() < plan.kernels()->size() ? kernels : services).push_back(gpuKernelJson(entry));
  return {{"chip", textOf(code.chip())},
          {"compute_capability", {code.major(), code.minor()}},
          {"runs_on_newer", code.runs_on_newer()},
          {"emulation_bytes", code.emulation() ? code.emulation()->size() : 0},
          {"kernels", kernels},
          {"services", services}};
}

ordered_json showJson(const OpenedPlan &opened) {
  const plan::Plan &plan = opened.root();
  const plan::PageLayout &page = *plan.page();
  ordered_json result = {{"format_version", runtime::planFormatVersion},
                         {"file_bytes", opened.fileBytes},
                         {"sha256", opened.digest()},
                         {"producer", textOf(plan.producer())},
                         {"model", modelJson(*plan.model())},
                         {"numerics", textOf(plan.numerics())},
                         {"weights", textOf(plan.weights())},
                         {"sharding", runtime::nameOf(*plan.sharding())},
                         {"reproducible", plan.sharding()->reproducible()},
                         {"max_context", plan.max_context()},
                         {"max_step_rows", plan.max_step_rows()},
                         {"tokenizer_bytes", plan.tokenizer() ? plan.tokenizer()->size() : 0},
                         {"page",
                          {{"tokens", page.tokens()},
                           {"bytes", page.bytes()},
                           {"layer_bytes", page.layer_bytes()},
                           {"dtype", runtime::nameOf(page.dtype())},
                           {"description", textOf(page.description())}}}};
  for (const plan::Layout *layout : *plan.layouts())
    result["layouts"].push_back(layoutJson(*layout));
  for (const plan::Program *program : *plan.programs())
    result["programs"].push_back(programJson(plan, *program));
  for (const plan::Rank *rank : *plan.ranks())
    result["ranks"].push_back({{"program", rank->program()}, {"layout", rank->layout()}});
  result["kernels"] = kernelsJson(plan);
  for (const plan::CodeBlob *blob : *plan.code())
    result["code"].push_back(codeJson(*blob));
  result["gpu_code"] = ordered_json::array();
  for (const plan::GpuCode *code : *plan.gpu_code())
    result["gpu_code"].push_back(gpuCodeJson(plan, *code));
  return result;
}

} // namespace grok::tools
