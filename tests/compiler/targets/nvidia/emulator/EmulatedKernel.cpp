// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"

#include "compiler/targets/cpu/SharedObjectLinker.h"
#include "compiler/targets/nvidia/LowerToNVVM.h"
#include "compiler/targets/nvidia/emulator/EmulatorTranslation.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace grok::test {

using namespace grok::compiler;

static tl::expected<llvm::SmallVector<char, 0>, std::string> compile(const std::string &body) {
  mlir::DialectRegistry registry;
  registerGpuKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::string diagnostic;
  context.getDiagEngine().registerHandler([&](mlir::Diagnostic &message) {
    llvm::raw_string_ostream(diagnostic) << message.getLocation() << ": " << message << "\n";
  });
  // On one line with the body's first, so that lines are those of the body.
  const std::string text =
      "module attributes {gpu.container_module} { gpu.module @kernels {" + body + "} }";
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "kernel.mlir"),
                             llvm::SMLoc());
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return tl::unexpected(diagnostic);
  mlir::PassManager passes(&context);
  addLowerKernelToNVVM(passes);
  if (failed(passes.run(*module)))
    return tl::unexpected(diagnostic);
  auto object = translateForEmulator(*module, "kernel");
  if (!object)
    return tl::unexpected(object.error() + diagnostic);
  return object;
}

std::string translationError(const std::string &body) {
  auto object = compile(body);
  return object ? "" : object.error();
}

EmulatedKernel::EmulatedKernel(const std::string &body) {
  auto object = compile(body);
  if (!object) {
    ADD_FAILURE() << object.error();
    return;
  }
  auto image = linkSharedObject({llvm::StringRef(object->data(), object->size())});
  if (!image) {
    ADD_FAILURE() << image.error();
    return;
  }
  const int file = memfd_create("kernel", 0);
  EXPECT_EQ(write(file, image->data(), image->size()), static_cast<ssize_t>(image->size()));
  library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  if (library)
    entry = reinterpret_cast<GrokEmulatedKernel>(dlsym(library, "kernel"));
  EXPECT_TRUE(entry) << dlerror();
}

EmulatedKernel::~EmulatedKernel() {
  if (library)
    dlclose(library);
}

static GrokEmulator *emulator() {
  static const std::unique_ptr<GrokEmulator, void (*)(GrokEmulator *)> made(
      grokEmulatorCreate(nullptr, 0), grokEmulatorDestroy);
  return made.get();
}

std::string EmulatedKernel::launch(const Grid &grid, const std::vector<Buffer> &buffers,
                                   uint32_t schedule, uint32_t seed) const {
  if (!entry)
    return "no kernel";
  std::vector<void *> addresses;
  std::vector<GrokEmulatorRegion> regions;
  for (const Buffer &buffer : buffers) {
    addresses.push_back(buffer.address);
    regions.push_back({buffer.address, buffer.bytes, buffer.name.c_str(), buffer.isWritable});
  }
  std::vector<void *> values;
  for (void *&address : addresses)
    values.push_back(&address);
  GrokEmulatorLaunch launch{};
  launch.name = "kernel";
  launch.kernel = entry;
  launch.values = values.data();
  launch.blocks = grid.blocks;
  launch.threads = grid.threads;
  launch.clusterBlocks = grid.clusterBlocks;
  launch.dynamicSharedBytes = grid.sharedBytes;
  launch.regions = regions.data();
  launch.regionCount = static_cast<uint32_t>(regions.size());
  launch.schedule = schedule;
  launch.seed = seed;
  launch.osThreads = grid.osThreads;
  launch.checkAccesses = 1;
  launch.knowsWrites = 1;
  char text[1024];
  const int code = grokEmulatorLaunch(emulator(), &launch, text, sizeof text);
  EXPECT_EQ(code != 0, text[0] != 0);
  return text;
}

} // namespace grok::test
