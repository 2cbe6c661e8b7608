// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/inspection/PlanSummary.h"
#include "runtime/plan/GpuKernels.h"
#include "runtime/plan/PlanCheck.h"
#include "runtime/plan/Sha256.h"
#include "tools/commandline/CommandLine.h"
#include "tools/grok-plan/Show.h"
#include "tools/grok-plan/Table.h"

#include <algorithm>
#include <span>

namespace grok::tools {
using runtime::LaunchGroup;
using runtime::LaunchSummary;
using runtime::textOf;
using runtime::WeightKind;

static std::string string(const flatbuffers::String *text) { return std::string(textOf(text)); }

static std::string showShape(std::span<const int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text.empty() ? "-" : text;
}

/// "name            value".
static std::string field(const std::string &name, const std::string &value) {
  constexpr size_t width = 14;
  return name + std::string(width - std::min(width - 1, name.size()), ' ') + value + '\n';
}

static std::string showModel(const OpenedPlan &opened) {
  const plan::Plan &plan = opened.root();
  const plan::Model &model = *plan.model();
  const auto number = [](int64_t value) { return std::to_string(value); };
  return field("model", string(model.name()) + ": " + number(model.num_layers()) +
                            " layers, width " + number(model.emb_size()) + ", " +
                            number(model.num_q_heads()) + " query heads on " +
                            number(model.num_kv_heads()) + " key/value heads of " +
                            number(model.key_size()) + ",") +
         field("", number(model.num_experts()) + " experts of " + number(model.ffn_size()) + " (" +
                       number(model.num_selected_experts()) + " selected), vocabulary " +
                       number(model.vocab_size()) + ", pad " + number(model.pad_token()) +
                       ", eos " + number(model.eos_token())) +
         field("numerics", string(plan.numerics()) + ", weights " + string(plan.weights())) +
         field("context", number(plan.max_context()) + " positions, steps of at most " +
                              number(plan.max_step_rows()) + " rows") +
         field("sharding", runtime::nameOf(*plan.sharding()) + ", " + number(plan.ranks()->size()) +
                               (plan.ranks()->size() == 1 ? " rank" : " ranks") +
                               (plan.sharding()->reproducible() ? ", reproducible" : "")) +
         field("tokenizer", plan.tokenizer() && plan.tokenizer()->size() > 0
                                ? showSize(plan.tokenizer()->size()) + " SentencePiece model"
                                : "none") +
         field("producer", string(plan.producer())) +
         field("plan file", showSize(opened.fileBytes) + ", sha256 " + opened.digest());
}

/// Whether two ranks hold equal kinds of tensors, as those of one stage do.
static bool holdSameKinds(const plan::Layout &one, const plan::Layout &other) {
  const auto same = [](const plan::WeightTensor *left, const plan::WeightTensor *right) {
    return textOf(left->name()) == textOf(right->name()) && left->bytes() == right->bytes();
  };
  return std::equal(one.tensors()->begin(), one.tensors()->end(), other.tensors()->begin(),
                    other.tensors()->end(), same);
}

/// The table of a rank's file; `before` is that of the rank before, or null.
static std::string showLayout(const plan::Layout &layout, const plan::Layout *before) {
  const std::string file = string(layout.file());
  std::string text = "\nweights " + string(layout.name()) + ": " +
                     (file.empty() ? "no file (compiled without weights)"
                                   : file + ", " + showSize(layout.file_bytes())) +
                     "\n";
  if (before && holdSameKinds(*before, layout))
    return text + "  the same tensors as above, other parts of them\n";
  Table table(
      {"tensor", "count", "dtype", "packing", "shape", "groups", "unit", "slices", "bytes", ""},
      {1, 5, 6, 7, 8});
  uint64_t total = 0;
  int64_t count = 0;
  for (const WeightKind &kind : runtime::summarizeWeights(layout)) {
    const bool isMatrix = kind.unit > 0;
    table.add({kind.name, std::to_string(kind.count), kind.dtype, kind.packing,
               showShape(kind.logicalShape), isMatrix ? std::to_string(kind.rowGroups) : "",
               isMatrix ? std::to_string(kind.unit) : "",
               isMatrix ? std::to_string(kind.slices) : "", std::to_string(kind.bytes),
               showSize(kind.bytes)});
    total += kind.bytes;
    count += kind.count;
  }
  table.add({"all", std::to_string(count), "", "", "", "", "", "", std::to_string(total),
             showSize(total)});
  return text + table.print(2);
}

static std::string showPage(const plan::Plan &plan) {
  const plan::PageLayout &page = *plan.page();
  const uint64_t tokenBytes = page.bytes() / static_cast<uint64_t>(page.tokens());
  return "\nkey/value page: " + std::to_string(page.tokens()) + " positions, " +
         std::string(runtime::nameOf(page.dtype())) + ", " + showSize(page.bytes()) + " (" +
         showSize(page.layer_bytes()) + " per layer, " + showSize(tokenBytes) + " per position, " +
         showSize(tokenBytes * static_cast<uint64_t>(plan.max_context())) + " per full context)\n" +
         (textOf(page.description()).empty() ? "" : "  " + string(page.description()) + "\n");
}

static std::string showGroup(const LaunchGroup &group) {
  Table table({"launch", "kernel", "tiles", "reads", "writes"});
  for (const LaunchSummary &launch : group.launches)
    table.add({launch.name, launch.kernel, launch.tiles, launch.reads, launch.writes});
  std::string title = "outside the layers";
  if (group.firstLayer >= 0)
    title = group.firstLayer == group.lastLayer
                ? "layer " + std::to_string(group.firstLayer)
                : "each of the layers " + std::to_string(group.firstLayer) + " to " +
                      std::to_string(group.lastLayer);
  return "  " + title + "\n" + table.print(4);
}

static std::string showTasks(const runtime::TaskWaits &waits) {
  size_t all = 0, most = 0;
  for (const std::vector<uint32_t> &each : waits) {
    all += each.size();
    most = std::max(most, each.size());
  }
  return "  in one launch on GPUs: " + std::to_string(waits.size()) + " tasks that wait for " +
         std::to_string(all) + " others, each for " + std::to_string(most) + " at most\n";
}

static std::string showPrograms(const plan::Plan &plan) {
  std::string text;
  for (const plan::Program *program : *plan.programs())
    for (const plan::Bucket *bucket : *program->buckets()) {
      text += "\nprogram" + (textOf(program->name()).empty() ? "" : " " + string(program->name())) +
              ", steps of up to " + std::to_string(bucket->max_rows()) +
              " rows: " + std::to_string(bucket->launches()->size()) + " launches, arena " +
              showSize(bucket->arena_bytes()) + "\n";
      if (const auto waits = runtime::waitsOfTasks(plan, *bucket))
        text += showTasks(*waits);
      for (const LaunchGroup &group : runtime::summarizeLaunches(plan, *bucket))
        text += showGroup(group);
    }
  return text;
}

static std::string showKernels(const plan::Plan &plan) {
  const std::vector<int64_t> launches = runtime::countLaunches(plan);
  Table table({"kernel", "op", "buffers", "scratch", "launches"}, {2, 3, 4});
  for (uint32_t i = 0; i < plan.kernels()->size(); ++i) {
    const plan::Kernel &kernel = *plan.kernels()->Get(i);
    table.add({string(kernel.symbol()), string(kernel.op()), std::to_string(kernel.num_buffers()),
               showSize(kernel.scratch_bytes()), std::to_string(launches[i])});
  }
  return "\nkernels: " + std::to_string(launches.size()) + "\n" + table.print(2);
}

static std::string showCode(const plan::Plan &plan) {
  if (plan.code()->size() == 0)
    return "";
  Table table({"target", "level", "size", "sha256", "needs"}, {2});
  for (const plan::CodeBlob *blob : *plan.code()) {
    std::string features;
    for (uint32_t i = 0; blob->features() && i < blob->features()->size(); ++i)
      features += (i == 0 ? "" : " ") + string(blob->features()->Get(i));
    const std::string digest =
        runtime::hex({blob->sha256()->data(), blob->sha256()->size()}).substr(0, 12);
    table.add({string(blob->target()), string(blob->level()), showSize(blob->image()->size()),
               digest, features});
  }
  return "\ncode: " + std::to_string(plan.code()->size()) + " levels\n" + table.print(2);
}

/// The largest of the kernels.
template <typename Number>
static int64_t most(std::span<const runtime::GpuKernelEntry> kernels, Number number) {
  int64_t largest = 0;
  for (const runtime::GpuKernelEntry &kernel : kernels)
    largest = std::max<int64_t>(largest, (kernel.code->*number)());
  return largest;
}

static std::string showGpuCode(const plan::Plan &plan) {
  if (plan.gpu_code()->size() == 0)
    return "";
  Table table({"chip", "PTX", "machine code", "emulation", "registers", "shared", "needs"},
              {1, 2, 3, 4, 5});
  for (const plan::GpuCode *code : *plan.gpu_code()) {
    uint64_t ptx = 0, cubin = 0;
    const std::vector<runtime::GpuKernelEntry> kernels = runtime::gpuKernelsOf(plan, *code);
    for (const runtime::GpuKernelEntry &kernel : kernels) {
      ptx += kernel.code->ptx()->size();
      cubin += kernel.code->cubin() ? kernel.code->cubin()->size() : 0;
    }
    table.add({string(code->chip()), showSize(ptx), cubin ? showSize(cubin) : "-",
               code->emulation() ? showSize(code->emulation()->size()) : "-",
               std::to_string(most(kernels, &plan::GpuKernel::registers)),
               showSize(static_cast<uint64_t>(most(kernels, &plan::GpuKernel::shared_bytes))),
               "compute capability " + std::to_string(code->major()) + "." +
                   std::to_string(code->minor()) + (code->runs_on_newer() ? " or newer" : "")});
  }
  return "\nGPU code: " + std::to_string(plan.gpu_code()->size()) +
         " chips (registers and shared memory: the most of any kernel)\n" + table.print(2);
}

std::string showText(const OpenedPlan &opened) {
  const plan::Plan &plan = opened.root();
  std::string text = showModel(opened);
  const plan::Layout *before = nullptr;
  for (const plan::Layout *layout : *plan.layouts()) {
    text += showLayout(*layout, before);
    before = layout;
  }
  return text + showPage(plan) + showPrograms(plan) + showKernels(plan) + showCode(plan) +
         showGpuCode(plan);
}

} // namespace grok::tools
