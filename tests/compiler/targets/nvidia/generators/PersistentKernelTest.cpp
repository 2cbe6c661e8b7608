// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A step as tasks of one kernel: the bits of the launches, whatever the grid and the
// schedule; what happens if a wait is missing; what ptxas says of Grok-1's.
#include "compiler/targets/nvidia/generators/PersistentKernel.h"
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "dialects/plan/QuantizedRow.h"
#include "runtime/plan/TaskOrder.h"
#include "tests/compiler/targets/nvidia/generators/Grok1.h"
#include "tests/compiler/targets/nvidia/generators/ProductRun.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

static constexpr int64_t width = 192, rows = 2;
// More than a block has room for at a time.
static constexpr int32_t roundsOfChain = 8, tasksOfChain = 3 * roundsOfChain;

namespace {

/// Again and again norm, quantize and a matrix: the matrix is shared out to all blocks, the norm
/// after it reads what all of them wrote, and overwrites what they have read.
struct Chain {
  /// Rows that meet the matrix have so many digits.
  explicit Chain(int64_t digits = 1);

  /// By launches, from zeros; gives the last rows.
  Buffer launched();
  /// By tasks, twice on the same counters; the emulator's error.
  std::string run(GpuKernel &persistent, const GpuLaunch &how);
  /// The persistent kernel, after `change`.
  std::unique_ptr<GpuKernel> persistent(const std::string &chip,
                                        llvm::function_ref<void(mlir::ModuleOp)> change);

  std::vector<NamedKernelSpec> kernels;
  std::mt19937 random = reproducible(3);
  Buffer x, scale, normed, codes, y, panels, scales, counters;
  std::vector<GrokTask> tasks; // behind the one that counts them
  Step step = Step::ofRows(rows);

private:
  void add(int32_t kernel, std::initializer_list<const Buffer *> operands, size_t written);
  std::vector<GpuOperand> everything() {
    return {x, scale, normed, codes, y, panels, scales, counters};
  }
  std::vector<runtime::TaskUses> uses;
};

} // namespace

static NamedKernelSpec kernelOf(KernelOp op, int64_t digits = 1) {
  NamedKernelSpec kernel{nameOf(op), {}};
  kernel.spec.op = op;
  kernel.spec.numerics = Numerics::fast;
  kernel.spec.maxRows = op == KernelOp::persistent ? rows : 8;
  kernel.spec.emb = kernel.spec.in = kernel.spec.out = width;
  kernel.spec.eps = 1e-5;
  kernel.spec.weight = WeightFormat::forContraction(Element::i8, width, 1, Numerics::fast);
  kernel.spec.digits = digits;
  return kernel;
}

Chain::Chain(int64_t digits)
    : kernels({kernelOf(KernelOp::rmsNorm), kernelOf(KernelOp::quantize, digits),
               kernelOf(KernelOp::linear, digits)}),
      x(randomRows(random, rows, width, false)), scale(randomRows(random, 1, width, false)),
      normed(rows * width * 4),
      codes(rows * plan::QuantizedRow::of(width, kernels[2].spec.weight.unit, digits).bytes),
      y(rows * width * 4),
      panels(randomPanels(random, kernels[2].spec.weight, width, panelsOf(width))),
      scales(randomScales(random, kernels[2].spec.weight, panelsOf(width))),
      counters(static_cast<size_t>(tasksOfChain + 1) * grokCounterBytes) {
  tasks.push_back({tasksOfChain, 0, {counters.data()}, {}});
  for (int32_t round = 0; round < roundsOfChain; ++round) {
    add(0, {round ? &y : &x, &scale, &normed}, 2);
    add(1, {&normed, &codes}, 1);
    add(2, {&codes, &panels, &scales, &y}, 3);
  }
  const runtime::TaskWaits waits = runtime::orderTasks(uses, grokTaskWaits);
  for (size_t i = 0; i < waits.size(); ++i)
    for (uint32_t awaited : waits[i]) {
      GrokTask &task = tasks[1 + i];
      task.after[task.waits++] = {static_cast<int32_t>(awaited), tasks[1 + awaited].kernel};
    }
}

void Chain::add(int32_t kernel, std::initializer_list<const Buffer *> operands, size_t written) {
  GrokTask &task = tasks.emplace_back();
  task.kernel = kernel;
  runtime::TaskUses &used = uses.emplace_back();
  used.kernel = kernel;
  for (const Buffer *operand : operands) {
    const auto begin = reinterpret_cast<uint64_t>(operand->data());
    task.operands[used.uses.size()] = operand->data();
    used.uses.push_back(
        {plan::BufferKind::arena, begin, begin + operand->size(), used.uses.size() == written});
  }
}

Buffer Chain::launched() {
  for (size_t number = 1; number < tasks.size(); ++number) {
    const GrokTask &task = tasks[number];
    const NamedKernelSpec &kernel = kernels[task.kernel];
    std::vector<GpuOperand> operands;
    for (int64_t i = 0; i < operandCount(kernel.spec); ++i)
      for (const GpuOperand &each : everything())
        if (each.address == task.operands[i])
          operands.push_back(each);
    GpuKernel(kernel.spec).run(operands, step);
  }
  return copyOf(y);
}

