// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaDevice.h"
#include "runtime/device/Choice.h"
#include "runtime/plan/PlanReader.h"
#include "tests/runtime/device/cuda/FakeDriver.h"
#include <array>
#include <gmock/gmock.h>
#include <thread>

namespace grok::runtime {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

/// A toy plan, perhaps changed, and the fake driver.
class Cuda : public testing::Test {
protected:
  void write() {
    toy::writeFile(folder.path + "/model.plan", toy::fileOf(plan));
    document.emplace(parsePlan(toy::fileOf(plan), "toy").value());
  }
  Result<std::unique_ptr<Device>> make(DeviceKind kind = DeviceKind::cuda,
                                       const std::string &level = "") {
    write();
    return makeDevice(document->root(), kind, {.threads = 1, .level = level});
  }
  std::string errorOf(DeviceKind kind = DeviceKind::cuda, const std::string &level = "") {
    auto device = make(kind, level);
    return device ? "no error" : device.error();
  }
  plan::GpuCodeT &addCode(const char *chip, int major, bool runsOnNewer) {
    auto code = std::make_unique<plan::GpuCodeT>(*plan.gpu_code[0]);
    code->chip = chip;
    code->major = major;
    code->runs_on_newer = runsOnNewer;
    plan.gpu_code.push_back(std::move(code));
    return *plan.gpu_code.back();
  }
  int64_t numKernels() const { // services included
    return static_cast<int64_t>(plan.gpu_code[0]->kernels.size() +
                                plan.gpu_code[0]->services.size());
  }
  void addMachineCode() {
    for (auto &kernel : plan.gpu_code[0]->kernels)
      kernel->cubin = {0x7f, 'E', 'L', 'F'};
    for (auto &service : plan.gpu_code[0]->services)
      service->code->cubin = {0x7f, 'E', 'L', 'F'};
  }

  toy::TemporaryFolder folder;
  FakeDriver driver{folder.path + "/model.plan"};
  plan::PlanT plan = toy::makePlan();
  std::optional<PlanDocument> document;
};

/// A device in the middle of a step of one row.
struct OneRow {
  explicit OneRow(Device &device)
      : device(device), ownH(device.allocate(4096, "h").value()),
        ownTable(device.allocate(1280, "table").value()), h(ownH.get()), table(ownTable.get()) {}
  OneRow(Device &device, DeviceMemory &h, DeviceMemory &table)
      : device(device), h(&h), table(&table) {}
  Result<void> launch() {
    operands = {table->data(), h->data()};
    return device.launch({0, operands}, 1);
  }
  Result<std::unique_ptr<DeviceGraph>> record() {
    operands = {table->data(), h->data()};
    return device.record(std::vector<DeviceLaunch>(2, {0, operands}));
  }
  Result<void> begin() { return device.begin(step); }

  Device &device;
  std::unique_ptr<DeviceMemory> ownH, ownTable;
  DeviceMemory *h, *table;
  std::vector<const void *> operands;
  int32_t numbers[4] = {1, 0, 0, 0};
  GrokStepInfo step = {.rows = 1,
                       .tokens = numbers,
                       .positions = numbers + 1,
                       .sequences = numbers + 2,
                       .pageTable = numbers + 2,
                       .pageTableStride = 1,
                       .logitRows = 1,
                       .logitRow = numbers + 3};
};

} // namespace

// ---- which device, and with what code

TEST_F(Cuda, SaysWhatItIs) { EXPECT_EQ(make().value()->level(), "sm_80, Fake GPU"); }

TEST_F(Cuda, AutomaticTakesAGpuThatIsHere) {
  EXPECT_THAT(make(DeviceKind::automatic).value()->level(), HasSubstr("Fake GPU"));
}

TEST_F(Cuda, AutomaticTakesTheCpuWithoutAGpu) {
  driver.set("FAKE_CUDA_DEVICES", "0");
  EXPECT_EQ(make(DeviceKind::automatic).value()->level(), "x86-64-v2");
  driver.set("GROK_CUDA_LIBRARY", "");
  EXPECT_EQ(make(DeviceKind::automatic).value()->level(), "x86-64-v2");
}

TEST_F(Cuda, AutomaticTakesTheCpuForALevelOfIt) {
  EXPECT_EQ(make(DeviceKind::automatic, "x86-64-v2").value()->level(), "x86-64-v2");
  EXPECT_THAT(make(DeviceKind::automatic, "sm_80").value()->level(), HasSubstr("Fake GPU"));
}

