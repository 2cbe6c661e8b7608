// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The CUDA driver as far as we use it, declared here and found at run time: no
// header and no library of CUDA is needed to build.
// Source: "CUDA Driver API" reference manual, 12.0; versioned names are those that
// the manual's names stand for.
#pragma once

#include "runtime/Result.h"
#include <array>
#include <cstddef>
#include <cstdint>

namespace grok::runtime::cuda {

using Address = uint64_t; // CUdeviceptr
using Context = struct ContextObject *;
using Stream = struct StreamObject *;
using Event = struct EventObject *;
using Module = struct ModuleObject *;
using Function = struct FunctionObject *;
using Graph = struct GraphObject *;
using GraphNode = struct GraphNodeObject *;
using GraphExec = struct GraphExecObject *;

// CUresult
constexpr int success = 0;
constexpr int outOfMemory = 2;
constexpr int noDevice = 100;
constexpr int unsupportedPtxVersion = 222;
constexpr int notReady = 600;
// CUdevice_attribute
constexpr int multiprocessorCount = 16;
constexpr int capabilityMajor = 75;
constexpr int capabilityMinor = 76;
constexpr int cooperativeLaunch = 95;
constexpr int sharedBytesOptIn = 97; // of a block
// CUfunction_attribute
constexpr int maxDynamicSharedBytes = 8;
constexpr int nonPortableClusterSize = 14;
// CUjit_option
constexpr int errorLogBuffer = 5;
constexpr int errorLogBufferBytes = 6;
// CUstream_flags, CUlaunchAttributeID
constexpr unsigned nonBlockingStream = 1;
constexpr unsigned enablePeerAccess = 1; // CUipcMem_flags
constexpr uint32_t cooperative = 2, clusterDimension = 4;

/// CUipcMemHandle
struct MemoryHandle {
  std::array<std::byte, 64> bytes;
};

/// CUlaunchAttribute
struct LaunchAttribute {
  uint32_t id = clusterDimension;
  uint32_t padding = 0;
  uint32_t cluster[3] = {1, 1, 1}; // cooperative: 1
  uint32_t rest[13] = {};
};
static_assert(sizeof(LaunchAttribute) == 72);

/// CUlaunchConfig
struct LaunchConfig {
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  unsigned sharedBytes = 0;
  Stream stream = nullptr;
  LaunchAttribute *attributes = nullptr;
  unsigned attributeCount = 0;
};
static_assert(sizeof(LaunchConfig) == 56);

/// CUDA_KERNEL_NODE_PARAMS of version 2
struct KernelNode {
  Function function = nullptr;
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  unsigned sharedBytes = 0;
  void **parameters = nullptr;
  void **extra = nullptr;
  void *kernel = nullptr;
  Context context = nullptr;
};
static_assert(sizeof(KernelNode) == 72);

/// CUgraphEdgeData
struct GraphEdge {
  uint8_t fromPort = 0, toPort = 0, type = 0;
  uint8_t reserved[5] = {};
};
static_assert(sizeof(GraphEdge) == 8);
// CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC: the node
// may start once all blocks of the one before have let it.
constexpr GraphEdge programmaticEdge = {.fromPort = 1, .toPort = 0, .type = 1, .reserved = {}};

struct Driver {
  // NOLINTBEGIN(readability-identifier-naming): entry points keep the manual's names
  int (*cuInit)(unsigned flags);
  int (*cuDriverGetVersion)(int *version);
  int (*cuGetErrorName)(int error, const char **text);
  int (*cuGetErrorString)(int error, const char **text);
  int (*cuDeviceGetCount)(int *count);
  int (*cuDeviceGet)(int *device, int ordinal);
  int (*cuDeviceGetName)(char *name, int capacity, int device);
  int (*cuDeviceGetPCIBusId)(char *id, int capacity, int device);
  int (*cuDeviceGetAttribute)(int *value, int attribute, int device);
  int (*cuDevicePrimaryCtxRetain)(Context *, int device);
  int (*cuDevicePrimaryCtxRelease)(int device);
  int (*cuCtxSetCurrent)(Context);
  int (*cuMemGetInfo)(size_t *free, size_t *total);
  int (*cuMemAlloc)(Address *, size_t bytes);
  int (*cuMemFree)(Address);
  int (*cuMemHostAlloc)(void **, size_t bytes, unsigned flags);
  int (*cuMemFreeHost)(void *);
  int (*cuIpcGetMemHandle)(MemoryHandle *, Address);
  int (*cuIpcOpenMemHandle)(Address *, MemoryHandle, unsigned flags);
  int (*cuIpcCloseMemHandle)(Address);
  int (*cuMemcpyHtoDAsync)(Address to, const void *from, size_t bytes, Stream);
  int (*cuMemcpyDtoHAsync)(void *to, Address from, size_t bytes, Stream);
  int (*cuMemcpyDtoDAsync)(Address to, Address from, size_t bytes, Stream);
  int (*cuMemsetD8Async)(Address, unsigned char value, size_t count, Stream);
  int (*cuMemsetD32Async)(Address, unsigned value, size_t count, Stream);
  int (*cuStreamCreate)(Stream *, unsigned flags);
  int (*cuStreamDestroy)(Stream);
  int (*cuStreamSynchronize)(Stream);
  int (*cuStreamQuery)(Stream);
  int (*cuEventCreate)(Event *, unsigned flags);
  int (*cuEventDestroy)(Event);
  int (*cuEventRecord)(Event, Stream);
  int (*cuEventElapsedTime)(float *milliseconds, Event begin, Event end);
  int (*cuModuleLoadDataEx)(Module *, const void *image, unsigned count, int *options,
                            void **values);
  int (*cuModuleUnload)(Module);
  int (*cuModuleGetFunction)(Function *, Module, const char *name);
  int (*cuFuncSetAttribute)(Function, int attribute, int value);
  int (*cuOccupancyMaxActiveBlocksPerMultiprocessor)(int *blocks, Function, int threads,
                                                     size_t sharedBytes);
  int (*cuOccupancyMaxActiveClusters)(int *clusters, Function, const LaunchConfig *);
  int (*cuLaunchKernelEx)(const LaunchConfig *, Function, void **parameters, void **extra);
  int (*cuGraphCreate)(Graph *, unsigned flags);
  int (*cuGraphAddKernelNode)(GraphNode *, Graph, const GraphNode *dependencies, size_t count,
                              const KernelNode *);
  /// CUDA 12.3; null in older drivers.
  int (*cuGraphAddDependencies)(Graph, const GraphNode *from, const GraphNode *to,
                                const GraphEdge *, size_t count);
  int (*cuGraphKernelNodeSetAttribute)(GraphNode, uint32_t id, const void *value);
  int (*cuGraphInstantiateWithFlags)(GraphExec *, Graph, unsigned long long flags);
  int (*cuGraphLaunch)(GraphExec, Stream);
  int (*cuGraphExecDestroy)(GraphExec);
  int (*cuGraphDestroy)(Graph);
  // NOLINTEND(readability-identifier-naming)

  /// The system's driver, initialised; $GROK_CUDA_LIBRARY in its place if that is set,
  /// and none if it is set to nothing. The error says what is missing or too old.
  static Result<Driver> open();

  /// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
  std::string errorText(int status) const;
  /// An error of `what` unless it succeeded.
  Result<void> check(int status, std::string_view what) const;
  /// "12.4": the CUDA that the driver is for.
  std::string version() const;
};

} // namespace grok::runtime::cuda