std::unique_ptr<GpuKernel> Chain::persistent(const std::string &chip,
                                             llvm::function_ref<void(mlir::ModuleOp)> change) {
  NamedKernelSpec spec = kernelOf(KernelOp::persistent);
  spec.symbol = "kernel";
  std::vector<NumberedKernel> parts;
  for (size_t i = 0; i < kernels.size(); ++i)
    parts.push_back({static_cast<int64_t>(i), &kernels[i]});
  NvidiaKernelCompiler compiler({}, /*assembler=*/nullptr);
  GpuShape shape;
  auto lowered = compiler.lower(spec, parts, *nvidiaChipNamed(chip), shape);
  if (!lowered)
    throw std::runtime_error(lowered.error());
  change(**lowered);
  return std::make_unique<GpuKernel>(**lowered, shape);
}

std::string Chain::run(GpuKernel &persistent, const GpuLaunch &how) {
  std::memset(counters.data(), 0, counters.size());
  for (int launch = 0; launch < 2; ++launch) {
    for (Buffer *buffer : {&normed, &codes, &y})
      std::memset(buffer->data(), 0, buffer->size());
    std::string error = persistent.tryRun({{tasks.data(), tasks.size() * sizeof tasks[0]}},
                                          everything(), step, how);
    if (!error.empty())
      return error;
  }
  return {};
}

static void keep(mlir::ModuleOp) {}

static const std::vector<GpuLaunch> &manners() {
  static const std::vector<GpuLaunch> launches = {{1, grokScheduleInOrder, 1},
                                                  {2, grokScheduleRandom, 1},
                                                  {3, grokScheduleGreedyWarp, 1},
                                                  {4, grokScheduleInOrder, 1},
                                                  {8, grokScheduleRandom, 2}};
  return launches;
}

static void expectBitsOfTheLaunches(int64_t digits) {
  for (const char *chip : {"sm_80", "sm_90a"}) {
    Chain chain(digits);
    const Buffer expected = chain.launched();
    auto kernel = chain.persistent(chip, keep);
    EXPECT_TRUE(kernel->shape().isCooperative);
    for (const GpuLaunch &how : manners()) {
      EXPECT_EQ(chain.run(*kernel, how), "") << nameOf(how);
      EXPECT_TRUE(chain.y == expected) << chip << ", " << nameOf(how);
    }
  }
}

TEST(PersistentKernel, hasTheBitsOfTheLaunches) { expectBitsOfTheLaunches(1); }
TEST(PersistentKernel, hasTheBitsOfTheLaunchesWithTwoDigits) { expectBitsOfTheLaunches(2); }

// ---- seeded bugs

// How many of the ways to run it show a race. A block alone has none.
static int races(Chain &chain, GpuKernel &kernel) {
  int found = 0;
  for (const GpuLaunch &how : manners())
    found += chain.run(kernel, how).find("race: ") != std::string::npos;
  return found;
}

static const int several = static_cast<int>(manners().size()) - 1;

TEST(PersistentKernel, blocksThatDoNotWaitAreSeen) {
  Chain chain;
  auto kernel = chain.persistent("sm_90a", [](mlir::ModuleOp module) {
    module.walk([](mlir::LLVM::CallOp call) {
      if (call.getCallee() == llvm::StringRef(waitSymbol))
        call.erase();
    });
  });
  EXPECT_EQ(races(chain, *kernel), several);
}

TEST(PersistentKernel, aCounterWithoutReleaseIsSeen) {
  Chain chain;
  auto kernel = chain.persistent("sm_90a", [](mlir::ModuleOp module) {
    module.walk([](mlir::LLVM::AtomicRMWOp add) {
      add.setOrdering(mlir::LLVM::AtomicOrdering::monotonic);
    });
  });
  EXPECT_EQ(races(chain, *kernel), several);
}

TEST(PersistentKernel, aWaitWithoutAcquireIsSeen) {
  Chain chain;
  auto kernel = chain.persistent("sm_90a", [](mlir::ModuleOp module) {
    module.walk([](mlir::LLVM::LoadOp load) {
      if (load.getOrdering() == mlir::LLVM::AtomicOrdering::acquire)
        load.setOrdering(mlir::LLVM::AtomicOrdering::monotonic);
    });
  });
  EXPECT_EQ(races(chain, *kernel), several);
}

// Each task without its wait, and with one for the first task, which is long over.
TEST(PersistentKernel, aDependencyThatTheProgramLacksIsSeen) {
  Chain whole;
  auto kernel = whole.persistent("sm_90a", keep);
  for (int32_t task = 2; task <= 6; ++task) {
    Chain chain;
    ASSERT_EQ(chain.tasks[task].waits, 1);
    if (chain.tasks[task].kernel == 1) // codes of a row by the block that made its norm
      continue;
    chain.tasks[task].waits = 0;
    EXPECT_GE(races(chain, *kernel), 2) << task;
    chain.tasks[task].waits = 1;
    chain.tasks[task].after[0] = {0, 0};
    EXPECT_GE(races(chain, *kernel), 2) << task;
  }
}

