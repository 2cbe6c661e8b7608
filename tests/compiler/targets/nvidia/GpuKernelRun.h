// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Generated GPU kernels of a specification, run in the emulator on buffers of the
// host.
#pragma once

#include "compiler/targets/nvidia/GpuShape.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/device/emulated/EmulatorABI.h"
#include "tests/compiler/kernels/KernelHarness.h"

namespace grok::compiler::testing {

/// How threads are spread and in which order they advance.
struct GpuLaunch {
  uint32_t blocks = 1;
  uint32_t schedule = grokScheduleInOrder;
  uint32_t seed = 1;
};

/// Several numbers of blocks under each of the schedules.
const std::vector<GpuLaunch> &everyLaunch();
std::string nameOf(const GpuLaunch &launch);

/// Memory that a kernel may touch through one launch operand.
struct GpuOperand {
  void *address;
  size_t bytes;
  bool isWeight = false; // read-only, and to be read before griddepcontrol.wait

  GpuOperand(const Buffer &buffer) : address(buffer.data()), bytes(buffer.size()) {}
  GpuOperand(void *address, size_t bytes) : address(address), bytes(bytes) {}
};

/// One kernel for one chip. Every access of a run is checked; what the emulator
/// finds wrong fails the test. Its scratch memory lives as long as the object.
class GpuKernel {
public:
  explicit GpuKernel(const KernelSpec &spec, const std::string &chip = "sm_90a");
  /// Of what NvidiaKernelCompiler::lower made of a kernel named "kernel".
  GpuKernel(mlir::ModuleOp lowered, const GpuShape &shape);
  ~GpuKernel();
  GpuKernel(const GpuKernel &) = delete;
  GpuKernel &operator=(const GpuKernel &) = delete;

  /// Operands in the order of the kernel's ABI. Those at the same address are one
  /// region. Each thread may run one.
  void run(const std::vector<GpuOperand> &operands, const Step &step,
           const GpuLaunch &launch = {}) const;

  /// As run(), but gives the emulator's error. `others` may be touched, too, by
  /// addresses that stand in memory.
  std::string tryRun(const std::vector<GpuOperand> &operands, const std::vector<GpuOperand> &others,
                     const Step &step, const GpuLaunch &launch) const;

  const GpuShape &shape() const { return gpuShape; }
  std::byte *scratchMemory() { return static_cast<std::byte *>(scratch.data()); }

private:
  void load(const std::vector<uint8_t> &image);

  GpuShape gpuShape;
  Buffer scratch;
  int file = -1;
  void *library = nullptr;
  GrokEmulatedKernel entry = nullptr;
};

} // namespace grok::compiler::testing
