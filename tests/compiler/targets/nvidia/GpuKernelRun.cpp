// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

#include "compiler/targets/cpu/SharedObjectLinker.h"
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "compiler/targets/nvidia/emulator/EmulatorTranslation.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include <algorithm>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace grok::compiler::testing {

const std::vector<GpuLaunch> &everyLaunch() {
  static const std::vector<GpuLaunch> launches = {{1, grokScheduleInOrder, 1},
                                                  {2, grokScheduleRandom, 1},
                                                  {3, grokScheduleGreedyWarp, 1},
                                                  {3, grokScheduleInOrder, 1},
                                                  {1, grokScheduleRandom, 2}};
  return launches;
}

std::string nameOf(const GpuLaunch &launch) {
  static constexpr const char *schedules[] = {"in order", "random", "greedy"};
  return std::to_string(launch.blocks) + " blocks, " + schedules[launch.schedule] + ", seed " +
         std::to_string(launch.seed);
}

// ---- from a specification to loaded code

static std::vector<uint8_t> imageOf(mlir::ModuleOp lowered) {
  auto object = translateForEmulator(lowered, "kernel");
  if (!object)
    throw std::runtime_error(object.error());
  auto image = linkSharedObject({llvm::StringRef(object->data(), object->size())});
  if (!image)
    throw std::runtime_error(image.error());
  return *image;
}

static std::vector<uint8_t> imageOf(const KernelSpec &spec, const std::string &chipName,
                                    GpuShape &shape) {
  if (std::optional<std::string> problem = problemIn(spec))
    throw std::runtime_error(*problem);
  const NvidiaChip &chip = *nvidiaChipNamed(chipName);
  NvidiaKernelCompiler compiler({}, /*assembler=*/nullptr);
  auto lowered = compiler.lower(
      "kernel", chip,
      [&](mlir::ModuleOp module, llvm::StringRef symbol) {
        return generateGpuKernel(module, symbol, spec, chip);
      },
      shape);
  if (!lowered)
    throw std::runtime_error(lowered.error());
  return imageOf(**lowered);
}

GpuKernel::GpuKernel(const KernelSpec &spec, const std::string &chip) : scratch(0) {
  load(imageOf(spec, chip, gpuShape));
}

GpuKernel::GpuKernel(mlir::ModuleOp lowered, const GpuShape &shape) : gpuShape(shape), scratch(0) {
  load(imageOf(lowered));
}

void GpuKernel::load(const std::vector<uint8_t> &image) {
  scratch = Buffer(gpuShape.scratchBytes);
  // Open as long as it is loaded: dlopen takes one path to be one library.
  file = memfd_create("kernel", MFD_CLOEXEC);
  if (write(file, image.data(), image.size()) != static_cast<ssize_t>(image.size()))
    throw std::runtime_error("cannot write the shared object");
  library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(dlerror());
  entry = reinterpret_cast<GrokEmulatedKernel>(dlsym(library, "kernel"));
}

GpuKernel::~GpuKernel() {
  dlclose(library);
  close(file);
}

// ---- a run

static GrokEmulator *emulator() {
  static thread_local const std::unique_ptr<GrokEmulator, void (*)(GrokEmulator *)> made(
      grokEmulatorCreate(nullptr, 0), grokEmulatorDestroy);
  return made.get();
}

namespace {

// The memory of one launch.
class Regions {
public:
  void add(const void *address, size_t bytes, const char *name, bool isWritable) {
    auto isSame = [&](const GrokEmulatorRegion &other) { return other.address == address; };
    if (bytes && std::none_of(regions.begin(), regions.end(), isSame))
      regions.push_back({address, bytes, name, isWritable});
  }
  void addArray(const std::vector<int32_t> &array, const char *name) {
    add(array.data(), array.size() * sizeof(int32_t), name, false);
  }
  std::vector<GrokEmulatorRegion> regions;
};

} // namespace

void GpuKernel::run(const std::vector<GpuOperand> &operands, const Step &step,
                    const GpuLaunch &how) const {
  EXPECT_EQ(tryRun(operands, {}, step, how), "") << nameOf(how);
}

std::string GpuKernel::tryRun(const std::vector<GpuOperand> &operands,
                              const std::vector<GpuOperand> &others, const Step &step,
                              const GpuLaunch &how) const {
  GrokStepInfo info = step.info();
  Regions memory;
  std::vector<void *> addresses;
  for (const GpuOperand &operand : operands) {
    addresses.push_back(operand.address);
    memory.add(operand.address, operand.bytes, "an operand", !operand.isWeight);
  }
  for (const GpuOperand &other : others)
    memory.add(other.address, other.bytes, "another operand", true);
  memory.add(&info, sizeof info, "the step", false);
  memory.addArray(step.tokens, "tokens");
  memory.addArray(step.positions, "positions");
  memory.addArray(step.sequences, "sequences");
  memory.addArray(step.pageTable, "page table");
  memory.addArray(step.logitRow, "logit rows");
  memory.add(step.draws.data(), step.draws.size() * sizeof(GrokDraw), "draws", false);
  memory.add(scratch.data(), scratch.size(), "scratch", true);
  addresses.push_back(&info);
  addresses.push_back(scratch.data());
  std::vector<void *> values;
  for (void *&address : addresses)
    values.push_back(&address);
  GrokEmulatorLaunch launch{};
  launch.name = "kernel";
  launch.kernel = entry;
  launch.values = values.data();
  launch.clusterBlocks = static_cast<uint32_t>(gpuShape.clusterBlocks);
  launch.blocks =
      (how.blocks + launch.clusterBlocks - 1) / launch.clusterBlocks * launch.clusterBlocks;
  launch.threads = static_cast<uint32_t>(gpuShape.threads);
  launch.dynamicSharedBytes = static_cast<uint32_t>(gpuShape.sharedBytes);
  launch.regions = memory.regions.data();
  launch.regionCount = static_cast<uint32_t>(memory.regions.size());
  launch.schedule = how.schedule;
  launch.seed = how.seed;
  launch.osThreads = 1;
  launch.checkAccesses = 1;
  launch.hasPeers = gpuShape.awaitsPeers;
  launch.blocksMeet = gpuShape.isCooperative;
  launch.knowsWrites = std::any_of(operands.begin(), operands.end(),
                                   [](const GpuOperand &operand) { return operand.isWeight; });
  char text[1024] = "";
  const int failed = grokEmulatorLaunch(emulator(), &launch, text, sizeof text);
  EXPECT_TRUE(scratch.isGuardIntact());
  return failed ? text : "";
}

} // namespace grok::compiler::testing
