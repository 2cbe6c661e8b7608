// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/KernelsPhase.h"

#include "compiler/artifact/PlanReading.h"
#include "compiler/targets/cpu/CpuKernels.h"
#include "compiler/targets/nvidia/NvidiaKernels.h"
#include "compiler/targets/nvidia/Services.h"
#include "compiler/targets/nvidia/generators/SampleMemory.h"
#include "dialects/plan/PlanDialect.h"
#include "runtime/plan/PlanCheck.h"

#include <set>

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

namespace {
/// What the kernel cache saved, over all targets.
struct Objects {
  int64_t compiled = 0, cached = 0;
};
} // namespace

static std::string dumpFolder(const CompileOptions &options) {
  return options.dumpPhases.empty() ? "" : options.dumpPhases + "/kernels";
}

static Result<void> compileForCpu(ArrayRef<NamedKernelSpec> specs, const CompileOptions &options,
                                  PlanInputs &plan, Objects &objects) {
  CpuOptions cpu;
  cpu.threads = options.threads;
  cpu.cacheDir = options.kernelCache;
  cpu.dumpDir = dumpFolder(options);
  auto code = compileCpuKernels(specs, options.levels, cpu);
  if (!code)
    return tl::unexpected(code.error());
  for (auto [kernel, bytes] : llvm::zip_equal(specs, code->scratchBytes))
    plan.scratch[kernel.symbol] = bytes;
  for (CpuLevelCode &level : code->levels)
    plan.code.push_back({"cpu", level.level, level.features, std::move(level.image)});
  objects.compiled += code->objectsCompiled;
  objects.cached += code->objectsFromCache;
  return {};
}

static std::unique_ptr<plan::GpuKernelT> planKernel(NvidiaKernel &kernel) {
  auto made = std::make_unique<plan::GpuKernelT>();
  plan::GpuKernelT &result = *made;
  result.threads = static_cast<int32_t>(kernel.shape.threads);
  result.max_blocks = kernel.shape.maxBlocks;
  result.cluster_blocks = static_cast<int32_t>(kernel.shape.clusterBlocks);
  result.shared_bytes = static_cast<int32_t>(kernel.shape.sharedBytes);
  result.scratch_bytes = kernel.shape.scratchBytes;
  result.resident_blocks = static_cast<int32_t>(kernel.shape.residentBlocks);
  result.starts_early = kernel.shape.startsEarly;
  result.cooperative = kernel.shape.isCooperative;
  result.awaits_peers = kernel.shape.awaitsPeers;
  result.registers = static_cast<int32_t>(kernel.report.registers);
  result.ptx = std::move(kernel.ptx);
  result.cubin = std::move(kernel.cubin);
  return made;
}

static std::unique_ptr<plan::GpuServiceT> planService(const NamedKernelSpec &service,
                                                      NvidiaKernel &kernel) {
  auto result = std::make_unique<plan::GpuServiceT>();
  result->kernel = std::make_unique<plan::KernelT>();
  result->kernel->symbol = service.symbol;
  result->kernel->op = nameOf(service.spec.op);
  result->kernel->spec = canonicalText(service.spec);
  result->kernel->num_buffers = static_cast<int32_t>(operandCount(service.spec));
  result->code = planKernel(kernel);
  return result;
}

// Kernels that decode a token, by their numbers; of no program whose ranks meet inside.
static std::vector<size_t> persistentKernels(ModuleOp module, ArrayRef<NamedKernelSpec> specs) {
  std::set<std::string> used;
  for (auto program : module.getOps<plan::ProgramOp>())
    for (auto bucket : program.getBody().getOps<plan::BucketOp>())
      if (bucket.getMaxRows() == 1 && bucket.getBody().getOps<plan::CollectiveOp>().empty())
        for (auto launch : bucket.getBody().getOps<plan::LaunchOp>())
          used.insert(launch.getKernel().str());
  std::vector<size_t> numbers;
  for (auto [number, kernel] : llvm::enumerate(specs))
    if (used.contains(kernel.symbol))
      numbers.push_back(number);
  return numbers;
}

