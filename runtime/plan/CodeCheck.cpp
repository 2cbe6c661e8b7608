// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels and their code, for CPUs and for GPUs.
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace grok::runtime {

static constexpr int32_t maxKernelBuffers = 64;
static constexpr uint32_t maxFeatures = 256;
// What CUDA devices take at most (CUDA C++ Programming Guide, "Compute Capabilities").
static constexpr int32_t maxBlockThreads = 1024, maxClusterBlocks = 16;
static constexpr int64_t maxGridBlocks = (int64_t(1) << 31) - 1;
static constexpr int32_t maxSharedBytes = 227 * 1024;

static bool isSymbol(std::string_view text) {
  return !text.empty() && text.size() <= 512 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '$';
  });
}

static Result<void> checkKernel(const plan::Kernel &kernel, std::string where,
                                std::set<std::string_view> &symbols) {
  if (!isSymbol(textOf(kernel.symbol())) || !symbols.insert(textOf(kernel.symbol())).second)
    return fail(where, ": the symbol is not an identifier or there twice");
  where += " '" + kernel.symbol()->str() + "'";
  if (!isCleanName(kernel.op()))
    return fail(where, ": the op name is empty or not printable");
  if (kernel.num_buffers() < 1 || kernel.num_buffers() > maxKernelBuffers)
    return fail(where, ": ", kernel.num_buffers(), " buffers, expected 1..", maxKernelBuffers);
  if (kernel.scratch_bytes() > maxScratchBytes)
    return fail(where, ": ", kernel.scratch_bytes(), " bytes of scratch, at most ",
                maxScratchBytes);
  return {};
}

Result<void> checkKernels(const plan::Plan &plan) {
  std::set<std::string_view> symbols;
  for (uint32_t i = 0; i < plan.kernels()->size(); ++i)
    if (auto checked = checkKernel(*plan.kernels()->Get(i), "kernel " + std::to_string(i), symbols);
        !checked)
      return checked;
  return {};
}

static bool isX86Elf(const flatbuffers::Vector<uint8_t> &image) {
  // 64-bit little-endian shared object for x86-64, by the fixed ELF header.
  constexpr size_t headerBytes = 64;
  constexpr uint8_t magic[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
  if (image.size() < headerBytes || !std::equal(std::begin(magic), std::end(magic), image.data()))
    return false;
  constexpr uint8_t sharedObject = 3, x86 = 62;
  return image[16] == sharedObject && image[17] == 0 && image[18] == x86 && image[19] == 0;
}

static Result<void> checkCpuCode(const plan::Plan &plan) {
  std::set<std::pair<std::string_view, std::string_view>> levels;
  for (uint32_t i = 0; i < plan.code()->size(); ++i) {
    const plan::CodeBlob &blob = *plan.code()->Get(i);
    std::string where = "code " + std::to_string(i);
    if (!isCleanName(blob.target()) || !isCleanName(blob.level()))
      return fail(where, ": target or level is empty or not printable");
    where += " '" + blob.level()->str() + "'";
    if (!levels.emplace(textOf(blob.target()), textOf(blob.level())).second)
      return fail(where, ": there twice");
    if (blob.features() && blob.features()->size() > maxFeatures)
      return fail(where, ": ", blob.features()->size(), " features, at most ", maxFeatures);
    for (uint32_t f = 0; blob.features() && f < blob.features()->size(); ++f)
      if (!isCleanName(blob.features()->Get(f)))
        return fail(where, ": feature ", f, " is empty or not printable");
    if (!isDigest(blob.sha256()))
      return fail(where, ": no SHA-256");
    if (textOf(blob.target()) == "cpu" && !isX86Elf(*blob.image()))
      return fail(where, ": not an x86-64 shared object");
  }
  return {};
}

static Result<void> checkGpuKernel(const plan::GpuKernel &kernel, const std::string &where) {
  if (kernel.threads() < 32 || kernel.threads() > maxBlockThreads || kernel.threads() % 32 != 0)
    return fail(where, ": blocks of ", kernel.threads(), " threads, expected 32, 64, .. 1024");
  if (kernel.max_blocks() < 1 || kernel.max_blocks() > maxGridBlocks)
    return fail(where, ": ", kernel.max_blocks(), " blocks, expected 1..", maxGridBlocks);
  if (kernel.cluster_blocks() < 1 || kernel.cluster_blocks() > maxClusterBlocks)
    return fail(where, ": clusters of ", kernel.cluster_blocks(), " blocks, expected 1..",
                maxClusterBlocks);
  if (kernel.cooperative() && kernel.cluster_blocks() > 1)
    return fail(where, ": blocks that wait for each other, in clusters of ",
                kernel.cluster_blocks());
  if (kernel.shared_bytes() < 0 || kernel.shared_bytes() > maxSharedBytes)
    return fail(where, ": ", kernel.shared_bytes(), " bytes of shared memory, at most ",
                maxSharedBytes);
  if (kernel.scratch_bytes() > maxScratchBytes)
    return fail(where, ": ", kernel.scratch_bytes(), " bytes of scratch, at most ",
                maxScratchBytes);
  if (kernel.ptx()->size() == 0)
    return fail(where, ": no PTX");
  return {};
}

static Result<void> checkServices(const plan::Plan &plan, const plan::GpuCode &code,
                                  const std::string &where) {
  std::set<std::string_view> symbols, ops;
  for (const plan::Kernel *kernel : *plan.kernels())
    symbols.insert(textOf(kernel->symbol()));
  for (uint32_t i = 0; code.services() && i < code.services()->size(); ++i) {
    const plan::GpuService &service = *code.services()->Get(i);
    const std::string which = where + ", service " + std::to_string(i);
    if (auto checked = checkKernel(*service.kernel(), which, symbols); !checked)
      return checked;
    if (!ops.insert(textOf(service.kernel()->op())).second)
      return fail(which, ": '", service.kernel()->op()->str(), "' is there twice");
    if (auto checked = checkGpuKernel(*service.code(), which); !checked)
      return checked;
  }
  return {};
}

static Result<void> checkGpuCode(const plan::Plan &plan) {
  std::set<std::string_view> chips;
  for (uint32_t i = 0; i < plan.gpu_code()->size(); ++i) {
    const plan::GpuCode &code = *plan.gpu_code()->Get(i);
    std::string where = "GPU code " + std::to_string(i);
    if (!isCleanName(code.chip()))
      return fail(where, ": the chip is empty or not printable");
    where += " '" + code.chip()->str() + "'";
    if (!chips.insert(textOf(code.chip())).second)
      return fail(where, ": there twice");
    if (code.major() < 1 || code.major() > 99 || code.minor() < 0 || code.minor() > 9)
      return fail(where, ": compute capability ", code.major(), ".", code.minor());
    if (code.kernels()->size() != plan.kernels()->size())
      return fail(where, ": ", code.kernels()->size(), " kernels of ", plan.kernels()->size());
    for (uint32_t k = 0; k < code.kernels()->size(); ++k)
      if (auto checked =
              checkGpuKernel(*code.kernels()->Get(k),
                             where + ", kernel '" + plan.kernels()->Get(k)->symbol()->str() + "'");
          !checked)
        return checked;
    if (auto checked = checkServices(plan, code, where); !checked)
      return checked;
    if (code.emulation() && code.emulation()->size() && !isX86Elf(*code.emulation()))
      return fail(where, ": the emulation is not an x86-64 shared object");
  }
  return {};
}

Result<void> checkCode(const plan::Plan &plan) {
  return checkCpuCode(plan).and_then([&] { return checkGpuCode(plan); });
}

} // namespace grok::runtime
