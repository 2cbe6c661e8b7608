// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Distributes kernels x levels over threads, then links level by level.
#include "compiler/targets/cpu/CpuKernels.h"

#include "compiler/targets/KernelDumps.h"
#include "compiler/targets/KernelJobs.h"
#include "compiler/targets/cpu/GeneratorDigest.h"
#include "compiler/targets/cpu/KernelCache.h"
#include "compiler/targets/cpu/KernelCompiler.h"
#include "compiler/targets/cpu/SharedObjectLinker.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Config/llvm-config.h"
#include <algorithm>
#include <atomic>

namespace grok::compiler {

namespace {

struct Job {
  const NamedKernelSpec *kernel;
  const CpuLevel *level;
  CompiledKernel result;
};

// What all threads share.
struct Compilation {
  std::vector<Job> &jobs;
  const CpuOptions &options;
  KernelCache cache;
  std::atomic<int64_t> compiled = 0, cached = 0;

  // `compiler` is made, in 10 ms, when the first kernel is not in the cache.
  tl::expected<void, std::string> run(size_t index, std::unique_ptr<KernelCompiler> &compiler) {
    Job &job = jobs[index];
    std::string key = keyOf(job);
    if (options.dumpDir.empty())
      if (std::optional<CompiledKernel> hit = cache.find(key)) {
        job.result = std::move(*hit);
        ++cached;
        return {};
      }
    if (!compiler)
      compiler = std::make_unique<KernelCompiler>(options.dumpDir);
    auto result = compiler->compile(*job.kernel, *job.level);
    if (!result)
      return tl::unexpected(result.error());
    job.result = std::move(*result);
    cache.insert(key, job.result);
    ++compiled;
    return {};
  }

  static std::string keyOf(const Job &job) {
    return job.kernel->symbol + '\n' + canonicalText(job.kernel->spec) + '\n' + job.level->name +
           "\nLLVM " LLVM_VERSION_STRING "\ngenerator " + generatorDigest;
  }
};

} // namespace

static bool isSymbol(llvm::StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

static tl::expected<void, std::string> check(llvm::ArrayRef<NamedKernelSpec> kernels) {
  llvm::StringSet<> symbols;
  for (const NamedKernelSpec &kernel : kernels) {
    if (!isSymbol(kernel.symbol))
      return tl::unexpected("kernel symbol '" + kernel.symbol + "' is not an identifier");
    if (!symbols.insert(kernel.symbol).second)
      return tl::unexpected("kernel symbol '" + kernel.symbol + "' is used twice");
    if (std::optional<std::string> problem = problemIn(kernel.spec))
      return tl::unexpected(*problem);
  }
  return {};
}

static tl::expected<CpuCode, std::string> link(const std::vector<Job> &jobs, size_t kernels,
                                               llvm::ArrayRef<const CpuLevel *> levels) {
  CpuCode code;
  code.scratchBytes.assign(kernels, 0);
  for (size_t i = 0; i < levels.size(); ++i) {
    std::vector<llvm::StringRef> objects;
    for (size_t j = 0; j < kernels; ++j) {
      const CompiledKernel &kernel = jobs[i * kernels + j].result;
      objects.emplace_back(kernel.object.data(), kernel.object.size());
      code.scratchBytes[j] = std::max(code.scratchBytes[j], kernel.scratchBytes);
    }
    auto image = linkSharedObject(objects);
    if (!image)
      return tl::unexpected(image.error());
    code.levels.push_back({levels[i]->name, levels[i]->features, std::move(*image)});
  }
  return code;
}

tl::expected<CpuCode, std::string> compileCpuKernels(llvm::ArrayRef<NamedKernelSpec> kernels,
                                                     llvm::ArrayRef<std::string> levelNames,
                                                     const CpuOptions &options) {
  if (auto checked = check(kernels); !checked)
    return tl::unexpected(checked.error());
  if (auto made = makeDumpFolder(options.dumpDir); !made)
    return tl::unexpected(made.error());
  std::vector<const CpuLevel *> levels;
  std::vector<Job> jobs; // [level][kernel]
  for (const std::string &name : levelNames) {
    levels.push_back(cpuLevelNamed(name));
    if (!levels.back())
      return tl::unexpected("CPU level '" + name + "' is unknown");
    for (const NamedKernelSpec &kernel : kernels)
      jobs.push_back({&kernel, levels.back(), {}});
  }
  Compilation work{jobs, options, KernelCache(options.cacheDir)};
  auto done = runKernelJobs(jobs.size(), options.threads, [&] {
    auto compiler = std::make_shared<std::unique_ptr<KernelCompiler>>();
    return [&work, compiler](size_t job) { return work.run(job, *compiler); };
  });
  if (!done)
    return tl::unexpected(done.error());
  auto code = link(jobs, kernels.size(), levels);
  if (code) {
    code->objectsCompiled = work.compiled;
    code->objectsFromCache = work.cached;
  }
  return code;
}

tl::expected<std::string, std::string> assembleCpuKernel(const NamedKernelSpec &kernel,
                                                         const CpuLevel &level) {
  if (auto checked = check(kernel); !checked)
    return tl::unexpected(checked.error());
  return KernelCompiler(/*dumpDir=*/"").assemble(kernel, level);
}

} // namespace grok::compiler
