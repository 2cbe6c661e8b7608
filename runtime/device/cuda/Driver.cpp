// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/Driver.h"
#include "runtime/device/SharedLibrary.h"
#include <cstdlib>
#include <vector>

namespace grok::runtime::cuda {

// cuGraphAddKernelNode_v2, and PTX 8.0 of our kernels (PTX ISA, "Release Notes").
static constexpr int oldestVersion = 12000; // 1000 * major + 10 * minor

static std::string showVersion(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

static Result<SharedLibrary> openLibrary() {
  std::vector<std::string> paths = {"libcuda.so.1"};
  if (const char *chosen = std::getenv("GROK_CUDA_LIBRARY")) {
    if (!*chosen)
      return fail("no NVIDIA driver: GROK_CUDA_LIBRARY is set to none");
    paths = {chosen};
  }
  auto library = SharedLibrary::open(paths);
  if (!library)
    return fail("no NVIDIA driver: ", library.error());
  return library;
}

namespace {

/// Finds functions until one is missing.
class Finder {
public:
  explicit Finder(const SharedLibrary &library) : library(library) {}
  template <typename Entry> Finder &operator()(const char *name, Entry &entry) {
    if (found)
      found = library.find(name, entry);
    return *this;
  }
  Result<void> found;

private:
  const SharedLibrary &library;
};

} // namespace

static Result<void> findMemory(const SharedLibrary &library, Driver &driver) {
  return Finder(library)("cuMemGetInfo_v2", driver.cuMemGetInfo)(
             "cuMemAlloc_v2", driver.cuMemAlloc)("cuMemFree_v2", driver.cuMemFree)(
             "cuMemHostAlloc", driver.cuMemHostAlloc)("cuMemFreeHost", driver.cuMemFreeHost)(
             "cuIpcGetMemHandle", driver.cuIpcGetMemHandle)("cuIpcOpenMemHandle_v2",
                                                            driver.cuIpcOpenMemHandle)(
             "cuIpcCloseMemHandle", driver.cuIpcCloseMemHandle)("cuMemcpyHtoDAsync_v2",
                                                                driver.cuMemcpyHtoDAsync)(
             "cuMemcpyDtoHAsync_v2", driver.cuMemcpyDtoHAsync)("cuMemcpyDtoDAsync_v2",
                                                               driver.cuMemcpyDtoDAsync)(
             "cuMemsetD8Async", driver.cuMemsetD8Async)("cuMemsetD32Async", driver.cuMemsetD32Async)
      .found;
}

static Result<void> findDevices(const SharedLibrary &library, Driver &driver) {
  return Finder(library)("cuDeviceGetCount", driver.cuDeviceGetCount)(
             "cuDeviceGet", driver.cuDeviceGet)("cuDeviceGetName", driver.cuDeviceGetName)(
             "cuDeviceGetPCIBusId", driver.cuDeviceGetPCIBusId)(
             "cuDeviceGetAttribute", driver.cuDeviceGetAttribute)("cuDevicePrimaryCtxRetain",
                                                                  driver.cuDevicePrimaryCtxRetain)(
             "cuDevicePrimaryCtxRelease_v2",
             driver.cuDevicePrimaryCtxRelease)("cuCtxSetCurrent", driver.cuCtxSetCurrent)(
             "cuStreamCreate", driver.cuStreamCreate)("cuStreamDestroy_v2", driver.cuStreamDestroy)(
             "cuStreamSynchronize", driver.cuStreamSynchronize)("cuStreamQuery",
                                                                driver.cuStreamQuery)(
             "cuEventCreate", driver.cuEventCreate)("cuEventDestroy_v2", driver.cuEventDestroy)(
             "cuEventRecord", driver.cuEventRecord)("cuEventElapsedTime", driver.cuEventElapsedTime)
      .found;
}

static Result<void> findKernels(const SharedLibrary &library, Driver &driver) {
  return Finder(library)("cuModuleLoadDataEx", driver.cuModuleLoadDataEx)("cuModuleUnload",
                                                                          driver.cuModuleUnload)(
             "cuModuleGetFunction", driver.cuModuleGetFunction)("cuFuncSetAttribute",
                                                                driver.cuFuncSetAttribute)(
             "cuOccupancyMaxActiveBlocksPerMultiprocessor",
             driver.cuOccupancyMaxActiveBlocksPerMultiprocessor)(
             "cuOccupancyMaxActiveClusters", driver.cuOccupancyMaxActiveClusters)(
             "cuLaunchKernelEx", driver.cuLaunchKernelEx)("cuGraphCreate", driver.cuGraphCreate)(
             "cuGraphAddKernelNode_v2", driver.cuGraphAddKernelNode)(
             "cuGraphKernelNodeSetAttribute", driver.cuGraphKernelNodeSetAttribute)(
             "cuGraphInstantiateWithFlags",
             driver.cuGraphInstantiateWithFlags)("cuGraphLaunch", driver.cuGraphLaunch)(
             "cuGraphExecDestroy", driver.cuGraphExecDestroy)("cuGraphDestroy",
                                                              driver.cuGraphDestroy)
      .found;
}

// What older drivers lack and we do without.
static void findOptional(const SharedLibrary &library, Driver &driver) {
  if (!library.find("cuGraphAddDependencies_v2", driver.cuGraphAddDependencies))
    driver.cuGraphAddDependencies = nullptr;
}

static Result<void> checkVersion(const Driver &driver) {
  int version = 0;
  if (auto asked = driver.check(driver.cuDriverGetVersion(&version), "cuDriverGetVersion"); !asked)
    return asked;
  if (version < oldestVersion)
    return fail("the NVIDIA driver is for CUDA ", showVersion(version), ", at least ",
                showVersion(oldestVersion), " is needed; update the driver");
  return {};
}

Result<Driver> Driver::open() {
  auto library = openLibrary();
  if (!library)
    return fail(library.error());
  Driver driver = {};
  // The version first: an old driver lacks some of the rest.
  auto opened =
      Finder(*library)("cuInit", driver.cuInit)("cuDriverGetVersion", driver.cuDriverGetVersion)(
          "cuGetErrorName", driver.cuGetErrorName)("cuGetErrorString", driver.cuGetErrorString)
          .found.and_then([&] { return checkVersion(driver); })
          .and_then([&] { return findDevices(*library, driver); })
          .and_then([&] { return findMemory(*library, driver); })
          .and_then([&] { return findKernels(*library, driver); })
          .and_then([&] {
            const int status = driver.cuInit(0);
            return status == noDevice ? Result<void>(fail("there is no NVIDIA GPU here"))
                                      : driver.check(status, "the NVIDIA driver");
          });
  if (!opened)
    return fail(opened.error());
  findOptional(*library, driver);
  return driver;
}

std::string Driver::errorText(int status) const {
  const char *name = nullptr, *text = nullptr;
  if (cuGetErrorName(status, &name) != success || !name)
    return "CUDA error " + std::to_string(status);
  if (cuGetErrorString(status, &text) != success || !text)
    return name;
  return std::string(name) + " (" + text + ")";
}

Result<void> Driver::check(int status, std::string_view what) const {
  if (status != success)
    return fail(what, ": ", errorText(status));
  return {};
}

std::string Driver::version() const {
  int number = 0;
  return cuDriverGetVersion(&number) == success ? showVersion(number) : "unknown";
}

} // namespace grok::runtime::cuda