static bool haveCollectives(ModuleOp module) {
  return module->walk([](plan::CollectiveOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

// For the rows of logits that the programs make; nothing in a module without any, or where
// it would need more memory than plans may give a kernel: then the host draws.
static std::optional<NamedKernelSpec> sampleServiceOf(ModuleOp module, int64_t maxRows) {
  auto model = module->getAttrOfType<DictionaryAttr>("grok.model");
  auto attribute = model ? model.getAs<IntegerAttr>("vocab_size") : IntegerAttr();
  const int64_t vocab = attribute ? attribute.getInt() : 0;
  if (static_cast<uint64_t>(sampleScratchBytes(vocab, maxRows)) > runtime::maxScratchBytes)
    return std::nullopt;
  std::optional<NamedKernelSpec> service;
  module->walk([&](plan::LogitsOp logits) {
    auto type = cast<plan::BufferType>(logits.getResult().getType());
    if (vocab > 0)
      service = sampleService(vocab, type.getTensor().getShape().back(), maxRows);
  });
  return service;
}

static Result<std::string> compileForGpus(ModuleOp module, ArrayRef<NamedKernelSpec> specs,
                                          const CompileOptions &options, PlanInputs &plan,
                                          Objects &objects) {
  // Kernels that steps of any bound share are launched for the largest.
  std::vector<NamedKernelSpec> largest(specs);
  for (auto [kernel, op] : llvm::zip_equal(largest, module.getOps<plan::KernelOp>()))
    if (!op.getParams().contains("max_rows"))
      kernel.spec.maxRows = options.maxStepRows;
  std::vector<NamedKernelSpec> services = gpuServices();
  if (auto sample = sampleServiceOf(module, options.maxStepRows))
    services.push_back(*sample);
  if (haveCollectives(module)) {
    services.push_back(exchangeService());
    services.push_back(mergeService());
    if (auto joined = exchangeNormService(specs, options.chips, options.maxStepRows))
      services.push_back(*joined);
  }
  NvidiaOptions nvidia;
  if (options.persistent) {
    nvidia.persistent = persistentKernels(module, specs);
    if (nvidia.persistent.empty())
      return tl::unexpected(
          std::string("--persistent: ranks meet in every step; it takes one device"));
    services.push_back(persistentService());
  }
  llvm::append_range(largest, services);
  nvidia.threads = options.threads;
  nvidia.cacheDir = options.kernelCache;
  nvidia.dumpDir = dumpFolder(options);
  nvidia.emulate = options.emulate;
  auto code = compileNvidiaKernels(largest, options.chips, nvidia);
  if (!code)
    return tl::unexpected(code.error());
  int64_t spilling = 0; // slow, not wrong
  for (NvidiaChipCode &chip : code->chips) {
    const NvidiaChip &known = *nvidiaChipNamed(chip.chip);
    plan::GpuCodeT &gpu = plan.gpuCode.emplace_back();
    gpu.chip = chip.chip;
    gpu.major = static_cast<int32_t>(known.major);
    gpu.minor = static_cast<int32_t>(known.minor);
    gpu.runs_on_newer = known.runsOnNewer;
    for (NvidiaKernel &kernel : chip.kernels)
      spilling += kernel.report.spillBytes != 0;
    for (NvidiaKernel &kernel : MutableArrayRef(chip.kernels).drop_back(services.size()))
      gpu.kernels.push_back(planKernel(kernel));
    for (auto [service, kernel] :
         llvm::zip_equal(services, MutableArrayRef(chip.kernels).take_back(services.size())))
      gpu.services.push_back(planService(service, kernel));
    gpu.emulation = std::move(chip.emulation);
  }
  objects.compiled += code->kernelsCompiled;
  objects.cached += code->kernelsFromCache;
  if (code->assembler.empty())
    return "PTX alone: no ptxas found";
  return code->assembler + (spilling ? ", " + std::to_string(spilling) + " kernels spill" : "");
}

Result<std::string> compiler::compileKernels(ModuleOp module, const CompileOptions &options,
                                             PlanInputs &plan) {
  std::vector<NamedKernelSpec> specs;
  for (auto op : module.getOps<plan::KernelOp>()) {
    FailureOr<KernelSpec> spec = readKernelSpec(op);
    if (failed(spec))
      return tl::unexpected(std::string("phase kernels"));
    specs.push_back({op.getSymName().str(), *spec});
    plan.specText[specs.back().symbol] = canonicalText(*spec);
    plan.scratch[specs.back().symbol] = 0; // without code for CPUs
  }
  Objects objects;
  std::string detail = std::to_string(specs.size()) + " kernels";
  if (!options.levels.empty()) {
    if (auto done = compileForCpu(specs, options, plan, objects); !done)
      return tl::unexpected(done.error());
    detail += " x " + std::to_string(options.levels.size()) + " CPU levels";
  }
  if (!options.chips.empty()) {
    auto assembler = compileForGpus(module, specs, options, plan, objects);
    if (!assembler)
      return tl::unexpected(assembler.error());
    detail += " x " + std::to_string(options.chips.size()) + " GPU chips (" + *assembler + ")";
  }
  return detail + ", " + std::to_string(objects.cached) + " of " +
         std::to_string(objects.cached + objects.compiled) + " objects from the cache";
}
