// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// exchange_norm: the bits of an exchange and residual_norm, between launches of exchange
// on the same windows, however the devices' threads are scheduled.
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "tests/compiler/targets/nvidia/generators/ExchangeGroup.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <thread>

namespace grok::compiler::testing {

static constexpr const char *chips[] = {"sm_80", "sm_90a"}; // without and with clusters

static KernelSpec specOf(KernelOp op, int64_t emb) {
  KernelSpec spec;
  spec.op = op;
  spec.emb = emb;
  spec.eps = 1e-5;
  spec.maxRows = 4;
  return spec;
}

namespace {

/// What all members norm, and what comes of it.
struct Rows {
  Rows(int members, int64_t emb, int64_t rows, unsigned seed);

  int64_t emb, rows;
  std::vector<Buffer> sources; // by member
  Buffer residual, post, next, output;
  Buffer expectedResidual, expectedOutput;
};

} // namespace

static Buffer copyOf(const Buffer &buffer) {
  Buffer copy(buffer.size());
  std::memcpy(copy.data(), buffer.data(), buffer.size());
  return copy;
}

Rows::Rows(int members, int64_t emb, int64_t rows, unsigned seed)
    : emb(emb), rows(rows), residual(0), post(0), next(0),
      output(Buffer::ofWords(rows * paddedTo16(emb))), expectedResidual(0),
      expectedOutput(Buffer::ofWords(rows * paddedTo16(emb))) {
  std::mt19937 random = reproducible(seed);
  for (int member = 0; member < members; ++member)
    sources.push_back(randomRows(random, rows, emb, false, 10.0f));
  residual = randomRows(random, rows, emb, false);
  post = randomRows(random, 1, emb, false);
  next = randomRows(random, 1, emb, false);
  std::fill_n(output.floats(), rows * paddedTo16(emb), 1e30f);
  expectedResidual = copyOf(residual);
  KernelSpec spec = specOf(KernelOp::residualNorm, emb);
  spec.parts = members;
  const int64_t words = paddedTo16(emb);
  Buffer parts = Buffer::ofWords(rows * members * words); // [row][member]
  for (int64_t row = 0; row < rows; ++row)
    for (int member = 0; member < members; ++member)
      std::copy_n(sources[static_cast<size_t>(member)].floats() + row * words, words,
                  parts.floats() + (row * members + member) * words);
  LoadedKernels({{"kernel", spec}}, "x86-64-v3") // has FMA, as GPUs have
      .run("kernel",
           {expectedResidual.data(), parts.data(), post.data(), next.data(), expectedOutput.data()},
           Step::ofRows(rows), 0, rows);
}

namespace {

/// Devices that do exchanges, with norms or without. Scratch memory is of a device, so
/// each has its kernels.
class Group {
public:
  using Bug = std::function<void(mlir::ModuleOp)>;
  Group(int members, int64_t emb, const std::string &chip, const Bug &bug = nullptr);

  /// How many members have other bits than the CPU; `plain` ones exchange alone.
  int mistakes(const Rows &rows, const GpuLaunch &how, std::vector<bool> plain = {});
  /// The same of exchange alone.
  int plainMistakes(int64_t rows, const GpuLaunch &how, unsigned seed) {
    return mistakes(Rows(members, emb, rows, seed), how,
                    std::vector<bool>(static_cast<size_t>(members), true));
  }
  /// One member's launch, of which nothing is expected.
  void runAlone(size_t member, const Rows &rows) {
    devices.describe(member, paddedTo16(emb), /*isSum=*/true);
    isRight(member, rows, {});
  }

  const int members;
  const int64_t emb;
  ExchangeGroup devices;
  bool oneByOne = false;           // the members' launches, which hang unless they forget to wait
  std::vector<std::string> errors; // of the last launches, by member

private:
  bool isRight(size_t member, const Rows &rows, const GpuLaunch &how);
  bool isPlainRight(size_t member, const Rows &rows, const GpuLaunch &how);

