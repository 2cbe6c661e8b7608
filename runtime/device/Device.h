// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The seam between executing a plan and the hardware that does it.
#pragma once

#include "runtime/device/DeviceMemory.h"
#include "runtime/device/DeviceQueue.h"
#include "runtime/device/PeerMemory.h"
#include "runtime/plan/KernelABI.h"
#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace grok::runtime {

class ThreadPool;

/// A launch whose operands have their places.
struct DeviceLaunch {
  uint32_t kernel = 0;                   // number in the plan, or of a service
  std::span<const void *const> operands; // one address each, of the device
};

/// Launches that a device runs as one, for any step.
class DeviceGraph {
public:
  virtual ~DeviceGraph() = default;
};

/// Holds the kernels of one plan and runs them. One step at a time; the caller
/// orders the steps of different sessions.
class Device {
public:
  virtual ~Device() = default;

  // ---- memory

  /// Zero-filled memory that kernels can read and write; `what` for messages.
  virtual Result<std::unique_ptr<DeviceMemory>> allocate(uint64_t bytes, std::string_view what) = 0;
  /// The bytes where kernels can read them. Where the host's memory is shared, they
  /// stay where they are and must live as long.
  virtual Result<std::unique_ptr<DeviceMemory>> place(std::span<const std::byte> bytes,
                                                      std::string_view what) = 0;
  /// Memory full of numbers that are finite in any format, for timing without weights.
  virtual Result<std::unique_ptr<DeviceMemory>> placeFiller(uint64_t bytes, std::string_view what) {
    return allocate(bytes, what);
  }
  /// Whether addresses of this device's memory are addresses of the host.
  virtual bool sharesHostMemory() const { return true; }
  /// Copies to the host what the launches so far have written.
  virtual Result<void> download(std::span<std::byte> to, const std::byte *from) = 0;
  /// Copies from the host, after the launches so far and before later ones.
  virtual Result<void> upload(std::byte *to, std::span<const std::byte> from) {
    std::copy(from.begin(), from.end(), to);
    return {};
  }

  // ---- work

  /// Whether kernels find out from the step, and from what other kernels wrote, how
  /// many tiles they have; else launch() needs the number.
  virtual bool countsTiles() const { return false; }

  /// The launches to come, up to wait(), work on this step.
  virtual Result<void> begin(const GrokStepInfo &step) = 0;
  /// Runs tiles [0, tiles) after the launches before it.
  virtual Result<void> launch(const DeviceLaunch &launch, int64_t tiles) = 0;
  /// Returns when all launches have ended; the error is the first of any.
  virtual Result<void> wait() = 0;

  /// The number of the plan's kernel for `op` that no program launches
  /// (GpuCode.services); nothing if it has none. Takes any number of tiles.
  virtual std::optional<uint32_t> service(std::string_view) const { return std::nullopt; }

  /// Puts the launches of a program together, so that they cost less one by one;
  /// null where there is nothing to gain. The operands' addresses are copied.
  virtual Result<std::unique_ptr<DeviceGraph>> record(std::span<const DeviceLaunch>) {
    return nullptr;
  }
  /// Runs what record() made, instead of launches.
  virtual Result<void> launch(DeviceGraph &) { return {}; }

  /// How kernels reach the devices of other ranks; null where they cannot.
  virtual PeerMemory *peers() { return nullptr; }
  /// Where others add to its work; null where they cannot.
  virtual DeviceQueue *queue() { return nullptr; }

  // ---- timing

  /// Whether launches one by one are timed by the device itself, where it can.
  virtual void setTiming(bool) {}
  /// Of the last launch before wait(); nothing if the host's clock has to do.
  virtual std::optional<double> secondsOfLastLaunch() { return std::nullopt; }
  /// Bytes per second that a kernel reads which does nothing else, from the device's
  /// own memory; nothing if it has none, or too little is free.
  virtual Result<std::optional<double>> measureReadRate() { return std::optional<double>(); }

  // ---- for people

  /// Code in use, e.g. "x86-64-v3" or "sm_90a, emulated".
  virtual std::string_view level() const = 0;
  /// What ranks cannot have together, such as the bus address of a GPU; empty where they
  /// can.
  virtual std::string_view hardware() const { return {}; }
  /// Threads of this process that compute.
  virtual int threads() const = 0;
  /// Those threads where the caller of a step is one of them, else null.
  virtual ThreadPool *threadPool() { return nullptr; }
};

} // namespace grok::runtime
