// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// exchange: several emulated devices, a thread each, with windows of their own. The bits
// of the collectives of CPUs, however the devices' threads are scheduled.
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "tests/compiler/targets/nvidia/generators/ExchangeGroup.h"

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

/// Devices that do the kernel's collectives.
class Group {
public:
  explicit Group(int members, std::unique_ptr<GpuKernel> exchange = sound())
      : kernel(std::move(exchange)), devices(members) {}

  /// Rows of logits, of which a step may have none.
  bool ofLogits = false;
  /// What each member has in the end of messages of `rows` rows, -1 where nothing came.
  Messages run(const Messages &messages, int64_t rows, bool isSum, const GpuLaunch &how);

  /// One device alone, whose peers never come, until the host gives up.
  GrokExchangeControl giveUp();

private:
  static std::unique_ptr<GpuKernel> sound() { return std::make_unique<GpuKernel>(specOf()); }
  void launch(size_t member, const std::vector<float> &message, std::vector<float> &result,
              int64_t rows, const GpuLaunch &how);

  std::unique_ptr<GpuKernel> kernel;
  ExchangeGroup devices;
};

} // namespace

void Group::launch(size_t member, const std::vector<float> &message, std::vector<float> &result,
                   int64_t rows, const GpuLaunch &how) {
  std::vector<float> source = message;
  Step step = Step::ofRows(rows);
  if (ofLogits)
    step.logitRow.clear();
  const std::string error = devices.launch(
      member, *kernel, {{source.data(), source.size() * 4}, {result.data(), result.size() * 4}},
      step, how);
  EXPECT_EQ(error, "") << nameOf(how);
}

Messages Group::run(const Messages &messages, int64_t rows, bool isSum, const GpuLaunch &how) {
  Messages results(devices.members());
  for (size_t member = 0; member < devices.members(); ++member) {
    const size_t words = messages[member].size();
    devices.describe(member, static_cast<int64_t>(words) / rows, isSum, ofLogits);
    results[member].assign(isSum ? words : words * devices.members(), -1.0f);
  }
  devices.together(
      [&](size_t member) { launch(member, messages[member], results[member], rows, how); });
  return results;
}

GrokExchangeControl Group::giveUp() {
  devices.describe(0, 4, true);
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

static std::vector<float> rowsOf(const Messages &messages, size_t rows) {
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
    const Messages messages = randomMessages(members, words, seed++);
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
    const Messages messages = randomMessages(members, words, 9);
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