  std::vector<std::unique_ptr<GpuKernel>> fused;
  GpuKernel exchange;
};

} // namespace

static std::unique_ptr<GpuKernel> fusedKernel(int64_t emb, const std::string &chipName,
                                              const Group::Bug &bug) {
  const KernelSpec spec = specOf(KernelOp::exchangeNorm, emb);
  const NvidiaChip &chip = *nvidiaChipNamed(chipName);
  NvidiaKernelCompiler compiler({}, /*assembler=*/nullptr);
  GpuShape shape;
  auto lowered = compiler.lower(
      "kernel", chip,
      [&](mlir::ModuleOp module, llvm::StringRef symbol) {
        const GpuShape made = generateGpuKernel(module, symbol, spec, chip);
        if (bug)
          bug(module);
        return made;
      },
      shape);
  if (!lowered)
    throw std::runtime_error(lowered.error());
  return std::make_unique<GpuKernel>(**lowered, shape);
}

Group::Group(int members, int64_t emb, const std::string &chip, const Bug &bug)
    : members(members), emb(emb), devices(members), errors(static_cast<size_t>(members)),
      exchange(specOf(KernelOp::exchange, emb), chip) {
  for (int member = 0; member < members; ++member)
    fused.push_back(fusedKernel(emb, chip, bug));
}

bool Group::isRight(size_t member, const Rows &rows, const GpuLaunch &how) {
  Buffer residual = copyOf(rows.residual), output = copyOf(rows.output);
  GpuOperand post = rows.post, next = rows.next;
  post.isWeight = next.isWeight = true;
  errors[member] =
      devices.launch(member, *fused[member], {rows.sources[member], residual, post, next, output},
                     Step::ofRows(rows.rows), how);
  return errors[member].empty() && residual == rows.expectedResidual &&
         output == rows.expectedOutput && residual.isGuardIntact() && output.isGuardIntact();
}

bool Group::isPlainRight(size_t member, const Rows &rows, const GpuLaunch &how) {
  const auto words = static_cast<size_t>(rows.rows * paddedTo16(emb));
  Messages messages;
  for (const Buffer &source : rows.sources)
    messages.emplace_back(source.floats(), source.floats() + words);
  std::vector<float> target(words);
  errors[member] =
      devices.launch(member, exchange, {rows.sources[member], {target.data(), words * 4}},
                     Step::ofRows(rows.rows), how);
  return errors[member].empty() && target == sumOf(messages);
}

int Group::mistakes(const Rows &rows, const GpuLaunch &how, std::vector<bool> plain) {
  plain.resize(static_cast<size_t>(members));
  std::vector<char> right(plain.size());
  for (size_t member = 0; member < plain.size(); ++member)
    devices.describe(member, paddedTo16(emb), /*isSum=*/true);
  const auto run = [&](size_t member) {
    right[member] = plain[member] ? isPlainRight(member, rows, how) : isRight(member, rows, how);
  };
  if (oneByOne)
    for (size_t member = 0; member < plain.size(); ++member)
      run(member);
  else
    devices.together(run);
  return static_cast<int>(std::count(right.begin(), right.end(), 0));
}

class GpuExchangeNorm : public ::testing::TestWithParam<const char *> {};

// On the same windows, of different lengths: numbers go on.
TEST_P(GpuExchangeNorm, HasTheBitsOfTheTwoKernels) {
  for (auto [members, emb] : {std::pair(2, 90), std::pair(3, 200)}) {
    Group group(members, emb, GetParam());
    unsigned seed = 1;
    for (const GpuLaunch &how : everyLaunch())
      for (int64_t rows : {3, 1}) {
        EXPECT_EQ(group.mistakes(Rows(members, emb, rows, seed++), how), 0) << nameOf(how);
        EXPECT_EQ(group.plainMistakes(rows, how, seed++), 0) << nameOf(how);
      }
  }
}

TEST_P(GpuExchangeNorm, EightMembers) {
  Group group(8, 640, GetParam());
  for (uint32_t schedule : {grokScheduleInOrder, grokScheduleRandom, grokScheduleGreedyWarp}) {
    const GpuLaunch how = {8, schedule, 5};
    EXPECT_EQ(group.mistakes(Rows(8, 640, 2, schedule), how), 0) << nameOf(how);
    EXPECT_EQ(group.plainMistakes(1, how, 3), 0) << nameOf(how);
  }
}

// Those of some members may be apart: words and numbers are the same.
TEST_P(GpuExchangeNorm, MeetsExchangeAlone) {
  Group group(3, 90, GetParam());
  for (const GpuLaunch &how : everyLaunch()) {
    EXPECT_EQ(group.mistakes(Rows(3, 90, 4, 7), how, {false, true, false}), 0) << nameOf(how);
    EXPECT_EQ(group.mistakes(Rows(3, 90, 2, 8), how, {true, false, true}), 0) << nameOf(how);
  }
}

// The words of a number stay until all have sent the next but one.
static int overwritten(Group &group) {
  int wrong = 0;
  const Rows first(2, group.emb, 2, 1), second(2, group.emb, 2, 2);
  EXPECT_EQ(group.mistakes(first, {}), 0);
  EXPECT_EQ(group.mistakes(second, {}), 0);
  for (uint32_t number : {1, 2})
    for (size_t sender : {0, 1})
      for (size_t position = 0; position < first.sources[0].size() / 4; ++position) {
        const Buffer &source = (number == 1 ? first : second).sources[sender];
        const auto word = static_cast<uint32_t>(source.words()[position]);
        wrong += group.devices[1 - sender].received(number, sender, position) !=
                 (uint64_t(number) << 32 | word);
      }
  return wrong;
}

TEST_P(GpuExchangeNorm, LeavesTheNumberBefore) {
  Group group(2, 90, GetParam());
  EXPECT_EQ(overwritten(group), 0);
}

// One device alone, whose peers never come, until the host gives up.
TEST_P(GpuExchangeNorm, SaysForWhomItWaitsAndGivesUp) {
  Group group(3, 90, GetParam());
  volatile GrokExchangeControl &control = group.devices[0].control;
  std::thread device([&] { group.runAlone(0, Rows(3, 90, 1, 1)); });
  while (control.waiting == 0)
    std::this_thread::yield();
  const uint32_t waiting = control.waiting;
  control.abort = 1;
  device.join();
  EXPECT_EQ(waiting, 7u << 8 | 2); // operation 7, member 1
  EXPECT_EQ(group.errors[0], "");
}

// ---- bugs that must show

TEST_P(GpuExchangeNorm, NumbersInOneHalfAreSeen) {
  Group group(2, 90, GetParam(), [](mlir::ModuleOp module) {
    module.walk([](mlir::arith::AndIOp parity) {
      auto one = parity.getRhs().getDefiningOp<mlir::arith::ConstantIntOp>();
      mlir::OpBuilder builder(parity);
      if (one && one.value() == 1 && parity.getType().isInteger(32))
        parity.getRhsMutable().assign(
            mlir::arith::ConstantIntOp::create(builder, parity.getLoc(), 0, 32));
    });
  });
  EXPECT_GT(overwritten(group), 0);
}

TEST_P(GpuExchangeNorm, AMissingWaitIsSeen) {
  Group group(2, 90, GetParam(), [](mlir::ModuleOp module) {
    module.walk([](mlir::scf::ConditionOp wait) {
      mlir::OpBuilder builder(wait);
      wait.getConditionMutable().assign(
          mlir::arith::ConstantIntOp::create(builder, wait.getLoc(), 0, 1));
    });
  });
  group.oneByOne = true;
  EXPECT_GT(group.mistakes(Rows(2, 90, 3, 4), {}), 0);
}

// Clusters: the second meeting. Elsewhere: every part takes itself for the last.
static void normEarly(mlir::ModuleOp module) {
  llvm::SmallVector<mlir::Operation *> meetings;
  module.walk([&](mlir::Operation *op) {
    if (mlir::isa<mlir::NVVM::ClusterArriveOp, mlir::NVVM::ClusterWaitOp>(op))
      meetings.push_back(op);
  });
  for (mlir::Operation *op : llvm::drop_begin(meetings, std::min<size_t>(meetings.size(), 2)))
    op->erase();
  module.walk([](mlir::arith::CmpIOp isLast) {
    auto last = isLast.getRhs().getDefiningOp<mlir::arith::ConstantIntOp>();
    if (last && last.value() == 7 && isLast.getPredicate() == mlir::arith::CmpIPredicate::eq &&
        isLast.getLhs().getType().isInteger(32))
      isLast.setPredicate(mlir::arith::CmpIPredicate::sle);
  });
}

TEST_P(GpuExchangeNorm, ANormOfSomePartsIsSeen) {
  Group group(2, 90, GetParam(), normEarly);
  int wrong = 0;
  for (const GpuLaunch &how : everyLaunch())
    wrong += group.mistakes(Rows(2, 90, 3, 4), how);
  EXPECT_GT(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Chips, GpuExchangeNorm, ::testing::ValuesIn(chips),
                         [](const auto &info) { return std::string(info.param); });

} // namespace grok::compiler::testing
