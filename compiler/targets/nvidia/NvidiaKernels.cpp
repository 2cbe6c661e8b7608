// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Distributes kernels x chips over threads, through the cache.
#include "compiler/targets/nvidia/NvidiaKernels.h"

#include "compiler/targets/KernelDumps.h"
#include "compiler/targets/KernelJobs.h"
#include "compiler/targets/cpu/KernelCache.h"
#include "compiler/targets/cpu/SharedObjectLinker.h"
#include "compiler/targets/nvidia/GpuGeneratorDigest.h"
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include "llvm/Config/llvm-config.h"
#include <atomic>
#include <nlohmann/json.hpp>

namespace grok::compiler {

using nlohmann::json;

// ---- entries of the cache: MessagePack

static llvm::SmallVector<char, 0> encode(const NvidiaKernel &kernel) {
  const GpuShape &shape = kernel.shape;
  const PtxasReport &report = kernel.report;
  json entry = {
      {"shape",
       {shape.threads, shape.maxBlocks, shape.sharedBytes, shape.scratchBytes, shape.clusterBlocks,
        shape.residentBlocks, shape.startsEarly, shape.isCooperative, shape.awaitsPeers}},
      {"ptx", kernel.ptx},
      {"cubin", json::binary(kernel.cubin)},
      {"emulation", json::binary(kernel.emulation)},
      {"report", {report.registers, report.spillBytes, report.stackBytes, report.staticShared}},
      {"text", report.text}};
  std::vector<uint8_t> bytes = json::to_msgpack(entry);
  return {bytes.begin(), bytes.end()};
}

// The cache has checked that the bytes are those which were written.
static NvidiaKernel decode(const CompiledKernel &cached) {
  json entry = json::from_msgpack(cached.object.begin(), cached.object.end());
  const json &shape = entry["shape"], &report = entry["report"];
  NvidiaKernel kernel;
  kernel.shape = {shape[0], shape[1], shape[2], shape[3], shape[4],
                  shape[5], shape[6], shape[7], shape[8]};
  kernel.ptx = entry["ptx"];
  kernel.cubin = entry["cubin"].get_binary();
  kernel.emulation = entry["emulation"].get_binary();
  kernel.report = {report[0], report[1], report[2], report[3], entry["text"]};
  return kernel;
}

// ---- the work

namespace {

// What all threads share.
struct Compilation {
  llvm::ArrayRef<NamedKernelSpec> kernels;
  std::vector<const NvidiaChip *> chips;
  const NvidiaOptions &options;
  std::optional<Ptxas> assembler;
  KernelCache cache;
  NvidiaCode code;
  std::atomic<int64_t> compiled = 0, cached = 0;

  const Ptxas *assemblerOrNull() const { return assembler ? &*assembler : nullptr; }

  static std::string textOf(const NamedKernelSpec &kernel) {
    return kernel.symbol + '\n' + canonicalText(kernel.spec) +
           "\nmax_rows=" + std::to_string(kernel.spec.maxRows) + '\n';
  }

  std::string keyOf(const NamedKernelSpec &kernel, const NvidiaChip &chip) const {
    std::string text = textOf(kernel);
    if (kernel.spec.op == KernelOp::persistent)
      for (size_t part : options.persistent)
        text += std::to_string(part) + '\n' + textOf(kernels[part]);
    return text + chip.name + (options.emulate ? "\nemulation" : "") +
           "\nLLVM " LLVM_VERSION_STRING "\n" + code.assembler + "\ngenerator " +
           gpuGeneratorDigest;
  }

  std::vector<NumberedKernel> persistentParts() const {
    std::vector<NumberedKernel> parts;
    for (size_t part : options.persistent)
      parts.push_back({static_cast<int64_t>(part), &kernels[part]});
    return parts;
  }

  // `compiler` is made when the first kernel is not in the cache.
  tl::expected<void, std::string> run(size_t job, std::unique_ptr<NvidiaKernelCompiler> &compiler) {
    const NamedKernelSpec &kernel = kernels[job % kernels.size()];
    const NvidiaChip &chip = *chips[job / kernels.size()];
    NvidiaKernel &result = code.chips[job / kernels.size()].kernels[job % kernels.size()];
    std::string key = keyOf(kernel, chip);
    if (options.dumpDir.empty())
      if (std::optional<CompiledKernel> hit = cache.find(key)) {
        result = decode(*hit);
        ++cached;
        return {};
      }
    if (!compiler)
      compiler = std::make_unique<NvidiaKernelCompiler>(options, assemblerOrNull());
    auto made = kernel.spec.op == KernelOp::persistent
                    ? compiler->compile(kernel, persistentParts(), chip)
                    : compiler->compile(kernel, chip);
    if (!made)
      return tl::unexpected(made.error());
    result = std::move(*made);
    cache.insert(key, {encode(result), 0});
    ++compiled;
    return {};
  }
};

} // namespace

static tl::expected<void, std::string> check(llvm::ArrayRef<NamedKernelSpec> kernels) {
  for (const NamedKernelSpec &kernel : kernels) {
    if (std::optional<std::string> problem = problemIn(kernel.spec))
      return tl::unexpected(*problem);
    if (std::optional<std::string> problem = problemOnGpu(kernel.spec))
      return tl::unexpected(*problem);
  }
  return {};
}

// One shared object of all kernels, whose objects are then given up.
static tl::expected<void, std::string> linkEmulation(NvidiaChipCode &chip) {
  std::vector<llvm::StringRef> objects;
  for (const NvidiaKernel &kernel : chip.kernels)
    objects.emplace_back(reinterpret_cast<const char *>(kernel.emulation.data()),
                         kernel.emulation.size());
  auto image = linkSharedObject(objects);
  if (!image)
    return tl::unexpected("emulation of " + chip.chip + ": " + image.error());
  chip.emulation = std::move(*image);
  for (NvidiaKernel &kernel : chip.kernels)
    kernel.emulation.clear();
  return {};
}

tl::expected<NvidiaCode, std::string> compileNvidiaKernels(llvm::ArrayRef<NamedKernelSpec> kernels,
                                                           llvm::ArrayRef<std::string> chips,
                                                           const NvidiaOptions &options) {
  if (auto checked = check(kernels); !checked)
    return tl::unexpected(checked.error());
  if (auto made = makeDumpFolder(options.dumpDir); !made)
    return tl::unexpected(made.error());
  Compilation work{kernels, {}, options, {}, KernelCache(options.cacheDir), {}};
  for (const std::string &name : chips) {
    work.chips.push_back(nvidiaChipNamed(name));
    if (!work.chips.back())
      return tl::unexpected("GPU target '" + name + "' is unknown");
    work.code.chips.push_back({name, std::vector<NvidiaKernel>(kernels.size()), {}});
  }
  if (options.assemble)
    work.assembler = Ptxas::find();
  if (work.assembler)
    work.code.assembler = "ptxas " + work.assembler->version();
  auto done = runKernelJobs(kernels.size() * chips.size(), options.threads, [&] {
    auto compiler = std::make_shared<std::unique_ptr<NvidiaKernelCompiler>>();
    return [&work, compiler](size_t job) { return work.run(job, *compiler); };
  });
  if (!done)
    return tl::unexpected(done.error());
  if (options.emulate)
    for (NvidiaChipCode &chip : work.code.chips)
      if (auto linked = linkEmulation(chip); !linked)
        return tl::unexpected(linked.error());
  work.code.kernelsCompiled = work.compiled;
  work.code.kernelsFromCache = work.cached;
  return std::move(work.code);
}

} // namespace grok::compiler