TEST(PersistentKernel, tooSmallATargetIsSeen) {
  Chain chain;
  auto kernel = chain.persistent("sm_90a", keep);
  for (int32_t task = 1; task <= tasksOfChain; ++task)
    if (chain.tasks[task].kernel == 0) // as if the matrix had the norm's few tiles
      chain.tasks[task].after[0].kernel = 0;
  EXPECT_GE(races(chain, *kernel), 2);
}

TEST(PersistentKernel, aCounterThatIsNeverFullIsADeadlock) {
  Chain chain;
  auto kernel = chain.persistent("sm_90a", keep);
  chain.tasks[3].after[0].kernel = 2; // more blocks have tiles of it
  const std::string error = chain.run(*kernel, {6, grokScheduleInOrder, 1});
  EXPECT_NE(error.find("deadlock"), std::string::npos) << error;
  EXPECT_NE(error.find("task 2 for the counter of task 1: it is "), std::string::npos) << error;
  EXPECT_NE(error.find(", 6 are needed"), std::string::npos) << error;
}

// ---- Grok-1

static NamedKernelSpec grok1(KernelOp op, Element element, const char *suffix = "") {
  NamedKernelSpec kernel{nameOf(op) + std::string(suffix), grok1Shapes(op)};
  KernelSpec &spec = kernel.spec;
  spec.multiplier = 0.08838834764831845;
  spec.softcap = op == KernelOp::attention ? 30 : 0;
  const int64_t inputs = op == KernelOp::quantize ? spec.in : contractionOf(spec);
  spec.weight = WeightFormat::forContraction(element, inputs, 1, Numerics::fast,
                                             element == Element::i8 ? 0 : 64);
  return kernel;
}

// Decoding a token on one device.
static std::vector<NamedKernelSpec> grok1Decode(Element experts, int64_t digits) {
  std::vector<NamedKernelSpec> kernels;
  for (KernelOp op : {KernelOp::embed, KernelOp::rmsNorm, KernelOp::quantize, KernelOp::qkv,
                      KernelOp::attention, KernelOp::linear, KernelOp::residualNorm,
                      KernelOp::route, KernelOp::group, KernelOp::unembed})
    kernels.push_back(grok1(op, Element::i8));
  kernels.push_back(grok1(KernelOp::gateUp, experts));
  kernels.push_back(grok1(KernelOp::downCombine, experts));
  NamedKernelSpec pairs = grok1(KernelOp::quantize, experts, "_pairs");
  pairs.spec.in = pairs.spec.ffn;
  pairs.spec.selected = 2;
  pairs.spec.weight = kernels.back().spec.weight;
  kernels.push_back(pairs);
  for (NamedKernelSpec &kernel : kernels)
    if (kernel.spec.op == KernelOp::quantize || readsQuantizedRows(kernel.spec))
      kernel.spec.digits = digits;
  return kernels;
}

static void expectNoSpills(const char *chip, Element experts, int64_t digits) {
  std::optional<Ptxas> ptxas = Ptxas::find();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas";
  const std::vector<NamedKernelSpec> kernels = grok1Decode(experts, digits);
  std::vector<NumberedKernel> parts;
  for (size_t i = 0; i < kernels.size(); ++i)
    parts.push_back({static_cast<int64_t>(i), &kernels[i]});
  NvidiaKernelCompiler compiler({}, &*ptxas);
  NamedKernelSpec spec = kernelOf(KernelOp::persistent);
  spec.spec.maxRows = 1;
  auto kernel = compiler.compile(spec, parts, *nvidiaChipNamed(chip));
  ASSERT_TRUE(kernel) << kernel.error();
  EXPECT_EQ(kernel->report.spillBytes, 0) << kernel->report.text;
  EXPECT_NE(kernel->ptx.find("ld.acquire.gpu.global"), std::string::npos);
  EXPECT_EQ(kernel->ptx.find("cp.async.bulk.prefetch.L2") != std::string::npos,
            nvidiaChipNamed(chip)->hasBulkCopies);
  EXPECT_LE(kernel->report.registers * kernel->shape.threads, 64 * 1024);
  ::testing::Test::RecordProperty("report", kernel->report.text);
}

TEST(PersistentKernel, spillsNothing_sm_80) { expectNoSpills("sm_80", Element::i8, 2); }
TEST(PersistentKernel, spillsNothing_sm_90a) { expectNoSpills("sm_90a", Element::i8, 2); }
TEST(PersistentKernel, spillsNothing_sm_90a_oneDigit) { expectNoSpills("sm_90a", Element::i8, 1); }
TEST(PersistentKernel, spillsNothing_sm_100a) { expectNoSpills("sm_100a", Element::i8, 2); }
TEST(PersistentKernel, spillsNothing_sm_90a_fourBits) { expectNoSpills("sm_90a", Element::i4, 2); }

} // namespace grok::compiler::testing