TEST_F(Cuda, AutomaticSaysHowAGpuPlanCanRunWithoutOne) {
  plan.code.clear();
  driver.set("FAKE_CUDA_DEVICES", "0");
  EXPECT_EQ(errorOf(DeviceKind::automatic),
            "there is no NVIDIA GPU here; --device=emulated runs it here, slowly");
  plan.gpu_code[0]->emulation.clear();
  EXPECT_EQ(errorOf(DeviceKind::automatic), "there is no NVIDIA GPU here");
}

TEST_F(Cuda, TakesTheCodeOfTheVeryChip) {
  addCode("sm_90a", 9, false);
  EXPECT_THAT(make().value()->level(), HasSubstr("sm_80,"));
  driver.set("FAKE_CUDA_CAPABILITY", "9.0");
  EXPECT_THAT(make().value()->level(), HasSubstr("sm_90a,"));
  driver.set("FAKE_CUDA_CAPABILITY", "10.0"); // runs older code only if it may
  EXPECT_THAT(make().value()->level(), HasSubstr("sm_80,"));
  EXPECT_THAT(make(DeviceKind::cuda, "sm_80").value()->level(), HasSubstr("sm_80,"));
}

TEST_F(Cuda, TakesTheCodeThatTheEnvironmentNames) {
  addCode("sm_90a", 9, false);
  driver.set("FAKE_CUDA_CAPABILITY", "9.0");
  driver.set("GROK_GPU_CODE", "sm_80");
  EXPECT_THAT(make().value()->level(), HasSubstr("sm_80,"));
  EXPECT_THAT(make(DeviceKind::cuda, "sm_90a").value()->level(), HasSubstr("sm_90a,"));
  driver.set("GROK_GPU_CODE", "sm_70");
  EXPECT_THAT(errorOf(), HasSubstr("the plan has no code for sm_70"));
}

TEST_F(Cuda, NamesChipsThatDoNotFit) {
  addCode("sm_90a", 9, false);
  driver.set("FAKE_CUDA_CAPABILITY", "7.5");
  EXPECT_EQ(errorOf(), "the plan has code for sm_80, sm_90a, which does not run on Fake GPU "
                       "(sm_75); compile it with that chip in --target");
  EXPECT_EQ(errorOf(DeviceKind::cuda, "sm_70"),
            "the plan has no code for sm_70, only for sm_80, sm_90a; compile it with "
            "--target=sm_70");
}

TEST_F(Cuda, AsksForGpuCode) {
  plan.gpu_code.clear();
  EXPECT_EQ(errorOf(), "the plan has no code for GPUs; compile it with a GPU in --target");
}

TEST_F(Cuda, PrefersMachineCodeWhereItRuns) {
  addMachineCode();
  make().value();
  EXPECT_EQ(FakeDriver::calls("machine code"), numKernels());
  EXPECT_EQ(FakeDriver::calls("PTX"), 0);
  driver.set("FAKE_CUDA_CAPABILITY", "9.0");
  make().value();
  EXPECT_EQ(FakeDriver::calls("machine code"), 0);
  EXPECT_EQ(FakeDriver::calls("PTX"), numKernels());
}

TEST_F(Cuda, CompilesThePtxIfMachineCodeIsRefused) {
  addMachineCode();
  driver.set("FAKE_CUDA_FAIL", "machine-code");
  make().value();
  EXPECT_EQ(FakeDriver::calls("PTX"), numKernels());
}

// ---- what can be missing, a line each

TEST_F(Cuda, NoDriver) {
  driver.set("GROK_CUDA_LIBRARY", "/nowhere/libcuda.so.1");
  EXPECT_THAT(errorOf(),
              AllOf(HasSubstr("no NVIDIA driver: /nowhere/libcuda.so.1"), Not(HasSubstr("\n"))));
  driver.set("GROK_CUDA_LIBRARY", "");
  EXPECT_EQ(errorOf(), "no NVIDIA driver: GROK_CUDA_LIBRARY is set to none");
}

TEST_F(Cuda, OldDriver) {
  driver.set("FAKE_CUDA_VERSION", "11040");
  EXPECT_EQ(errorOf(),
            "the NVIDIA driver is for CUDA 11.4, at least 12.0 is needed; update the driver");
}

