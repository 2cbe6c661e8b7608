// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs a plan's GPU kernels without a GPU: their translations, in
// libgrok-emulator.so.
#pragma once

#include "runtime/collectives/SharedMemory.h"
#include "runtime/device/Device.h"
#include "runtime/device/cpu/CodeLibrary.h"
#include "runtime/device/emulated/EmulatorLibrary.h"
#include "runtime/plan/GpuKernels.h"
#include <list>
#include <string>

namespace grok::runtime {

/// How kernels are run. The results do not depend on it; what errors are found does.
struct EmulatorSettings {
  uint32_t schedule = grokScheduleInOrder;
  uint32_t seed = 1;
  /// Of a launch, at most: enough to meet each other and to take tiles in turn.
  uint32_t blocks = 3;
  bool checkAccesses = true;

  /// "schedule=in-order|random|greedy,seed=N,blocks=N,check=on|off", any of them.
  static Result<EmulatorSettings> parse(std::string_view text);
};

class EmulatedDevice final : public Device, private PeerMemory {
public:
  /// `threads` operating system threads share the blocks of a launch; with one,
  /// runs are repeatable. `chip` may be empty: the plan's last one that has a
  /// translation. Settings are those of $GROK_EMULATOR.
  static Result<std::unique_ptr<EmulatedDevice>> create(const plan::Plan &plan, int threads,
                                                        std::string_view chip);

  Result<std::unique_ptr<DeviceMemory>> allocate(uint64_t bytes, std::string_view what) override;
  Result<std::unique_ptr<DeviceMemory>> place(std::span<const std::byte> bytes,
                                              std::string_view what) override;
  Result<void> download(std::span<std::byte> to, const std::byte *from) override;

  bool countsTiles() const override { return true; }
  Result<void> begin(const GrokStepInfo &newStep) override;
  Result<void> launch(const DeviceLaunch &launch, int64_t tiles) override;
  Result<void> wait() override { return {}; }
  std::optional<uint32_t> service(std::string_view op) const override { return services.find(op); }
  PeerMemory *peers() override { return this; }

  std::string_view level() const override { return levelText; }
  int threads() const override { return threadCount; }

private:
  struct Kernel {
    std::string name;
    GrokEmulatorLaunch shape; // all but the memory
    Memory scratch;
  };
  /// Memory that kernels may touch, while its DeviceMemory lives.
  struct Region {
    const void *address;
    uint64_t bytes;
    std::string name;
    bool isWritable;
  };
  class Tracked;

  EmulatedDevice(CodeLibrary code, Emulator emulator)
      : code(std::move(code)), emulator(std::move(emulator)) {}
  Result<void> addKernels(const plan::Plan &plan, const plan::GpuCode &gpu,
                          const EmulatorSettings &settings);
  // Windows are memory that processes share; mapping one's own again gives another address.
  bool mapsOwnWindows() const override { return true; }
  Result<std::unique_ptr<DeviceMemory>> makeWindow(uint64_t bytes, WindowOffer &offer) override;
  Result<std::unique_ptr<DeviceMemory>> mapWindow(const WindowOffer &offer) override;
  Result<std::unique_ptr<DeviceMemory>> allocateOnHost(uint64_t bytes) override;
  void setWatch(Watch newWatch) override { watch = std::move(newWatch); }
  std::unique_ptr<DeviceMemory> track(SharedMemory shared, uint64_t bytes);
  Result<void> run(const GrokEmulatorLaunch &what);
  void addStepRegions(std::vector<GrokEmulatorRegion> &to) const;

  CodeLibrary code;
  Emulator emulator;
  std::string levelText;
  int threadCount = 1;
  std::vector<Kernel> kernels; // by the number of gpuKernelsOf
  ServiceNumbers services;
  std::list<Region> regions;
  const GrokStepInfo *step = nullptr;
  Watch watch;
};

} // namespace grok::runtime
