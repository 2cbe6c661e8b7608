// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/EmulatedDevice.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <future>
#include <vector>

namespace grok::runtime {

template <typename Number> static bool readNumber(std::string_view text, Number &number) {
  const char *first = text.begin(), *last = text.end();
  return !text.empty() && std::from_chars(first, last, number).ptr == last;
}

// The place of `value` in `names`. Returns whether it is one of them.
template <size_t count>
static bool readName(std::string_view value, const std::array<std::string_view, count> &names,
                     uint32_t &number) {
  const auto found = std::find(names.begin(), names.end(), value);
  number = static_cast<uint32_t>(found - names.begin());
  return found != names.end();
}

static bool readSetting(std::string_view name, std::string_view value, EmulatorSettings &to) {
  constexpr std::array<std::string_view, 3> schedules = {"in-order", "random", "greedy"};
  constexpr std::array<std::string_view, 2> switches = {"off", "on"};
  if (name == "schedule")
    return readName(value, schedules, to.schedule);
  if (name == "seed")
    return readNumber(value, to.seed);
  if (name == "blocks")
    return readNumber(value, to.blocks) && to.blocks > 0;
  uint32_t isOn = 0;
  if (name != "check" || !readName(value, switches, isOn))
    return false;
  to.checkAccesses = isOn != 0;
  return true;
}

Result<EmulatorSettings> EmulatorSettings::parse(std::string_view text) {
  EmulatorSettings settings;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = std::min(part.find('='), part.size());
    const std::string_view value = part.substr(std::min(equals + 1, part.size()));
    if (!readSetting(part.substr(0, equals), value, settings))
      return fail("GROK_EMULATOR: '", part, "' is not one of schedule=in-order|random|greedy, ",
                  "seed=N, blocks=N, check=on|off");
  }
  return settings;
}

// The translation of that chip, or of the last chip that has one.
static Result<const plan::GpuCode *> select(const plan::Plan &plan, const std::string &chip) {
  const plan::GpuCode *chosen = nullptr;
  for (const plan::GpuCode *code : *plan.gpu_code())
    if (code->emulation() && code->emulation()->size() &&
        (chip.empty() || code->chip()->string_view() == chip))
      chosen = code;
  if (chosen)
    return chosen;
  if (chip.empty())
    return fail("the plan has no GPU kernels for the emulator; compile it with --emulate and a "
                "GPU in --target");
  return fail("the plan has no kernels of ", chip,
              " for the emulator; compile it with --emulate and --target=", chip);
}

Result<std::unique_ptr<EmulatedDevice>> EmulatedDevice::create(const plan::Plan &plan, int threads,
                                                               std::string_view chip) {
  auto gpu = select(plan, std::string(chip));
  if (!gpu)
    return fail(gpu.error());
  const char *text = std::getenv("GROK_EMULATOR");
  auto settings = EmulatorSettings::parse(text ? text : "");
  if (!settings)
    return fail(settings.error());
  auto emulator = Emulator::open();
  if (!emulator)
    return fail(emulator.error());
  const std::span<const uint8_t> image((*gpu)->emulation()->data(), (*gpu)->emulation()->size());
  const std::string level = (*gpu)->chip()->str() + ", emulated";
  auto code = CodeLibrary::load(image, level);
  if (!code)
    return fail(code.error());
  std::unique_ptr<EmulatedDevice> device(
      new EmulatedDevice(std::move(*code), std::move(*emulator)));
  device->levelText = level;
  device->threadCount = std::max(threads, 1);
  if (auto added = device->addKernels(plan, **gpu, *settings); !added)
    return fail(added.error());
  return device;
}

Result<void> EmulatedDevice::addKernels(const plan::Plan &plan, const plan::GpuCode &gpu,
                                        const EmulatorSettings &settings) {
  for (const GpuKernelEntry &each : gpuKernelsOf(plan, gpu)) {
    const plan::GpuKernel &kernel = *each.code;
    const std::string symbol = each.kernel->symbol()->str();
    auto entry = code.symbol(symbol);
    if (!entry)
      return fail(entry.error());
    auto scratch = Memory::allocate(kernel.scratch_bytes(), symbol + "'s scratch memory");
    if (!scratch)
      return fail(scratch.error());
    GrokEmulatorLaunch shape{};
    shape.kernel = reinterpret_cast<GrokEmulatedKernel>(*entry);
    shape.threads = static_cast<uint32_t>(kernel.threads());
    shape.clusterBlocks = static_cast<uint32_t>(kernel.cluster_blocks());
    const auto blocks =
        static_cast<uint32_t>(std::min<int64_t>(settings.blocks, kernel.max_blocks()));
    const uint32_t clusters = (blocks + shape.clusterBlocks - 1) / shape.clusterBlocks;
    shape.blocks = clusters * shape.clusterBlocks;
    shape.dynamicSharedBytes = static_cast<uint32_t>(kernel.shared_bytes());
    shape.schedule = settings.schedule;
    shape.seed = settings.seed;
    shape.osThreads = static_cast<uint32_t>(threadCount);
    shape.checkAccesses = settings.checkAccesses;
    shape.knowsWrites = 1; // weights and the step are read-only
    shape.hasPeers = kernel.awaits_peers();
    shape.blocksMeet = kernel.cooperative();
    kernels.push_back({symbol, shape, std::move(*scratch)});
  }
  services = ServiceNumbers(plan, gpu);
  return {};
}