TEST_F(Cuda, BrokenDriver) {
  driver.set("FAKE_CUDA_FAIL", "init");
  EXPECT_EQ(errorOf(), "the NVIDIA driver: CUDA_ERROR_UNKNOWN (fake)");
}

TEST_F(Cuda, TooLittleMemoryForWeights) {
  driver.set("FAKE_CUDA_MEMORY", "4096");
  plan.layouts[0]->tensors[0]->bytes = 1280;
  EXPECT_EQ(errorOf(DeviceKind::automatic),
            "weights and scratch memory: 0.0 MiB needed, 0.0 MiB of 0.0 MiB free on Fake GPU; "
            "give less --kv-memory, compile with fewer bits per weight or free its memory");
  EXPECT_EQ(FakeDriver::calls("cuModuleLoadDataEx"), 0); // nothing was loaded before
}

TEST_F(Cuda, TooLittleMemoryForTheCache) {
  driver.set("FAKE_CUDA_MEMORY", "16777216");
  auto device = make().value();
  EXPECT_THAT(device->allocate(uint64_t(20) << 20, "key/value cache").error(),
              HasSubstr("key/value cache: 20.0 MiB needed, 16.0 MiB of 16.0 MiB free"));
}

TEST_F(Cuda, BadModule) {
  driver.set("FAKE_CUDA_FAIL", "module=toy_scale");
  EXPECT_EQ(errorOf(), "kernel 'toy_scale': CUDA_ERROR_INVALID_IMAGE (fake): ptxas fatal : as "
                       "asked; compile the model again");
}

TEST_F(Cuda, TooMuchSharedMemory) {
  plan.gpu_code[0]->kernels[2]->shared_bytes = 200 * 1024;
  EXPECT_THAT(errorOf(), HasSubstr("kernel 'toy_attend': a block needs 204800 bytes of shared "
                                   "memory, Fake GPU has 166912"));
}

TEST_F(Cuda, EachRankOfAHostHasItsGpu) {
  plan.ranks.push_back(std::make_unique<plan::RankT>());
  plan.sharding->dp = 2;
  driver.set("FAKE_CUDA_DEVICES", "2");
  write();
  const auto busOf = [&](uint32_t rank, int place) {
    const DeviceSettings settings{.threads = 1, .level = "", .rank = rank, .place = place};
    return std::string(
        makeDevice(document->root(), DeviceKind::cuda, settings).value()->hardware());
  };
  EXPECT_EQ(busOf(0, 0), "0000:01:00.0");
  EXPECT_EQ(busOf(1, 1), "0000:02:00.0");
  driver.set("FAKE_CUDA_DEVICES", "1"); // as a launcher may show it to each process
  EXPECT_EQ(busOf(1, 1), "0000:01:00.0");
}

// ---- what is left

/// Something of all that a device does.
static Result<void> useAll(Device &device) {
  auto h = device.allocate(4096, "h");
  auto weights = device.place(std::vector<std::byte>(size_t(9) << 20), "weights");
  auto word = device.peers()->allocateOnHost(sizeof(uint32_t));
  WindowOffer offer;
  auto window = device.peers()->makeWindow(4096, offer);
  auto filler = device.placeFiller(1 << 20, "filler");
  for (const auto *memory : {&h, &weights, &word, &window, &filler})
    if (!*memory)
      return fail(memory->error());
  device.setTiming(true);
  OneRow row(device, **h, **weights);
  auto graph = row.record();
  if (!graph)
    return fail(graph.error());
  std::array<std::byte, 64> back;
  return row.begin()
      .and_then([&] { return device.launch(**graph); })
      .and_then([&] { return row.launch(); })
      .and_then([&] { return device.upload((*h)->data(), back); })
      .and_then([&] { return device.download(back, (*h)->data()); });
}

// Whichever call it was of: one line, and the driver holds nothing of ours any more.
TEST_F(Cuda, ErrorsLeaveNothing) {
  int call = 0, errors = 0;
  do {
    driver.set("FAKE_CUDA_FAIL", "call=" + std::to_string(++call));
    Result<void> done;
    {
      auto device = make();
      done = device ? useAll(**device) : Result<void>(fail(device.error()));
    }
    if (!done) {
      ++errors;
      EXPECT_THAT(done.error(), AllOf(HasSubstr("CUDA_ERROR_OUT_OF_MEMORY"), Not(HasSubstr("\n"))));
    }
    EXPECT_EQ(FakeDriver::living(), 0) << call << ": " << (done ? "" : done.error());
  } while (FakeDriver::calls("failed as asked") > 0);
  EXPECT_GT(errors, 50);
}

