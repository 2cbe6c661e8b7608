// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// exchange: several emulated devices, a thread each, with windows of their own. The bits
// of the collectives of CPUs, however the devices' threads are scheduled.
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "runtime/collectives/TreeSum.h"
#include "runtime/plan/ExchangeABI.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <gtest/gtest.h>
#include <thread>

namespace grok::compiler::testing {

static KernelSpec specOf() {
  KernelSpec spec;
  spec.op = KernelOp::exchange;
  return spec;
}

namespace {

/// What one device has of a group.
struct Device {
  Buffer window = Buffer(GROK_EXCHANGE_WINDOW_BYTES);
  GrokExchangeState state = {};
  GrokExchangeControl control = {};
  GrokExchange exchange = {};
};

/// Devices that take part in any number of collectives.
class Group {
public:
  explicit Group(int members, std::unique_ptr<GpuKernel> exchange = sound())
      : kernel(std::move(exchange)), devices(static_cast<size_t>(members)) {}

  /// Member m's message of `rows` rows: row-major, `rowWords` words each.
  using Messages = std::vector<std::vector<float>>;
  /// Rows of logits, of which a step may have none.
  bool ofLogits = false;
  /// What each member has in the end, -1 where nothing came. Member m begins `m`
  /// milliseconds late.
  Messages run(const Messages &messages, int64_t rows, bool isSum, const GpuLaunch &how);

  /// One device alone, whose peers never come, until the host gives up.
  GrokExchangeControl giveUp();

private:
  static std::unique_ptr<GpuKernel> sound() { return std::make_unique<GpuKernel>(specOf()); }
  void describe(size_t member, int64_t rowWords, bool isSum);
  void launch(size_t member, const std::vector<float> &message, std::vector<float> &result,
              int64_t rows, const GpuLaunch &how);