/// Memory whose region ends with it.
class EmulatedDevice::Tracked final : public DeviceMemory {
public:
  Tracked(EmulatedDevice &device, Memory memory, std::byte *address, const Region &region,
          std::optional<SharedMemory> shared = std::nullopt)
      : DeviceMemory(address, region.bytes), device(device), memory(std::move(memory)),
        shared(std::move(shared)), place(device.regions.insert(device.regions.end(), region)) {}
  ~Tracked() override { device.regions.erase(place); }
  void clear(uint64_t offset, uint64_t count) override {
    if (shared)
      std::fill_n(data() + offset, count, std::byte(0));
    else
      memory.discard(offset, count);
  }

private:
  EmulatedDevice &device;
  Memory memory; // none of a view, or of shared memory
  std::optional<SharedMemory> shared;
  std::list<Region>::iterator place;
};

Result<std::unique_ptr<DeviceMemory>> EmulatedDevice::allocate(uint64_t bytes,
                                                               std::string_view what) {
  auto memory = Memory::allocate(bytes, what);
  if (!memory)
    return fail(memory.error());
  std::byte *address = memory->data();
  return std::make_unique<Tracked>(*this, std::move(*memory), address,
                                   Region{address, bytes, std::string(what), true});
}

Result<std::unique_ptr<DeviceMemory>> EmulatedDevice::place(std::span<const std::byte> bytes,
                                                            std::string_view what) {
  return std::make_unique<Tracked>(*this, Memory(), const_cast<std::byte *>(bytes.data()),
                                   Region{bytes.data(), bytes.size(), std::string(what), false});
}

std::unique_ptr<DeviceMemory> EmulatedDevice::track(SharedMemory shared, uint64_t bytes) {
  std::byte *address = shared.memory().get();
  return std::make_unique<Tracked>(*this, Memory(), address,
                                   Region{address, bytes, "a window", true}, std::move(shared));
}

namespace {

/// What is in a WindowOffer.
struct EmulatedWindow {
  uint64_t bytes;
  SharedMemoryOffer memory;
};
static_assert(sizeof(EmulatedWindow) <= sizeof(WindowOffer));

} // namespace

Result<std::unique_ptr<DeviceMemory>> EmulatedDevice::makeWindow(uint64_t bytes,
                                                                 WindowOffer &offer) {
  auto made = SharedMemory::create(bytes);
  if (!made)
    return fail(made.error());
  const EmulatedWindow window = {bytes, made->offer()};
  std::memcpy(offer.bytes.data(), &window, sizeof window);
  return track(std::move(*made), bytes);
}

Result<std::unique_ptr<DeviceMemory>> EmulatedDevice::mapWindow(const WindowOffer &offer) {
  EmulatedWindow window;
  std::memcpy(&window, offer.bytes.data(), sizeof window);
  auto mapped = SharedMemory::map(window.memory);
  if (!mapped)
    return fail(mapped.error());
  return track(std::move(*mapped), window.bytes);
}

Result<std::unique_ptr<DeviceMemory>> EmulatedDevice::allocateOnHost(uint64_t bytes) {
  return allocate(bytes, "memory of the host");
}

Result<void> EmulatedDevice::download(std::span<std::byte> to, const std::byte *from) {
  std::copy_n(from, to.size(), to.begin());
  return {};
}

Result<void> EmulatedDevice::begin(const GrokStepInfo &newStep) {
  step = &newStep;
  return {};
}

void EmulatedDevice::addStepRegions(std::vector<GrokEmulatorRegion> &to) const {
  const auto add = [&](const auto *array, int64_t count, const char *name) {
    if (array && count > 0)
      to.push_back({array, static_cast<uint64_t>(count) * sizeof *array, name, 0});
  };
  to.push_back({step, sizeof *step, "the step", 0});
  add(step->tokens, step->rows, "tokens");
  add(step->positions, step->rows, "positions");
  add(step->sequences, step->rows, "sequences");
  int32_t sequences = 0;
  for (int64_t row = 0; row < step->rows; ++row)
    sequences = std::max(sequences, step->sequences[row] + 1);
  add(step->pageTable, sequences * step->pageTableStride, "the page table");
  add(step->logitRow, step->logitRows, "logit rows");
  add(step->draws, step->logitRows, "draws");
}

/// One that waits for other ranks runs beside us, who watch.
Result<void> EmulatedDevice::run(const GrokEmulatorLaunch &what) {
  if (!what.hasPeers || !watch)
    return emulator.launch(what);
  auto ended = std::async(std::launch::async, [&] { return emulator.launch(what); });
  Result<void> watched;
  while (ended.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready)
    if (watched)
      watched = watch();
  auto done = ended.get();
  return watched ? done : watched;
}

Result<void> EmulatedDevice::launch(const DeviceLaunch &launch, int64_t) {
  const Kernel &kernel = kernels[launch.kernel];
  std::vector<GrokEmulatorRegion> memory;
  for (const Region &region : regions)
    if (region.bytes > 0)
      memory.push_back({region.address, region.bytes, region.name.c_str(), region.isWritable});
  addStepRegions(memory);
  if (kernel.scratch.size() > 0)
    memory.push_back({kernel.scratch.data(), kernel.scratch.size(), "the kernel's scratch", 1});
  std::vector<const void *> parameters(launch.operands.begin(), launch.operands.end());
  parameters.push_back(step);
  parameters.push_back(kernel.scratch.data());
  std::vector<void *> values;
  values.reserve(parameters.size());
  for (const void *&parameter : parameters)
    values.push_back(static_cast<void *>(&parameter));
  GrokEmulatorLaunch what = kernel.shape;
  what.name = kernel.name.c_str();
  what.values = values.data();
  what.regions = memory.data();
  what.regionCount = static_cast<uint32_t>(memory.size());
  return run(what);
}

} // namespace grok::runtime