// Sessions end on the thread that frees them.
TEST_F(Cuda, OtherThreadsMayFree) {
  auto device = make().value();
  auto word = device->peers()->allocateOnHost(sizeof(uint32_t)).value();
  std::thread([&] { word = nullptr; }).join();
  std::thread([&] { device = nullptr; }).join();
  EXPECT_EQ(FakeDriver::living(), 0);
}

// ---- work

TEST_F(Cuda, ALaunchErrorNamesTheKernel) {
  driver.set("FAKE_CUDA_FAIL", "launch=toy_embed");
  auto device = make().value();
  OneRow row(*device);
  require(row.begin().and_then([&] { return row.launch(); }));
  EXPECT_EQ(device->wait().error(),
            "the GPU: CUDA_ERROR_LAUNCH_FAILED (as asked) in kernel toy_embed");
  EXPECT_THAT(device->wait().error(), HasSubstr("CUDA_ERROR_LAUNCH_FAILED")); // it stays
}

TEST_F(Cuda, SaysHowToFindOneLaunchOfMany) {
  driver.set("FAKE_CUDA_FAIL", "launch=toy_embed");
  auto device = make().value();
  OneRow row(*device);
  require(row.begin());
  require(row.launch());
  require(row.launch());
  EXPECT_THAT(device->wait().error(), HasSubstr("in one of 2 launches, the last of kernel "
                                                "toy_embed; set CUDA_LAUNCH_BLOCKING=1"));
}

TEST_F(Cuda, AnErrorInAGraphSaysHowToFindIt) {
  driver.set("FAKE_CUDA_FAIL", "launch=toy_embed");
  auto device = make().value();
  OneRow row(*device);
  row.operands = {row.table->data(), row.h->data()};
  const std::vector<DeviceLaunch> launches(3, {0, row.operands});
  auto graph = device->record(launches).value();
  require(row.begin().and_then([&] { return device->launch(*graph); }));
  EXPECT_THAT(device->wait().error(),
              HasSubstr("in one of 3 launches, the last of kernel toy_embed; set"));
}

TEST_F(Cuda, BlockingFindsTheLaunch) {
  driver.set("FAKE_CUDA_FAIL", "launch=toy_embed").set("CUDA_LAUNCH_BLOCKING", "1");
  auto device = make().value();
  OneRow row(*device);
  require(row.begin());
  EXPECT_THAT(row.launch().error(), HasSubstr("in kernel toy_embed"));
}

TEST_F(Cuda, BlockingMakesNoGraph) {
  driver.set("CUDA_LAUNCH_BLOCKING", "1");
  auto device = make().value();
  OneRow row(*device);
  row.operands = {row.table->data(), row.h->data()};
  const DeviceLaunch launch{0, row.operands};
  EXPECT_EQ(device->record({&launch, 1}).value(), nullptr);
}

TEST_F(Cuda, AStepIsOneCopyAndAGraphIsOneLaunch) {
  auto device = make().value();
  OneRow row(*device);
  row.operands = {row.table->data(), row.h->data()};
  const std::vector<DeviceLaunch> launches(5, {0, row.operands});
  auto graph = device->record(launches).value();
  const int64_t before = FakeDriver::calls("cuMemcpyHtoDAsync");
  for (int i = 0; i < 3; ++i) {
    require(row.begin().and_then([&] { return device->launch(*graph); }));
    require(device->wait());
  }
  EXPECT_EQ(FakeDriver::calls("cuMemcpyHtoDAsync") - before, 3);
  EXPECT_EQ(FakeDriver::calls("cuGraphLaunch"), 3);
  EXPECT_EQ(FakeDriver::calls("cuLaunchKernelEx"), 0);
  EXPECT_EQ(FakeDriver::calls("cuGraphInstantiate"), 1);
}

