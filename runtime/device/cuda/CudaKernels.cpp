// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaKernels.h"
#include <algorithm>
#include <cstring>

namespace grok::runtime::cuda {

static constexpr uint64_t scratchAlignment = 256;
// More needs a function's consent ("CUDA C++ Programming Guide", "Compute Capabilities").
static constexpr unsigned alwaysSharedBytes = 48 * 1024;
static constexpr unsigned portableClusterBlocks = 8;

static uint64_t alignedScratch(const plan::GpuKernel &kernel) {
  return (kernel.scratch_bytes() + scratchAlignment - 1) / scratchAlignment * scratchAlignment;
}

uint64_t CudaKernels::scratchBytes(const plan::Plan &plan, const plan::GpuCode &code) {
  uint64_t bytes = 0;
  for (const GpuKernelEntry &entry : gpuKernelsOf(plan, code))
    bytes += alignedScratch(*entry.code);
  return bytes;
}

CudaKernels::~CudaKernels() {
  if (modules.empty() || !context->enter())
    return;
  for (const Module module : modules)
    context->driver().cuModuleUnload(module);
}

uint32_t CudaKernels::mostOperands() const {
  uint32_t most = 0;
  for (const CudaKernel &kernel : kernels)
    most = std::max(most, kernel.operands);
  return most;
}

Result<CudaKernels> CudaKernels::load(const CudaContext &context, const plan::Plan &plan) {
  const plan::GpuCode &code = *context.gpu().code;
  CudaKernels loaded(context);
  auto scratch = context.allocate(scratchBytes(plan, code), "the kernels' scratch memory");
  if (!scratch)
    return fail(scratch.error());
  loaded.scratch = std::move(*scratch);
  loaded.services = ServiceNumbers(plan, code);
  Address next = addressOf(loaded.scratch->data());
  for (const GpuKernelEntry &entry : gpuKernelsOf(plan, code)) {
    const plan::GpuKernel &from = *entry.code;
    CudaKernel kernel;
    kernel.name = entry.kernel->symbol()->str();
    kernel.operands = static_cast<uint32_t>(entry.kernel->num_buffers());
    kernel.threads = static_cast<unsigned>(from.threads());
    kernel.clusterBlocks = static_cast<unsigned>(std::max(from.cluster_blocks(), 1));
    kernel.sharedBytes = static_cast<unsigned>(from.shared_bytes());
    kernel.startsEarly = from.starts_early();
    kernel.scratch = from.scratch_bytes() ? next : 0;
    kernel.isCooperative = from.cooperative();
    next += alignedScratch(from);
    auto done = loaded.loadModule(kernel, from).and_then([&] { return loaded.size(kernel, from); });
    if (!done)
      return fail("kernel '", kernel.name, "': ", done.error());
    loaded.kernels.push_back(std::move(kernel));
  }
  return loaded;
}

static std::string firstLine(std::string_view text) {
  return std::string(text.substr(0, std::min(text.find('\n'), text.find('\0'))));
}

Result<void> CudaKernels::tryImage(Module &module, const void *image) const {
  const Driver &driver = context->driver();
  std::string log(4096, '\0');
  int options[] = {errorLogBuffer, errorLogBufferBytes};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): as the driver takes it
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  const int status = driver.cuModuleLoadDataEx(&module, image, 2, options, values);
  if (status == unsupportedPtxVersion)
    return fail("the NVIDIA driver, for CUDA ", driver.version(),
                ", is too old for this PTX; update the driver");
  if (status == success)
    return {};
  const std::string line = firstLine(log);
  return fail(driver.errorText(status), line.empty() ? "" : ": ", line,
              "; compile the model again");
}

Result<void> CudaKernels::loadModule(CudaKernel &kernel, const plan::GpuKernel &from) {
  const Driver &driver = context->driver();
  Module module = nullptr;
  const bool hasMachineCode =
      from.cubin() && from.cubin()->size() && context->gpu().takesMachineCode();
  // Machine code of an assembler newer than the driver may be refused; PTX is not.
  // Words of an ELF file, which plans do not align.
  std::vector<uint64_t> words;
  if (hasMachineCode) {
    words.resize((from.cubin()->size() + sizeof(uint64_t) - 1) / sizeof(uint64_t));
    std::memcpy(words.data(), from.cubin()->data(), from.cubin()->size());
  }
  if (!hasMachineCode || !tryImage(module, words.data()))
    if (auto compiled = tryImage(module, from.ptx()->c_str()); !compiled)
      return compiled;
  modules.push_back(module);
  return driver.check(driver.cuModuleGetFunction(&kernel.function, module, kernel.name.c_str()),
                      "its entry is missing");
}

Result<void> CudaKernels::size(CudaKernel &kernel, const plan::GpuKernel &from) const {
  const Gpu &gpu = context->gpu();
  const Driver &driver = context->driver();
  if (from.shared_bytes() > gpu.sharedBytes)
    return fail("a block needs ", from.shared_bytes(), " bytes of shared memory, ", gpu.name,
                " has ", gpu.sharedBytes, "; compile with this chip in --target");
  if (kernel.isCooperative) {
    int isAble = 0;
    if (auto asked =
            driver.check(driver.cuDeviceGetAttribute(&isAble, cooperativeLaunch, gpu.device),
                         "cuDeviceGetAttribute");
        !asked)
      return asked;
    if (!isAble)
      return fail(gpu.name,
                  " does not run all blocks of a kernel at a time (cooperative launches)");
  }
  const auto set = [&](int attribute, int value) {
    return driver.check(driver.cuFuncSetAttribute(kernel.function, attribute, value),
                        "cuFuncSetAttribute");
  };
  if (kernel.sharedBytes > alwaysSharedBytes)
    if (auto done = set(maxDynamicSharedBytes, from.shared_bytes()); !done)
      return done;
  if (kernel.clusterBlocks > portableClusterBlocks)
    if (auto done = set(nonPortableClusterSize, 1); !done)
      return done;
  int resident = 0; // blocks, or clusters, at a time
  int status = success;
  if (kernel.clusterBlocks == 1) {
    status = driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel.function,
                                                                from.threads(), kernel.sharedBytes);
    if (from.resident_blocks() > 0)
      resident = std::min(resident, from.resident_blocks());
    resident *= gpu.multiprocessors;
  } else {
    LaunchAttribute cluster = kernel.cluster();
    const LaunchConfig config{.grid = {kernel.clusterBlocks, 1, 1},
                              .block = {kernel.threads, 1, 1},
                              .sharedBytes = kernel.sharedBytes,
                              .stream = context->stream(),
                              .attributes = &cluster,
                              .attributeCount = 1};
    status = driver.cuOccupancyMaxActiveClusters(&resident, kernel.function, &config);
    if (from.resident_blocks() > 0)
      resident = std::min(resident, from.resident_blocks() * gpu.multiprocessors /
                                        static_cast<int>(kernel.clusterBlocks));
  }
  if (auto asked = driver.check(status, "occupancy"); !asked)
    return asked;
  if (resident < 1)
    return fail("a block of ", kernel.threads, " threads with ", kernel.sharedBytes,
                " bytes of shared memory does not fit on ", gpu.name,
                "; compile with this chip in --target");
  const int64_t useful = (from.max_blocks() + kernel.clusterBlocks - 1) / kernel.clusterBlocks;
  kernel.blocks = static_cast<unsigned>(std::min<int64_t>(useful, resident)) * kernel.clusterBlocks;
  return {};
}

} // namespace grok::runtime::cuda