  std::unique_ptr<GpuKernel> kernel;
  std::vector<Device> devices;
};

} // namespace

void Group::describe(size_t member, int64_t rowWords, bool isSum) {
  GrokExchange &exchange = devices[member].exchange;
  for (size_t peer = 0; peer < devices.size(); ++peer)
    exchange.windows[peer] = reinterpret_cast<uint64_t>(devices[peer].window.data());
  exchange.state = reinterpret_cast<uint64_t>(&devices[member].state);
  exchange.control = reinterpret_cast<uint64_t>(&devices[member].control);
  exchange.rowWords = rowWords;
  exchange.members = static_cast<int32_t>(devices.size());
  exchange.index = static_cast<int32_t>(member);
  exchange.isSum = isSum;
  exchange.ofLogits = ofLogits;
  exchange.operation = 7;
}

void Group::launch(size_t member, const std::vector<float> &message, std::vector<float> &result,
                   int64_t rows, const GpuLaunch &how) {
  Device &own = devices[member];
  std::vector<GpuOperand> others = {{&own.state, sizeof own.state},
                                    {&own.control, sizeof own.control}};
  for (Device &device : devices)
    others.emplace_back(device.window);
  std::vector<float> source = message;
  Step step = Step::ofRows(rows);
  if (ofLogits)
    step.logitRow.clear();
  GpuLaunch launch = how;
  launch.seed += static_cast<uint32_t>(member);
  const std::string error = kernel->tryRun({{source.data(), source.size() * 4},
                                            {result.data(), result.size() * 4},
                                            {&own.exchange, sizeof own.exchange}},
                                           others, step, launch);
  EXPECT_EQ(error, "") << nameOf(launch);
}

Group::Messages Group::run(const Messages &messages, int64_t rows, bool isSum,
                           const GpuLaunch &how) {
  Messages results(devices.size());
  std::vector<std::thread> threads;
  for (size_t member = 0; member < devices.size(); ++member) {
    const size_t words = messages[member].size();
    describe(member, static_cast<int64_t>(words) / rows, isSum);
    results[member].assign(isSum ? words : words * devices.size(), -1.0f);
    threads.emplace_back([&, member] {
      std::this_thread::sleep_for(std::chrono::milliseconds(member));
      launch(member, messages[member], results[member], rows, how);
    });
  }
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

GrokExchangeControl Group::giveUp() {
  describe(0, 4, true);
  std::vector<float> message(4), result(4);
  std::thread device([&] { launch(0, message, result, 1, {}); });
  volatile GrokExchangeControl &control = devices[0].control;
  while (control.waiting == 0)
    std::this_thread::yield();
  GrokExchangeControl said = devices[0].control;
  control.abort = 1;
  device.join();
  return said;
}

static Group::Messages randomMessages(int members, int64_t words, unsigned seed) {
  std::mt19937 random = reproducible(seed);
  std::uniform_real_distribution<float> number(-3, 3);
  Group::Messages messages(static_cast<size_t>(members));
  for (auto &message : messages)
    for (int64_t i = 0; i < words; ++i)
      message.push_back(number(random));
  return messages;
}

static std::vector<float> sumOf(const Group::Messages &messages) {
  std::vector<const float *> parts;
  for (const auto &message : messages)
    parts.push_back(message.data());
  std::vector<float> sum(messages[0].size());
  runtime::treeSum(parts, sum.data(), static_cast<int64_t>(sum.size()));
  return sum;
}

static std::vector<float> rowsOf(const Group::Messages &messages, size_t rows) {
  std::vector<float> all;
  const size_t width = messages[0].size() / rows;
  for (size_t row = 0; row < rows; ++row)
    for (const auto &message : messages)
      all.insert(all.end(), message.begin() + static_cast<std::ptrdiff_t>(row * width),
                 message.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
  return all;
}

// One after the other on the same windows, of different lengths: numbers go on.
static int mistakes(Group &group, int members, const GpuLaunch &how) {
  int wrong = 0;
  unsigned seed = 1;
  for (int64_t words : {30, 600, 6, 300}) {
    const Group::Messages messages = randomMessages(members, words, seed++);
    const std::vector<float> sum = sumOf(messages), rows = rowsOf(messages, 3);
    for (const auto &result : group.run(messages, 3, true, how))
      wrong += result != sum;
    for (const auto &result : group.run(messages, 3, false, how))
      wrong += result != rows;
  }
  return wrong;
}

TEST(GpuExchange, HasTheBitsOfTheHost) {
  for (int members : {2, 3, 8}) {
    Group group(members);
    for (const GpuLaunch &how : everyLaunch())
      EXPECT_EQ(mistakes(group, members, how), 0) << members << " members, " << nameOf(how);
  }
}

TEST(GpuExchange, LongMessagesGoInPieces) {
  for (auto [members, words] :
       {std::pair(2, 2 * grokExchangeWords + 501), std::pair(3, 3 * grokExchangeWords + 901)}) {
    const Group::Messages messages = randomMessages(members, words, 9);
    Group group(members);
    const std::vector<float> sum = sumOf(messages), rows = rowsOf(messages, 1);
    for (const auto &result : group.run(messages, 1, true, {3}))
      EXPECT_TRUE(result == sum) << members;
    for (const auto &result : group.run(messages, 1, false, {2}))
      EXPECT_TRUE(result == rows) << members;
    EXPECT_EQ(mistakes(group, members, {}), 0); // numbers have gone on alike
  }
}

TEST(GpuExchange, NothingMovesWithoutRows) {
  Group group(2);
  group.ofLogits = true;
  for (const auto &result : group.run(randomMessages(2, 30, 3), 3, true, {}))
    EXPECT_EQ(result, std::vector<float>(30, -1.0f));
  group.ofLogits = false;
  EXPECT_EQ(mistakes(group, 2, {}), 0);
}

TEST(GpuExchange, SaysForWhomItWaitsAndGivesUp) {
  Group group(2);
  EXPECT_EQ(group.giveUp().waiting, 7u << 8 | 2); // operation 7, member 1
}

// The bug that the emulator must show: words are taken before their number is there.
TEST(GpuExchange, AMissingWaitIsSeen) {
  const NvidiaChip &chip = *nvidiaChipNamed("sm_90a");
  NvidiaKernelCompiler compiler({}, /*assembler=*/nullptr);
  GpuShape shape;
  auto lowered = compiler.lower(
      "kernel", chip,
      [&](mlir::ModuleOp module, llvm::StringRef symbol) {
        const GpuShape made = generateGpuKernel(module, symbol, specOf(), chip);
        module.walk([](mlir::scf::ConditionOp wait) {
          mlir::OpBuilder builder(wait);
          wait.getConditionMutable().assign(
              mlir::arith::ConstantIntOp::create(builder, wait.getLoc(), 0, 1));
        });
        return made;
      },
      shape);
  ASSERT_TRUE(lowered) << lowered.error();
  Group group(2, std::make_unique<GpuKernel>(**lowered, shape));
  EXPECT_GT(mistakes(group, 2, {}), 0);
}

} // namespace grok::compiler::testing