// Only of kernels that wait themselves; a driver that refuses such edges gets ordinary ones.
TEST_F(Cuda, KernelsThatWaitStartEarly) {
  for (const char *refused : {"", "early", "graph of early launches"})
    for (bool startsEarly : {false, true}) {
      driver.set("FAKE_CUDA_FAIL", refused);
      plan.gpu_code[0]->kernels[0]->starts_early = startsEarly;
      auto device = make().value();
      OneRow row(*device);
      row.operands = {row.table->data(), row.h->data()};
      const std::vector<DeviceLaunch> launches(5, {0, row.operands});
      const int64_t early = FakeDriver::calls("programmatic edge");
      const int64_t ordinary = FakeDriver::calls("ordinary edge");
      auto graph = device->record(launches).value();
      EXPECT_EQ(FakeDriver::calls("programmatic edge") - early, startsEarly ? 4 : 0);
      EXPECT_EQ(FakeDriver::calls("ordinary edge") - ordinary,
                startsEarly && std::string(refused) == "early" ? 4 : 0);
      require(row.begin().and_then([&] { return device->launch(*graph); }));
      require(device->wait());
    }
}

TEST_F(Cuda, AStepThatNobodyWaitedForIsNotOverwritten) {
  auto device = make().value();
  OneRow row(*device);
  require(row.begin());
  const int64_t waits = FakeDriver::calls("cuStreamSynchronize");
  require(row.begin());
  EXPECT_EQ(FakeDriver::calls("cuStreamSynchronize"), waits + 1);
}

TEST_F(Cuda, RefusesAStepOfTooManyRows) {
  auto device = make().value();
  OneRow row(*device);
  row.step.rows = 65;
  EXPECT_THAT(row.begin().error(), HasSubstr("a step of 65 rows"));
}

TEST_F(Cuda, LaunchesClusters) {
  plan.gpu_code[0]->kernels[0]->cluster_blocks = 2;
  plan.gpu_code[0]->kernels[0]->max_blocks = 3; // rounded up, then what is resident: 1 cluster
  auto device = make().value();
  OneRow row(*device);
  require(row.begin().and_then([&] { return row.launch(); }));
  require(device->wait());
  const DeviceLaunch launch{0, row.operands};
  auto graph = device->record({&launch, 1}).value();
  require(device->launch(*graph).and_then([&] { return device->wait(); }));
  EXPECT_EQ(FakeDriver::calls("cuGraphKernelNodeSetAttribute"), 1);
}

// With no more blocks than the GPU holds; after the launch before has ended.
TEST_F(Cuda, LaunchesCooperatively) {
  plan.gpu_code[0]->kernels[0]->cooperative = true;
  plan.gpu_code[0]->kernels[0]->starts_early = true;
  auto device = make().value();
  OneRow row(*device);
  require(row.begin().and_then([&] { return row.launch(); }));
  require(device->wait());
  const std::vector<DeviceLaunch> launches(2, {0, row.operands});
  auto graph = device->record(launches).value();
  require(device->launch(*graph).and_then([&] { return device->wait(); }));
  EXPECT_EQ(FakeDriver::calls("cuGraphKernelNodeSetAttribute"), 2);
  EXPECT_EQ(FakeDriver::calls("programmatic edge"), 0);
}

TEST_F(Cuda, AsksForLargeSharedMemory) {
  plan.gpu_code[0]->kernels[0]->shared_bytes = 100 * 1024;
  auto device = make().value();
  OneRow row(*device);
  require(row.begin().and_then([&] { return row.launch(); }));
  require(device->wait());
}

TEST_F(Cuda, UploadsWithSeveralThreadsAndTellsProgress) {
  write();
  std::vector<uint64_t> seen;
  auto device = makeDevice(document->root(), DeviceKind::cuda,
                           {.threads = 3,
                            .level = "",
                            .placing =
                                [&](uint64_t done, uint64_t all) {
                                  EXPECT_EQ(all, uint64_t(50) << 20);
                                  seen.push_back(done);
                                }})
                    .value();
  std::vector<std::byte> bytes(size_t(50) << 20);
  for (size_t i = 0; i < bytes.size(); i += 997)
    bytes[i] = static_cast<std::byte>(i / 997);
  auto placed = device->place(bytes, "weights").value();
  EXPECT_EQ(seen.size(), 7u); // of 8 MiB
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), bytes.size());
  std::vector<std::byte> back(bytes.size());
  require(device->download(back, placed->data()));
  EXPECT_TRUE(back == bytes);
}

} // namespace grok::runtime
